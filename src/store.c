/*-------------------------------------------------------------------------
 *
 * store.c
 *	  A batch of readings into the tables.
 *
 * There are two ways in.  The general one is the executor's, with one INSERT
 * ... SELECT from the foreign table _factorymon.batch, prepared once a
 * pipeline: partitions, triggers, constraints and distributed tables are
 * honoured because nothing here knows about them.  Where none of that is there
 * but partitions, store_direct.c does the same with less work a row.  Rejects
 * and heartbeats are few and go in one by one.
 *
 * Nothing here begins or ends a transaction, and nothing here decides what
 * an error means: see commit.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch_fdw.h"
#include "factorymon.h"
#include "guc.h"
#include "heartbeat.h"
#include "store.h"
#include "store_direct.h"
#include "worker.h"

#define FIRST_HEADERS 16
#define READING_COLUMNS \
	"ts, kafka_offset, value, sensor_id, stream_id, sensor_version_id, " \
	"reading_count, quality, pipeline_id, reading_index, level, flags, extra"

/* Plans of one pipeline; a worker has one, a session maybe a few. */
typedef struct FmStorePlans
{
	int16		pipeline_id;
	void	   *rows;
	void	   *rows_returning;
	void	   *reject;
	struct FmStorePlans *next;
} FmStorePlans;

static FmStorePlans *all_plans = NULL;

/*
 * True once a trigger has kept a row out: from then on the statement returns
 * what it stored, which costs something, so it is not done before.
 */
static bool use_returning = false;

static FmStorePlans *
plans_of(int16 pipeline_id)
{
	FmStorePlans *plans;

	for (plans = all_plans; plans; plans = plans->next)
		if (plans->pipeline_id == pipeline_id)
			return plans;
	plans = MemoryContextAllocZero(TopMemoryContext, sizeof(*plans));
	plans->pipeline_id = pipeline_id;
	plans->next = all_plans;
	all_plans = plans;
	return plans;
}

/*
 * Rows come back in the order in which they went in; those that are missing
 * were suppressed.
 */
static void
mark_suppressed(FmRow *rows, int nrows, uint64 nstored)
{
	uint64		stored = 0;

	for (int i = 0; i < nrows; i++)
	{
		bool		isnull;

		rows[i].suppressed = true;
		if (stored >= nstored)
			continue;
		if (DatumGetInt32(fm_spi_value(stored, 1, &isnull)) ==
			rows[i].stream_id &&
			DatumGetInt64(fm_spi_value(stored, 2, &isnull)) ==
			rows[i].kafka_offset &&
			DatumGetInt16(fm_spi_value(stored, 3, &isnull)) ==
			rows[i].reading_index)
		{
			rows[i].suppressed = false;
			stored++;
		}
	}
	if (stored != nstored)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("a trigger changed the identity of a stored reading")));
}

static uint64
insert_plain(FmStorePlans *plans)
{
	char		sql[512];

	snprintf(sql, sizeof(sql),
			 "INSERT INTO _factorymon.reading_%d (" READING_COLUMNS ")"
			 " SELECT " READING_COLUMNS " FROM _factorymon.batch",
			 plans->pipeline_id);
	return fm_spi_run_kept(&plans->rows, sql, 0, NULL, NULL, NULL,
						   SPI_OK_INSERT);
}

static uint64
insert_returning(FmStorePlans *plans)
{
	char		sql[512];

	snprintf(sql, sizeof(sql),
			 "INSERT INTO _factorymon.reading_%d (" READING_COLUMNS ")"
			 " SELECT " READING_COLUMNS " FROM _factorymon.batch"
			 " RETURNING stream_id, kafka_offset, reading_index",
			 plans->pipeline_id);
	return fm_spi_run_kept(&plans->rows_returning, sql, 0, NULL, NULL, NULL,
						   SPI_OK_INSERT_RETURNING);
}

const char *
fm_store_rows_fast(int16 pipeline_id, FmRow *rows, int nrows)
{
	const char *objection = "factorymon.direct_insert";

	if (nrows == 0)
		return NULL;
	/* an error in there is of no row in particular */
	fm_batch_fdw_clear();
	if (fm_direct_insert)
		objection = fm_store_direct(pipeline_id, rows, nrows);
	if (objection)
		fm_store_rows(pipeline_id, rows, nrows);
	return objection;
}

void
fm_store_rows(int16 pipeline_id, FmRow *rows, int nrows)
{
	FmStorePlans *plans = plans_of(pipeline_id);
	uint64		nstored;

	if (nrows == 0)
		return;
	fm_batch_fdw_set(pipeline_id, rows, nrows);
	if (use_returning)
	{
		nstored = insert_returning(plans);
		mark_suppressed(rows, nrows, nstored);
		SPI_freetuptable(SPI_tuptable);
	}
	else
	{
		nstored = insert_plain(plans);
		if (nstored != (uint64) nrows)
		{
			use_returning = true;
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("a trigger kept readings out of the table; the batch is repeated to see which")));
		}
	}
	fm_batch_fdw_clear();
}

int
fm_store_last_row(void)
{
	return fm_batch_fdw_last_row();
}

/* ----------------------------------------------------------------------
 * Rejects
 * ------------------------------------------------------------------- */

static void
push_string(JsonbParseState **state, JsonbIteratorToken token,
			const char *text, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = len;
	(void) pushJsonbValue(state, token, &value);
}

/* Any bytes in base64, as text. */
static text *
to_base64(const void *data, size_t len)
{
	Datum		bytes = PointerGetDatum(cstring_to_text_with_len(data,
																 (int) len));

	return DatumGetTextPP(DirectFunctionCall2(binary_encode, bytes,
											  CStringGetTextDatum("base64")));
}

/* One member: under key if it is text, else in base64 under other_key. */
static void
push_member(JsonbParseState **state, const char *key, const char *other_key,
			const void *data, size_t len)
{
	text	   *encoded;

	if (memchr(data, '\0', len) == NULL &&
		pg_verify_mbstr(PG_UTF8, data, (int) len, true))
	{
		push_string(state, WJB_KEY, key, (int) strlen(key));
		push_string(state, WJB_VALUE, data, (int) len);
		return;
	}
	encoded = to_base64(data, len);
	push_string(state, WJB_KEY, other_key, (int) strlen(other_key));
	push_string(state, WJB_VALUE, VARDATA_ANY(encoded),
				VARSIZE_ANY_EXHDR(encoded));
}

static void
push_header(JsonbParseState **state, const FmHeader *header)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_member(state, "name", "name_base64", header->name,
				strlen(header->name));
	if (header->value)
		push_member(state, "value", "base64", header->value, header->len);
	else
	{
		JsonbValue	null = {.type = jbvNull};

		push_string(state, WJB_KEY, "value", 5);
		(void) pushJsonbValue(state, WJB_VALUE, &null);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* All headers of a message, however many. */
static FmHeader *
get_headers(const FmMessage *message, int *n)
{
	int			size = FIRST_HEADERS;
	FmHeader   *headers = palloc(sizeof(FmHeader) * size);

	while ((*n = fm_message_headers(message, headers, size)) == size)
	{
		size *= 2;
		headers = repalloc(headers, sizeof(FmHeader) * size);
	}
	return headers;
}

/* [{"name": ..., "value" | "base64": ...}, ...]; NULL without headers. */
static Jsonb *
headers_to_jsonb(const FmMessage *message)
{
	int			n;
	FmHeader   *headers = get_headers(message, &n);
	JsonbParseState *state = NULL;

	if (n == 0)
		return NULL;
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
		push_header(&state, &headers[i]);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Any bytes as bytea (text and bytea share their layout). */
static Datum
bytes_datum(const char *data, size_t len)
{
	return PointerGetDatum(cstring_to_text_with_len(data, (int) len));
}

static void
store_reject(FmStorePlans *plans, int32 stream_id, const FmBatchMessage *one)
{
	const FmMessage *message = &one->message;
	Jsonb	   *headers = headers_to_jsonb(message);
	Oid			types[10] = {INT2OID, INT4OID, INT8OID, TIMESTAMPTZOID,
	BYTEAOID, BYTEAOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[10];
	char		nulls[11];
	char		sql[512];

	memset(nulls, ' ', 10);
	nulls[10] = '\0';
	values[0] = Int16GetDatum(plans->pipeline_id);
	values[1] = Int32GetDatum(stream_id);
	values[2] = Int64GetDatum(message->offset);
	values[3] = TimestampTzGetDatum(one->message_at);
	if (!fm_kafka_time_valid(message->timestamp))
		nulls[3] = 'n';
	values[4] = message->key ? bytes_datum(message->key, message->key_len)
		: (Datum) 0;
	nulls[4] = message->key ? ' ' : 'n';
	values[5] = message->payload ? bytes_datum(message->payload, message->len)
		: (Datum) 0;
	nulls[5] = message->payload ? ' ' : 'n';
	values[6] = JsonbPGetDatum(headers);
	nulls[6] = headers ? ' ' : 'n';
	values[7] = CStringGetTextDatum(fm_reject_reason_name(one->reason));
	values[8] = CStringGetTextDatum(one->sqlstate);
	values[9] = one->detail ? CStringGetTextDatum(one->detail) : (Datum) 0;
	nulls[9] = one->detail ? ' ' : 'n';

	snprintf(sql, sizeof(sql),
			 "INSERT INTO _factorymon.reject_%d (rejected_at, pipeline_id,"
			 " stream_id, kafka_offset, message_at, key, value, headers,"
			 " reason, sqlstate, detail)"
			 " VALUES (now(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			 plans->pipeline_id);
	(void) fm_spi_run_kept(&plans->reject, sql, 10, types, values, nulls,
						   SPI_OK_INSERT);
}

void
fm_store_rejects(int16 pipeline_id, const int32 *stream_ids,
				 const FmBatchMessage *messages, int n)
{
	FmStorePlans *plans = plans_of(pipeline_id);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "factorymon reject",
											   ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < n; i++)
	{
		MemoryContext old;

		if (messages[i].class != FM_CLASS_REJECTED)
			continue;
		old = MemoryContextSwitchTo(work);
		store_reject(plans, stream_ids[messages[i].stream], &messages[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(work);
	}
	MemoryContextDelete(work);
}

/* ----------------------------------------------------------------------
 * Heartbeats
 * ------------------------------------------------------------------- */

static void
set_text(Datum *value, char *null, const FmSlice *slice)
{
	*null = slice->data ? ' ' : 'n';
	*value = slice->data ?
		PointerGetDatum(cstring_to_text_with_len(slice->data, slice->len))
		: (Datum) 0;
}

static void
set_count(Datum *value, char *null, const FmOptionalNumber *number)
{
	*null = number->known ? ' ' : 'n';
	*value = Int64GetDatum((int64) number->value);
}

static void
set_time(Datum *value, char *null, const FmOptionalTime *time)
{
	*null = time->known ? ' ' : 'n';
	*value = TimestampTzGetDatum(time->ts);
}

static void
store_heartbeat(int32 stream_id, const FmBatchMessage *one,
				const FmHeartbeat *beat)
{
	static void *plan = NULL;
	Oid			types[15] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, FLOAT8OID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID};
	Datum		values[15];
	char		nulls[16];

	memset(nulls, ' ', 15);
	nulls[15] = '\0';
	values[0] = Int32GetDatum(stream_id);
	set_text(&values[1], &nulls[1], &beat->producer_id);
	set_text(&values[2], &nulls[2], &beat->host);
	set_text(&values[3], &nulls[3], &beat->version);
	set_text(&values[4], &nulls[4], &beat->state);
	set_text(&values[5], &nulls[5], &beat->connection);
	set_count(&values[6], &nulls[6], &beat->sensors);
	set_count(&values[7], &nulls[7], &beat->sent);
	set_count(&values[8], &nulls[8], &beat->delivered);
	set_count(&values[9], &nulls[9], &beat->errors);
	values[10] = Float8GetDatum(beat->interval.value);
	nulls[10] = beat->interval.known ? ' ' : 'n';
	set_time(&values[11], &nulls[11], &beat->started_at);
	set_time(&values[12], &nulls[12], &beat->sent_at);
	values[13] = TimestampTzGetDatum(one->message_at);
	values[14] = Int64GetDatum(one->message.offset);

	(void) fm_spi_run_kept(&plan,
						   "INSERT INTO _factorymon.producer AS p"
						   " (stream_id, producer_id, host, version, state,"
						   " connection, sensors, sent, delivered, errors,"
						   " heartbeat_interval, started_at, sent_at,"
						   " heartbeat_at, kafka_offset) VALUES ($1, $2, $3,"
						   " $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
						   " $15) ON CONFLICT (stream_id, producer_id)"
						   " DO UPDATE SET (host, version, state, connection,"
						   " sensors, sent, delivered, errors,"
						   " heartbeat_interval, started_at, sent_at,"
						   " heartbeat_at, kafka_offset) = ROW (excluded.host,"
						   " excluded.version, excluded.state,"
						   " excluded.connection, excluded.sensors,"
						   " excluded.sent, excluded.delivered,"
						   " excluded.errors, excluded.heartbeat_interval,"
						   " excluded.started_at, excluded.sent_at,"
						   " excluded.heartbeat_at, excluded.kafka_offset)"
						   " WHERE p.kafka_offset < excluded.kafka_offset",
						   15, types, values, nulls, SPI_OK_INSERT);
}

void
fm_store_heartbeats(const int32 *stream_ids, const FmBatchMessage *messages,
					int n)
{
	for (int i = 0; i < n; i++)
	{
		const FmBatchMessage *one = &messages[i];
		FmHeartbeat beat;
		FmDecoded	ignored;
		FmArena		arena;

		if (one->class != FM_CLASS_HEARTBEAT)
			continue;
		fm_arena_init(&arena);
		PG_TRY();
		{
			if (fm_decode_heartbeat(one->message.payload, one->message.len,
									&arena, &beat, &ignored))
				store_heartbeat(stream_ids[one->stream], one, &beat);
		}
		PG_FINALLY();
		{
			fm_arena_free(&arena);
		}
		PG_END_TRY();
	}
}
