/*-------------------------------------------------------------------------
 *
 * dedup_key.c
 *	  The 16 bytes by which a reading is known again.
 *
 * By sensor and time they are just that: the time, the number of the sensor.
 * Time comes first, so that what arrives together lies together in the index.
 *
 * By id they are a hash of its bytes, of 128 bits and with a secret of the
 * pipeline: SipHash-2-4 (Aumasson and Bernstein 2012).  A false duplicate
 * would be a lost reading.  By chance two of n ids share a hash with probability
 * n * n / 2^129: of ten thousand million, 1.5e-19.  On purpose nobody can make
 * them without the secret, as they could with a hash that anybody can compute.
 *
 * Readings of one message are no duplicates of each other, whatever their ids:
 * a mapping may give all of them the id of the message.  So a message's second
 * reading of an id has another key than the first, by its number, and a
 * message that comes again has the same keys again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "dedup_internal.h"

#define ROTATE(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

typedef struct SipState
{
	uint64		v0;
	uint64		v1;
	uint64		v2;
	uint64		v3;
} SipState;

static inline void
sip_round(SipState *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = ROTATE(s->v1, 13) ^ s->v0;
	s->v3 = ROTATE(s->v3, 16) ^ s->v2;
	s->v0 = ROTATE(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = ROTATE(s->v1, 17) ^ s->v2;
	s->v3 = ROTATE(s->v3, 21) ^ s->v0;
	s->v2 = ROTATE(s->v2, 32);
}

static inline void
sip_word(SipState *s, uint64 word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

static inline uint64
sip_result(SipState *s)
{
	for (int i = 0; i < 4; i++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Eight bytes, the least significant first. */
static inline uint64
load_word(const unsigned char *bytes, size_t len)
{
	uint64		word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (uint64) bytes[i] << (8 * i);
	return word;
}

static inline void
store_word(unsigned char *bytes, uint64 word)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char) (word >> (8 * i));
}

void
fm_siphash128(const pg_uuid_t *secret, const void *data, size_t len,
			  pg_uuid_t *result)
{
	const unsigned char *bytes = data;
	uint64		k0 = load_word(secret->data, 8);
	uint64		k1 = load_word(secret->data + 8, 8);
	SipState	s = {
		.v0 = k0 ^ UINT64CONST(0x736f6d6570736575),
		.v1 = k1 ^ UINT64CONST(0x646f72616e646f6d) ^ 0xee,
		.v2 = k0 ^ UINT64CONST(0x6c7967656e657261),
		.v3 = k1 ^ UINT64CONST(0x7465646279746573)
	};
	size_t		whole = len & ~(size_t) 7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_word(bytes + i, 8));
	sip_word(&s, (uint64) len << 56 | load_word(bytes + whole, len & 7));
	s.v2 ^= 0xee;
	store_word(result->data, sip_result(&s));
	s.v1 ^= 0xdd;
	store_word(result->data + 8, sip_result(&s));
}

/* False: the reading has no id. */
static bool
make_key(const FmPipeline *pipeline, const FmRow *row, pg_uuid_t *key)
{
	const FmReading *reading = row->reading;
	uint64		time;
	uint32		sensor;

	if (pipeline->dedup == FM_DEDUP_ID)
	{
		if (reading->unique_id.data == NULL)
			return false;
		fm_siphash128(&pipeline->dedup_secret, reading->unique_id.data,
					  reading->unique_id.len, key);
		return true;
	}
	/* in the order of bytes that is the order of times */
	time = pg_hton64((uint64) reading->ts ^ (UINT64CONST(1) << 63));
	sensor = pg_hton32((uint32) row->sensor_id);
	memset(key->data, 0, UUID_LEN);
	memcpy(key->data, &time, sizeof(time));
	memcpy(key->data + 8, &sensor, sizeof(sensor));
	return true;
}

static inline int
compare_keys(const FmReadingKey *a, const FmReadingKey *b)
{
	int			order = memcmp(a->key.data, b->key.data, UUID_LEN);

	return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE FmReadingKey
#define ST_COMPARE(a, b) compare_keys(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Keys that a message has more than once, numbered from the second one on.
 * Equal keys stand in order of rows, so those of a message are neighbours.
 */
static bool
number_keys(const FmPipeline *pipeline, const FmRow *rows, FmReadingKey *keys,
			int n)
{
	int			number = 0;
	pg_uuid_t	last;
	bool		any = false;

	for (int i = 0; i < n; i++)
	{
		bool		again = i > 0 &&
			memcmp(last.data, keys[i].key.data, UUID_LEN) == 0 &&
			rows[keys[i].row].message == rows[keys[i - 1].row].message;
		unsigned char numbered[UUID_LEN + sizeof(uint32)];
		uint32		bytes;

		last = keys[i].key;
		number = again ? number + 1 : 0;
		if (number == 0)
			continue;
		bytes = pg_hton32((uint32) number);
		memcpy(numbered, last.data, UUID_LEN);
		memcpy(numbered + UUID_LEN, &bytes, sizeof(bytes));
		fm_siphash128(&pipeline->dedup_secret, numbered, sizeof(numbered),
					  &keys[i].key);
		any = true;
	}
	return any;
}

int
fm_keys_make(const FmPipeline *pipeline, const FmBatchMessage *messages,
			 int from, int to, const FmRow *rows, FmReadingKey *keys)
{
	int			n = 0;

	for (int i = from; i < to; i++)
	{
		const FmBatchMessage *message = &messages[i];

		for (int r = 0; r < message->nrows; r++)
		{
			FmReadingKey *key = &keys[n];

			memset(key, 0, sizeof(*key));
			key->row = message->first_row + r;
			if (make_key(pipeline, &rows[key->row], &key->key))
				n++;
		}
	}
	sort_keys(keys, n);
	if (number_keys(pipeline, rows, keys, n))
		sort_keys(keys, n);
	return n;
}
