/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  What goes out, on its way to Kafka: rows as messages, what became of
 *	  them, and when they can be forgotten.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "alert_message.h"
#include "guc.h"
#include "own_table.h"
#include "pipeline_internal.h"
#include "publication_internal.h"

const char *const fm_publication_header_names[FM_PUBLICATION_HEADERS] = {
	"event_id", "alarm_id", "transition", "severity",
	"source_topic", "source_partition", "source_offset"
};

/* ----------------------------------------------------------------------
 * Rows as messages
 * ------------------------------------------------------------------- */

#define PUBLICATION_LIST \
	"pipeline_id, pub_seq, event_id, stream_id, out_seq, recorded_at," \
	" numbered_at, message_key, payload, alarm_id, transition, severity," \
	" announced, source_topic, source_partition, source_offset, to_kafka"

/* Room for key and headers, as a rule. */
#define SHORT_TEXTS 256

/* What the headers have, in their order. */
static const int header_columns[FM_PUBLICATION_HEADERS] = {
	PUBLICATION_EVENT_ID, PUBLICATION_ALARM_ID, PUBLICATION_TRANSITION,
	PUBLICATION_SEVERITY, PUBLICATION_SOURCE_TOPIC,
	PUBLICATION_SOURCE_PARTITION, PUBLICATION_SOURCE_OFFSET
};

/* Append it, with a zero behind it; returns where it is. */
static int
add_bytes(StringInfo texts, const char *bytes, int len)
{
	int			at = texts->len;

	appendBinaryStringInfo(texts, bytes, len);
	appendBinaryStringInfo(texts, "", 1);
	return at;
}

static int
add_text(StringInfo texts, Datum value)
{
	text	   *plain = DatumGetTextPP(value);
	int			at = add_bytes(texts, VARDATA_ANY(plain),
							   (int) VARSIZE_ANY_EXHDR(plain));

	if ((Pointer) plain != DatumGetPointer(value))
		pfree(plain);
	return at;
}

static int
add_integer(StringInfo texts, int64 value)
{
	char		text[MAXINT8LEN + 1];

	return add_bytes(texts, text, pg_lltoa(value, text));
}

static int
add_header(StringInfo texts, int column, Datum value)
{
	char		uuid[FM_UUID_TEXT];

	switch (column)
	{
		case PUBLICATION_EVENT_ID:
		case PUBLICATION_ALARM_ID:
			fm_uuid_text(DatumGetUUIDP(value), uuid);
			return add_bytes(texts, uuid, FM_UUID_TEXT - 1);
		case PUBLICATION_SEVERITY:
			return add_integer(texts, DatumGetInt16(value));
		case PUBLICATION_SOURCE_PARTITION:
			return add_integer(texts, DatumGetInt32(value));
		case PUBLICATION_SOURCE_OFFSET:
			return add_integer(texts, DatumGetInt64(value));
		default:
			return add_text(texts, value);
	}
}

/* Milliseconds since 1970, halves rounded away from it. */
static int64
milliseconds(TimestampTz time)
{
	int64		usecs = time + USECS_PER_DAY *
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);

	return (usecs + (usecs < 0 ? -500 : 500)) / 1000;
}

/* One piece of memory has all texts: thousands of these come and go. */
void
fm_publication_make(const Datum *values, const bool *nulls,
					FmPublication *publication)
{
	Datum		payload = values[PUBLICATION_PAYLOAD - 1];
	StringInfoData texts;
	int			payload_at;
	int			key_at;
	int			header_at[FM_PUBLICATION_HEADERS];

	texts.maxlen = (int) toast_raw_datum_size(payload) + SHORT_TEXTS;
	texts.data = palloc(texts.maxlen);
	texts.cursor = 0;
	resetStringInfo(&texts);
	payload_at = add_text(&texts, payload);
	key_at = add_text(&texts, values[PUBLICATION_MESSAGE_KEY - 1]);
	publication->payload_len = key_at - payload_at - 1;
	publication->key_len = texts.len - key_at - 1;
	for (int i = 0; i < FM_PUBLICATION_HEADERS; i++)
	{
		int			column = header_columns[i];

		header_at[i] = nulls[column - 1] ? -1 :
			add_header(&texts, column, values[column - 1]);
	}
	publication->pub_seq = DatumGetInt64(values[PUBLICATION_PUB_SEQ - 1]);
	publication->timestamp =
		milliseconds(DatumGetTimestampTz(values[PUBLICATION_RECORDED_AT - 1]));
	publication->noted = false;
	publication->texts = texts.data;
	publication->payload = texts.data + payload_at;
	publication->key = texts.data + key_at;
	for (int i = 0; i < FM_PUBLICATION_HEADERS; i++)
		publication->headers[i] = header_at[i] < 0 ? NULL :
			texts.data + header_at[i];
}

/* ----------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------- */

/* One more column than the table has: is there a row of its delivery? */
static void
read_publication(uint64 row, FmPublication *publication)
{
	Datum		values[PUBLICATION_COLUMNS + 1];
	bool		nulls[PUBLICATION_COLUMNS + 1];

	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values,
					  nulls);
	fm_publication_make(values, nulls, publication);
	publication->noted = !nulls[PUBLICATION_COLUMNS];
}

static void
args_numbers(FmArgs *args, const int64 *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	ArrayType  *array;

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(numbers[i]);
	array = construct_array(values, n, INT8OID, sizeof(int64),
							FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	fm_args_add(args, INT8ARRAYOID, PointerGetDatum(array), false);
}

static void
args_texts(FmArgs *args, const char *const *texts, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	fm_args_add(args, TEXTARRAYOID,
				PointerGetDatum(construct_array(values, n, TEXTOID, -1, false,
												TYPALIGN_INT)), false);
}

/* (the limit within has the delivery looked up by its key, whatever the
 * statistics are) */
#define LOAD_PUBLICATIONS \
	"SELECT " PUBLICATION_LIST ", d.noted" \
	" FROM _factorymon.publication o" \
	" LEFT JOIN LATERAL (SELECT true AS noted, x.delivered_at" \
	"  FROM _factorymon.delivery x" \
	"  WHERE x.pipeline_id = $1 AND x.pub_seq = o.pub_seq LIMIT 1) d ON true" \
	" WHERE pipeline_id = $1 AND pub_seq > $2" \
	" AND to_kafka AND d.delivered_at IS NULL" \
	" AND message_key <> ALL ($4) AND pub_seq <> ALL ($5)" \
	" ORDER BY pub_seq LIMIT $3"

int
fm_publication_load(const FmPipeline *pipeline, int64 after,
					const char *const *keys, int nkeys,
					const int64 *numbers, int nnumbers, int limit,
					MemoryContext context, FmPublication *publications)
{
	static void *plan = NULL;
	FmArgs		args = {0};
	MemoryContext old;
	int			n;

	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, after);
	fm_args_int4(&args, limit);
	args_texts(&args, keys, nkeys);
	args_numbers(&args, numbers, nnumbers);
	n = (int) fm_args_run_kept(&args, &plan, LOAD_PUBLICATIONS,
							   SPI_OK_SELECT);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
		read_publication(i, &publications[i]);
	MemoryContextSwitchTo(old);
	return n;
}

void
fm_publication_free(FmPublication *publication)
{
	pfree(publication->texts);
}

void
fm_publication_forget(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	(void) fm_args_run(&args, "UPDATE _factorymon.publication o"
					   " SET to_kafka = false FROM _factorymon.publisher p"
					   " WHERE p.pipeline_id = $1 AND o.pipeline_id = $1"
					   " AND o.pub_seq > p.delivered_seq AND o.to_kafka"
					   " AND (SELECT d.delivered_at"
					   "  FROM _factorymon.delivery d"
					   "  WHERE d.pipeline_id = $1"
					   "  AND d.pub_seq = o.pub_seq) IS NULL", SPI_OK_UPDATE);
	(void) fm_args_run(&args, "UPDATE _factorymon.publisher"
					   " SET delivered_seq = pub_seq WHERE pipeline_id = $1",
					   SPI_OK_UPDATE);
}

int64
fm_publication_delivered_seq(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	return fm_args_run(&args, "SELECT delivered_seq FROM _factorymon.publisher"
					   " WHERE pipeline_id = $1", SPI_OK_SELECT) == 0 ? 0 :
		fm_spi_int8(0, 1);
}

bool
fm_publication_set_delivered_seq(const FmPipeline *pipeline, int64 pub_seq)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, pub_seq);
	return fm_args_run_kept(&args, &plan, "UPDATE _factorymon.publisher"
							" SET delivered_seq = $2 WHERE pipeline_id = $1",
							SPI_OK_UPDATE) > 0;
}

void
fm_publication_delivered(const FmPipeline *pipeline, const int64 *numbers,
						 int n)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	args_numbers(&args, numbers, n);
	(void) fm_args_run_kept(&args, &plan, "INSERT INTO _factorymon.delivery"
							" AS d (pipeline_id, pub_seq, delivered_at,"
							" attempts, attempted_at) SELECT $1, u, c, 1, c"
							" FROM unnest($2) u, clock_timestamp() c"
							" ON CONFLICT (pipeline_id, pub_seq) DO UPDATE"
							" SET delivered_at = excluded.delivered_at,"
							" attempted_at = excluded.attempted_at,"
							" attempts = d.attempts + 1", SPI_OK_INSERT);
}

void
fm_publication_delivered_first(const FmPipeline *pipeline,
							   const int64 *numbers, int n)
{
	TimestampTz now = GetCurrentTimestamp();
	FmOwnTable	table;

	fm_own_table_open(&table, "delivery", DELIVERY_COLUMNS,
					  DELIVERY_PIPELINE_ID);
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *row = fm_own_table_row(&table);

		fm_own_table_set_int2(row, DELIVERY_PIPELINE_ID, pipeline->id);
		fm_own_table_set(row, DELIVERY_PUB_SEQ, Int64GetDatum(numbers[i]),
						 false);
		fm_own_table_set_time(row, DELIVERY_DELIVERED_AT, now);
		fm_own_table_set_int4(row, DELIVERY_ATTEMPTS, 1);
		fm_own_table_set_time(row, DELIVERY_ATTEMPTED_AT, now);
		fm_own_table_set(row, DELIVERY_LAST_ERROR, (Datum) 0, true);
		fm_own_table_put(&table, row);
	}
	fm_own_table_close(&table);
}

void
fm_publication_failed(const FmPipeline *pipeline, const int64 *numbers,
					  int n, bool refused, const char *error)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	args_numbers(&args, numbers, n);
	fm_args_text(&args, error);
	fm_args_int4(&args, refused ? 1 : 0);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.delivery AS d"
					   " (pipeline_id, pub_seq, attempts, attempted_at,"
					   " last_error) SELECT $1, u, $4, clock_timestamp(), $3"
					   " FROM unnest($2) u"
					   " ON CONFLICT (pipeline_id, pub_seq) DO UPDATE SET"
					   " attempted_at = excluded.attempted_at,"
					   " attempts = d.attempts + excluded.attempts,"
					   " last_error = excluded.last_error",
					   SPI_OK_INSERT);
}

/* What went out, or was never to; what Kafka has not got yet stays. */
void
fm_publication_expire(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(fm_alert_retention)};

	/* their numbers are in the order of their age */
	fm_spi_run("WITH kept AS (SELECT p.pipeline_id, (SELECT x.pub_seq"
			   "  FROM _factorymon.publication x"
			   "  WHERE x.pipeline_id = p.pipeline_id"
			   "  AND x.numbered_at >= coalesce((SELECT CASE"
			   "   WHEN r.keep = interval '0' THEN '-infinity'"
			   "   ELSE now() - r.keep END FROM _factorymon.retention r"
			   "   WHERE r.pipeline_id = p.pipeline_id"
			   "   AND r.level = 'alarms'),"
			   "   now() - make_interval(mins => $1))"
			   "  ORDER BY x.pub_seq LIMIT 1) AS pub_seq"
			   " FROM _factorymon.publisher p),"
			   " gone AS (DELETE FROM _factorymon.publication o USING kept k"
			   "  WHERE o.pipeline_id = k.pipeline_id"
			   "  AND (o.pub_seq < k.pub_seq OR k.pub_seq IS NULL)"
			   "  AND (NOT o.to_kafka OR (SELECT d.delivered_at"
			   "   FROM _factorymon.delivery d"
			   "   WHERE d.pipeline_id = o.pipeline_id"
			   "   AND d.pub_seq = o.pub_seq) IS NOT NULL)"
			   "  RETURNING o.pipeline_id, o.pub_seq)"
			   " DELETE FROM _factorymon.delivery d USING gone g"
			   " WHERE d.pipeline_id = g.pipeline_id AND d.pub_seq = g.pub_seq",
			   1, types, values, NULL, SPI_OK_DELETE);
}
