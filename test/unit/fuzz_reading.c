/*-------------------------------------------------------------------------
 *
 * fuzz_reading.c
 *	  Any bytes at all: the decoder must survive them and agree with the
 *	  oracle about them.
 *
 * Built with clang's -fsanitize=fuzzer this is a libFuzzer target.  Built
 * with FM_STANDALONE it has a main() of its own, which needs nothing but a C
 * compiler (and so runs under valgrind too):
 *
 *		fuzz_reading [--seconds N] [--seed N]	mutates messages
 *		fuzz_reading FILE...					tries these payloads
 *		fuzz_reading --corpus DIRECTORY			writes the messages it starts
 *												from, for libFuzzer
 *
 * Either way each input goes through the decoder twice, once through each
 * of its two ways, and through some mappings, in memory of exactly its size; a disagreement is printed, written to ./fuzz-failure, and ends
 * the program with abort().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/reading_internal.h"
#include "mapping_test.h"
#include "messages.h"
#include "oracle.h"

/* Longest input the mutations make. */
#define MAX_INPUT		4096

static unsigned long outcomes[FM_REJECT_DATABASE + 1];
static unsigned long taken_fast;

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fail(const char *payload, size_t len, const char *complaint)
{
	FILE	   *file = fopen("fuzz-failure", "wb");

	if (file != NULL)
	{
		fwrite(payload, 1, len, file);
		fclose(file);
	}
	fprintf(stderr, "%s\n%.*s\n", complaint, (int) len, payload);
	abort();
}

/* Decoding again, after other messages, must give the same. */
static void
check_repeatable(const char *payload, size_t len, FmArena *arena)
{
	FmDecoded	first;
	FmDecoded	second;

	fm_decode_factory(payload, len, arena, &first);
	fm_decode_factory(payload, len, arena, &second);
	if (first.reason != second.reason ||
		strcmp(first.detail, second.detail) != 0)
		fail(payload, len, "the outcome is not repeatable");
}

static bool
same_text(FmSlice a, FmSlice b)
{
	return a.len == b.len && (a.data == NULL) == (b.data == NULL) &&
		(a.data == NULL || memcmp(a.data, b.data, (size_t) a.len) == 0);
}

/* Equal to the last bit; of two absent numbers both are zero. */
static bool
same_reading(const FmReading *a, const FmReading *b)
{
	return a->ts == b->ts && a->ts_digits == b->ts_digits &&
		memcmp(&a->value, &b->value, sizeof(a->value)) == 0 &&
		same_text(a->sensor_id, b->sensor_id) &&
		same_text(a->sensor_type, b->sensor_type) &&
		same_text(a->factory_section, b->factory_section) &&
		same_text(a->machine_id, b->machine_id) &&
		same_text(a->zone, b->zone) && same_text(a->unit, b->unit) &&
		a->reported == b->reported &&
		a->has_quality == b->has_quality &&
		memcmp(&a->quality, &b->quality, sizeof(a->quality)) == 0 &&
		a->has_reading_count == b->has_reading_count &&
		a->reading_count == b->reading_count &&
		a->has_warning_threshold == b->has_warning_threshold &&
		memcmp(&a->warning_threshold, &b->warning_threshold,
			   sizeof(a->warning_threshold)) == 0 &&
		a->has_critical_threshold == b->has_critical_threshold &&
		memcmp(&a->critical_threshold, &b->critical_threshold,
			   sizeof(a->critical_threshold)) == 0 &&
		same_text(a->extra, b->extra);
}

/* What the fast way takes, the other one takes as the same reading. */
static void
check_fast(const char *payload, size_t len, FmArena *arena)
{
	FmReading	fast;
	FmReading	other;
	FmDecoded	result;

	if (!fm_decode_fast(payload, len, &fast))
		return;
	taken_fast++;
	fm_decode_any(payload, len, arena, &other, &result);
	if (result.reason != FM_REJECT_NONE)
		fail(payload, len, "the fast way takes what is to be refused");
	if (!same_reading(&fast, &other))
		fail(payload, len, "the fast way makes another reading of it");
}

/* Mappings through which every input goes; the first is the factory's. */
static const char *const mappings[] = {
	"{\"timestamp\":{\"at\":[\"/timestamp\",\"/t\"],\"as\":[\"local\",\"epoch_s\","
	"\"rfc3339\"],\"time_zone\":\"Test/East\"},\"sensor_id\":{\"join\":"
	"[\"/sensor_id\",{\"const\":\"/\"},\"/location/zone\"]},\"sensor_type\":"
	"{\"at\":\"/sensor_type\",\"nullable\":true,\"default\":\"d\"},\"value\":"
	"{\"at\":\"/value\",\"min\":-1000},\"unit\":{\"at\":\"/unit\",\"pattern\":"
	"\".*[^x]?\",\"default\":\"\"}}",
	"{\"timestamp\":\"/timestamp\",\"sensor_type\":\"/sensor_type\",\"readings\":"
	"[{\"sensor_id\":\"/sensor_id\",\"value\":{\"at\":\"/value\",\"required\":"
	"false}},{\"sensor_id\":{\"join\":[{\"const\":\"q\"},\"/sensor_id\"]},"
	"\"value\":{\"at\":\"/quality\",\"required\":false}}]}",
	"{\"each\":\"/n\",\"timestamp\":\"/timestamp\",\"sensor_id\":\"/sensor_id\","
	"\"sensor_type\":{\"const\":\"c\"},\"value\":\"@\"}",
	"{\"each\":\"/location/floor\",\"timestamp\":\"/timestamp\",\"sensor_id\":"
	"\"/sensor_id\",\"sensor_type\":{\"const\":\"c\"},\"value\":{\"at\":\"@/0\","
	"\"default\":1}}"
};

#define NUM_MAPPINGS	((int) (sizeof(mappings) / sizeof(mappings[0])))

static void
ignore_drift(void *arg, const FmDrift *drift)
{
	*(int *) arg += drift->path.len + drift->example.len;
}

/* The factory's own mapping must say what fm_decode_factory() does. */
static void
check_factory(const char *payload, size_t len, const FmDecoded *mapped,
			  FmArena *arena)
{
	FmDecoded	factory;
	FmReading	reading;

	fm_decode_factory(payload, len, arena, &factory);
	if ((factory.reason == FM_REJECT_NONE) != (mapped->reason == FM_REJECT_NONE))
		fail(payload, len, mapped->reason == FM_REJECT_NONE ?
			 "the mapping takes what the factory format refuses" :
			 "the mapping refuses what the factory format takes");
	if (factory.reason != FM_REJECT_NONE)
		return;
	reading = mapped->readings[0];
	/* to a mapping a level is one in capitals, too; both keep the word */
	if (factory.readings[0].reported == FM_REPORTED_OTHER)
		reading.reported = FM_REPORTED_OTHER;
	if (!same_reading(&factory.readings[0], &reading))
		fail(payload, len, "the mapping makes another reading of it");
}

/* Through all mappings: survived, repeatable, nothing lost, and back. */
static void
check_mappings(const char *payload, size_t len, FmArena *arena)
{
	static FmArena memory;
	static FmFormat *formats[NUM_MAPPINGS + 1];
	int			drift = 0;
	int			told = 0;
	int			i;

	for (i = 0; i <= NUM_MAPPINGS; i++)
	{
		FmDecoded	decoded;

		if (formats[i] == NULL)
			formats[i] = compile_or_die(i == 0 ? fm_builtin_format
										(FM_FACTORY_FORMAT)->mapping :
										mappings[i - 1], &memory);
		fm_decode(formats[i], payload, len, arena, &decoded);
		if (i == 0)
			check_factory(payload, len, &decoded, arena);
		if (decoded.strange)
			fm_drift_scan(formats[i], payload, len, ignore_drift, &drift);
		if (find_lost(formats[i], (FmSlice) {payload, (int) len},
					  &decoded).data != NULL)
			fail(payload, len, "something of it is lost");
		if (!compose_again(formats[i], (FmSlice) {payload, (int) len},
						   &decoded, arena, &told))
			fail(payload, len, "its readings make another message");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FmArena arena;		/* all zero: initialised, and reused */
	char	   *payload = xmalloc(size > 0 ? size : 1);
	char		complaint[512];
	FmRejectReason reason;

	memcpy(payload, data, size);
	if (!oracle_agrees(payload, size, &arena, &reason, complaint,
					   sizeof(complaint)))
		fail(payload, size, complaint);
	outcomes[reason]++;
	check_repeatable(payload, size, &arena);
	check_fast(payload, size, &arena);
	check_mappings(payload, size, &arena);
	fm_arena_reset(&arena);
	free(payload);
	return 0;
}

#ifdef FM_STANDALONE

static const char *const seeds[] = {
	CANONICAL,
	"{\"timestamp\":\"2000-01-01T05:30:00+05:30\",\"sensor_id\":\"s\","
	"\"sensor_type\":\"t\",\"location\":{\"factory_section\":\"\","
	"\"machine_id\":\"\",\"zone\":\"\"},\"value\":0,\"unit\":\"\"}",
	"{ \"timestamp\" : \"2024-02-29T23:59:59.5Z\", \"sensor_id\" : \"\\u00e9\""
	", \"sensor_type\" : \"\\uD83D\\uDE00\", \"location\" : {\"zone\":\"\\n\","
	"\"floor\":[1,2,{}], \"machine_id\":\"m\", \"factory_section\":\"f\"},"
	"\"value\":9007199254740993, \"unit\":\"K\", \"alert_level\":\"odd\","
	"\"quality\":0.123456789, \"metadata\":{}, \"x\":{\"y\":[null,true,"
	"\"\\\"}\\\\\"]}}",
	"{\"value\":-1.5e-10,\"metadata\":{\"reading_count\":99999999999,"
	"\"note\":\"\",\"warning_threshold\":1e308},\"unit\":\"%\","
	"\"quality\":0,\"location\":{\"factory_section\":\"a\",\"machine_id\":"
	"\"b\",\"zone\":\"c\"},\"sensor_type\":\"x\",\"sensor_id\":\"y\","
	"\"timestamp\":\"2016-12-31T23:59:60Z\",\"alert_level\":\"normal\"}",
	"{\"value\":-10000000000000000000000000000000000,\"unit\":\"\","
	"\"location\":{\"factory_section\":\"a\",\"machine_id\":\"b\","
	"\"zone\":\"c\"},\"sensor_type\":\"x\",\"sensor_id\":\"y\","
	"\"timestamp\":\"2016-12-31T23:59:59Z\","
	"\"n\":[100000000000000000001,1e038]}",
	"[]", "[[[[{\"a\":{\"a\":1,\"\\u0062\":2}}]]]]", "null", "1e5", "{}",
	"9007197254740993725474099360"
};

#define NUM_SEEDS	((int) (sizeof(seeds) / sizeof(seeds[0])))

/* Pieces that mutations put in. */
static const char *const pieces[] = {
	"\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "null", "true",
	"false", "0", "-0", "1", "1.5", "-1", "1e308", "1e309", "1e-400", "0.1",
	"9007199254740993", "2147483648", "1e16383", "1e-16384", ".", "e", "-",
	"\\u0000", "\\u0041", "\\uD800", "\\uDC00", "\\n", "\\/", "\"a\":1",
	"\"timestamp\":", "\"sensor_id\":", "\"sensor_type\":", "\"location\":",
	"\"factory_section\":", "\"machine_id\":", "\"zone\":", "\"value\":",
	"\"unit\":", "\"alert_level\":", "\"quality\":", "\"metadata\":",
	"\"reading_count\":", "\"warning_threshold\":", "\"critical_threshold\":",
	"\"x\":{\"y\":1}", "\"\"", "{}", "[]", "\"critical\"", "\"warning\"",
	"\xC2\xB0", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82",
	"\xEF\xBB\xBF", "\"2025-09-16T21:41:41Z\"", "\"2025-02-30T00:00:00Z\"",
	"+05:30", "Z", "T", "60", "99", "[[[[[[[[", "]]]]]]]]", "\x01", "\x7F"
};

#define NUM_PIECES	((int) (sizeof(pieces) / sizeof(pieces[0])))

typedef struct Input
{
	char		bytes[MAX_INPUT];
	int			len;
} Input;

static uint64_t state;

static int
below(int n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return n > 0 ? (int) (state % (uint64_t) n) : 0;
}

/* Replace old_len bytes at a place by len others, if there is room. */
static void
replace(Input *input, int at, int old_len, const char *bytes, int len)
{
	char		copy[MAX_INPUT];

	if (at + old_len > input->len || input->len - old_len + len > MAX_INPUT)
		return;
	memcpy(copy, bytes, (size_t) len);	/* may be a part of the input */
	memmove(input->bytes + at + len, input->bytes + at + old_len,
			(size_t) (input->len - at - old_len));
	memcpy(input->bytes + at, copy, (size_t) len);
	input->len += len - old_len;
}

/* Some JSON value that a member of a message might have; returns its length */
static int
random_value(char *out)
{
	static const char *const fragments[] = {
		"x", "\xC2\xB0", "\\n", "\\u00e9", "\\uD83D\\uDE00", "\xE2\x82\xAC"
	};
	char	   *p = out;
	int			i;

	switch (below(6))
	{
		case 0:					/* a number of any length and size */
			p += sprintf(p, "%s%d", below(4) == 0 ? "-" : "",
						 below(3) == 0 ? below(1000000000) : below(100));
			if (below(2) == 0)
			{
				*p++ = '.';
				for (i = below(22); i >= 0; i--)
					*p++ = (char) ('0' + below(below(3) == 0 ? 1 : 10));
			}
			if (below(4) == 0)
				p += sprintf(p, "e%d", below(2) == 0 ? below(330) - 340 :
							 below(20) - 10);
			break;
		case 1:					/* a number that may be a quality */
			p += sprintf(p, "%.*f", 1 + below(12), below(1000001) / 1e6);
			break;
		case 2:					/* a string of any length */
			*p++ = '"';
			for (i = below(below(2) == 0 ? 300 : 5); i > 0; i--)
				p += sprintf(p, "%s",
							 below(4) > 0 ? "y" : fragments[below(6)]);
			*p++ = '"';
			break;
		case 3:					/* something like a timestamp */
			p += sprintf(p, "\"%04d-%02d-%02dT%02d:%02d:%02d",
						 below(4) == 0 ? below(10000) : 2025, 1 + below(12),
						 1 + below(31), below(24), below(60),
						 below(10) == 0 ? 60 : below(60));
			if (below(2) == 0)
				p += sprintf(p, ".%0*d", 1 + below(8), below(10));
			if (below(3) == 0)
				p += sprintf(p, "%c%02d:%02d\"", below(2) == 0 ? '+' : '-',
							 below(25), below(61));
			else
				p += sprintf(p, "%s\"", below(20) == 0 ? "" : "Z");
			break;
		default:
			p += sprintf(p, "%s", pieces[below(NUM_PIECES)]);
			break;
	}
	return (int) (p - out);
}

/* Give some member another value. */
static void
change_value(Input *input)
{
	char		value[MAX_INPUT];
	int			at = below(input->len + 1);
	int			end;

	while (at < input->len && input->bytes[at] != ':')
		at++;
	if (at == input->len)
		return;
	for (end = ++at; end < input->len; end++)
	{
		if (strchr(",}]", input->bytes[end]) != NULL)
			break;
	}
	replace(input, at, end - at, value, random_value(value));
}

static void
mutate(Input *input)
{
	int			at = below(input->len + 1);
	int			len = below(below(4) == 0 ? 40 : 4);
	const char *piece = pieces[below(NUM_PIECES)];
	char		byte = (char) below(256);

	if (len > input->len - at)
		len = input->len - at;
	switch (below(7))
	{
		case 0:					/* change a byte */
			replace(input, at, len > 0, &byte, len > 0);
			break;
		case 1:					/* leave some out */
			replace(input, at, len, "", 0);
			break;
		case 2:					/* put a piece in */
			replace(input, at, 0, piece, (int) strlen(piece));
			break;
		case 3:					/* put a piece in place of something */
			replace(input, at, len, piece, (int) strlen(piece));
			break;
		case 4:					/* say something twice, elsewhere */
			replace(input, below(input->len + 1), 0, input->bytes + at, len);
			break;
		case 5:					/* change a digit, the most fragile thing */
			for (; at < input->len; at++)
			{
				if (input->bytes[at] >= '0' && input->bytes[at] <= '9')
				{
					input->bytes[at] = (char) ('0' + below(10));
					break;
				}
			}
			break;
		default:				/* end early */
			if (below(20) == 0)
				input->len = at;
			break;
	}
}

static void
run_mutations(long seconds, uint64_t seed)
{
	time_t		end = time(NULL) + seconds;
	unsigned long runs = 0;
	int			i;

	state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	while (time(NULL) < end)
	{
		for (i = 0; i < 200; i++, runs++)
		{
			const char *start = seeds[below(NUM_SEEDS)];
			bool		by_value = below(2) == 0;
			Input		input;
			int			n = 1 + below(below(3) == 0 ? 30 : 3);

			input.len = (int) strlen(start);
			memcpy(input.bytes, start, (size_t) input.len);
			while (n-- > 0)
			{
				if (by_value)
					change_value(&input);
				else
					mutate(&input);
			}
			LLVMFuzzerTestOneInput((const uint8_t *) input.bytes,
								   (size_t) input.len);
		}
	}
	printf("# %lu inputs, seed %llu:", runs, (unsigned long long) seed);
	for (i = 0; i <= FM_REJECT_DATABASE; i++)
	{
		if (outcomes[i] > 0)
			printf(" %s %lu", fm_reject_reason_name((FmRejectReason) i),
				   outcomes[i]);
	}
	printf("; the fast way took %lu\nok 1 - the decoder and the oracle agree on mutated messages\n"
		   "1..1\n", taken_fast);
}

static void
run_file(const char *name)
{
	FILE	   *file = fopen(name, "rb");
	char	   *bytes = xmalloc(FM_MAX_PAYLOAD + 2);
	size_t		len;

	if (file == NULL)
	{
		perror(name);
		exit(2);
	}
	len = fread(bytes, 1, FM_MAX_PAYLOAD + 2, file);
	fclose(file);
	LLVMFuzzerTestOneInput((const uint8_t *) bytes, len);
	free(bytes);
}

static void
write_corpus(const char *directory)
{
	int			i;

	for (i = 0; i < NUM_SEEDS; i++)
	{
		char		name[1024];
		FILE	   *file;

		snprintf(name, sizeof(name), "%s/seed-%d", directory, i);
		file = fopen(name, "wb");
		if (file == NULL || fputs(seeds[i], file) < 0 || fclose(file) != 0)
		{
			perror(name);
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	long		seconds = 10;
	uint64_t	seed = (uint64_t) time(NULL);
	bool		mutations = true;
	int			i;

	for (i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atol(argv[++i]);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else
		{
			mutations = false;
			if (strcmp(argv[i], "--corpus") == 0 && i + 1 < argc)
				write_corpus(argv[++i]);
			else
				run_file(argv[i]);
		}
	}
	if (mutations)
		run_mutations(seconds, seed);
	return 0;
}

#endif							/* FM_STANDALONE */
