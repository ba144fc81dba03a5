/*-------------------------------------------------------------------------
 *
 * alarm.c
 *	  Alarm transitions: names, ids, lists of them, and their storage.
 *
 * What a transition means is decided in fold.c; here it is only carried.
 *
 * An event's id is computed, so that whoever meets the same event twice (a
 * consumer of published alerts, a replay) can tell.  It is a UUID of version
 * 8 (RFC 9562): the first 16 bytes of a SHA-256, with the six bits of version
 * and variant put over them.  Hashed are, each as four bytes of length (big
 * end first) and then the text itself, numbers in decimal:
 *
 *		kind, pipeline, topic, partition, incarnation, offset,
 *		reading index, condition, ordinal
 *
 * where kind is "event", or "alarm" for the id of the alarm that the event
 * begins.  The lengths keep ("a", "bc") and ("ab", "c") apart.
 *
 * Transitions are inserted with one statement a batch, whose plan is kept per
 * pipeline, since every pipeline has a table of its own.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "alarm.h"
#include "factorymon.h"

/* ------------------------------------------------------------------------
 * Names and figures
 * ------------------------------------------------------------------------
 */

static const char *const state_names[] = {
	[FM_ALARM_NORMAL] = "normal",
	[FM_ALARM_ACTIVE_UNACKNOWLEDGED] = "active_unacknowledged",
	[FM_ALARM_ACTIVE_ACKNOWLEDGED] = "active_acknowledged",
	[FM_ALARM_RETURNED_UNACKNOWLEDGED] = "returned_unacknowledged"
};

static const char *const transition_names[] = {
	[FM_TRANSITION_RAISED] = "raised",
	[FM_TRANSITION_ESCALATED] = "escalated",
	[FM_TRANSITION_DEESCALATED] = "deescalated",
	[FM_TRANSITION_RETURNED] = "returned",
	[FM_TRANSITION_ACKNOWLEDGED] = "acknowledged",
	[FM_TRANSITION_RE_ALARMED] = "re_alarmed",
	[FM_TRANSITION_SHELVED] = "shelved",
	[FM_TRANSITION_UNSHELVED] = "unshelved",
	[FM_TRANSITION_SUPPRESSED] = "suppressed",
	[FM_TRANSITION_UNSUPPRESSED] = "unsuppressed",
	[FM_TRANSITION_OUT_OF_SERVICE] = "out_of_service",
	[FM_TRANSITION_IN_SERVICE] = "in_service",
	[FM_TRANSITION_COMMENTED] = "commented",
	[FM_TRANSITION_DISABLED] = "disabled",
	[FM_TRANSITION_CLOSED] = "closed",
	[FM_TRANSITION_REINSTATED] = "reinstated",
	[FM_TRANSITION_MOVED] = "moved",
	[FM_TRANSITION_CHATTERING] = "chattering",
	[FM_TRANSITION_SETTLED] = "settled",
	[FM_TRANSITION_LATE_EXCURSION] = "late_excursion",
	[FM_TRANSITION_REFUSED] = "refused"
};

static const char *const cause_names[] = {
	[FM_CAUSE_DATA] = "data",
	[FM_CAUSE_OPERATOR] = "operator",
	[FM_CAUSE_CLOCK] = "clock"
};

static const char *const condition_names[FM_CONDITIONS] = {
	[FM_CONDITION_LIMIT] = "limit",
	[FM_CONDITION_SILENT] = "silent",
	[FM_CONDITION_ANOMALY] = "anomaly",
	[FM_CONDITION_RATE] = "rate",
	[FM_CONDITION_FLAT] = "flat",
	[FM_CONDITION_SEQUENCE] = "sequence",
	[FM_CONDITION_TIME] = "time",
	[FM_CONDITION_SEASONAL] = "seasonal"
};

const char *
fm_alarm_state_name(FmAlarmState state)
{
	Assert((int) state >= 0 && (int) state < lengthof(state_names));
	return state_names[state];
}

const char *
fm_transition_name(FmTransitionKind kind)
{
	Assert((int) kind >= 0 && (int) kind < lengthof(transition_names));
	return transition_names[kind];
}

const char *
fm_condition_name(int condition)
{
	Assert(condition >= 0 && condition < lengthof(condition_names));
	return condition_names[condition];
}

int
fm_condition_find(const char *name)
{
	for (int i = 0; i < lengthof(condition_names); i++)
	{
		if (strcmp(name, condition_names[i]) == 0)
			return i;
	}
	return -1;
}

/* What blocks it: the one that ends last, usually. */
static const char *
blocked_by(const FmAlarmEvent *event)
{
	if (event->blocks & FM_BLOCK_RETIRED)
		return "retired";
	if (event->blocks & FM_BLOCK_OUT_OF_SERVICE)
		return "out_of_service";
	if (event->blocks & FM_BLOCK_SUPPRESSED)
		return "suppressed";
	if (event->blocks & FM_BLOCK_MAINTENANCE)
		return "maintenance";
	return event->shelving != FM_SHELVING_NONE ? "shelved" : NULL;
}

/* ------------------------------------------------------------------------
 * Ids
 * ------------------------------------------------------------------------
 */

static void
hash_text(pg_cryptohash_ctx *hash, const char *value)
{
	uint32		len = strlen(value);
	uint32		prefix = pg_hton32(len);

	if (pg_cryptohash_update(hash, (const uint8 *) &prefix,
							 sizeof(prefix)) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) value, len) < 0)
		elog(ERROR, "could not compute SHA-256: %s",
			 pg_cryptohash_error(hash));
}

static void
hash_number(pg_cryptohash_ctx *hash, int64 value)
{
	char		buf[MAXINT8LEN + 1];

	pg_lltoa(value, buf);
	hash_text(hash, buf);
}

void
fm_event_id(pg_uuid_t *id, const char *kind, const FmEventSource *source)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	if (pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not initialize SHA-256: %s",
			 pg_cryptohash_error(hash));
	hash_text(hash, kind);
	hash_text(hash, source->pipeline);
	hash_text(hash, source->topic);
	hash_number(hash, source->kafka_partition);
	hash_number(hash, source->incarnation);
	hash_number(hash, source->kafka_offset);
	hash_number(hash, source->reading_index);
	hash_text(hash, source->condition);
	hash_number(hash, source->ordinal);
	if (pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not finalize SHA-256: %s",
			 pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);

	memcpy(id->data, digest, UUID_LEN);
	id->data[6] = (id->data[6] & 0x0f) | 0x80;	/* version 8 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;	/* variant of RFC 9562 */
}

void
fm_event_id_random(pg_uuid_t *id)
{
	if (!pg_strong_random(id->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id->data[6] = (id->data[6] & 0x0f) | 0x40;	/* version 4 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;	/* variant of RFC 9562 */
}

/* ------------------------------------------------------------------------
 * Lists
 * ------------------------------------------------------------------------
 */

void
fm_transitions_init(FmTransitionList *list, MemoryContext context)
{
	list->items = NULL;
	list->length = 0;
	list->allocated = 0;
	list->context = context;
}

/* A new last element, zeroed. */
FmTransition *
fm_transitions_add(FmTransitionList *list)
{
	FmTransition *item;

	if (list->length == list->allocated)
	{
		int			wanted = Max(64, list->allocated * 2);

		if (list->items == NULL)
			list->items = MemoryContextAllocHuge(list->context,
												 wanted * sizeof(FmTransition));
		else
			list->items = repalloc_huge(list->items,
										wanted * sizeof(FmTransition));
		list->allocated = wanted;
	}
	item = &list->items[list->length++];
	memset(item, 0, sizeof(*item));
	return item;
}

void
fm_transitions_truncate(FmTransitionList *list, int length)
{
	Assert(length >= 0 && length <= list->length);
	list->length = length;
}

void
fm_transitions_number(FmTransitionList *list, int n, int32 stream_id,
					  int64 *out_seq)
{
	Assert(n >= 0 && n <= list->length);
	for (int i = 0; i < n; i++)
	{
		FmTransition *item = &list->items[i];

		if (item->stream_id == stream_id && item->event.outgoing)
			item->out_seq = ++*out_seq;
	}
}

/* ------------------------------------------------------------------------
 * Storage
 * ------------------------------------------------------------------------
 */

/* Columns of the insert that come as arrays, in the order of the query. */
typedef enum InsertColumn
{
	INSERT_EVENT_ID,
	INSERT_ALARM_ID,
	INSERT_STREAM_ID,
	INSERT_KAFKA_OFFSET,
	INSERT_READING_INDEX,
	INSERT_ORDINAL,
	INSERT_SEQ,
	INSERT_SENSOR_ID,
	INSERT_SENSOR_VERSION_ID,
	INSERT_CONDITION,
	INSERT_TRANSITION,
	INSERT_STATE,
	INSERT_LEVEL,
	INSERT_PREVIOUS_STATE,
	INSERT_PREVIOUS_LEVEL,
	INSERT_SEVERITY,
	INSERT_VALUE,
	INSERT_LIMIT_VALUE,
	INSERT_DEADBAND,
	INSERT_QUALITY,
	INSERT_SCORE,
	INSERT_EVENT_TIME,
	INSERT_SINCE,
	INSERT_RAISED_AT,
	INSERT_ANNOUNCED,
	INSERT_BLOCKED_BY,
	INSERT_CAUSE,
	INSERT_ACTOR,
	INSERT_COMMENT,
	INSERT_LIMIT_VERSION,
	INSERT_OUT_SEQ,
	INSERT_COLUMNS
} InsertColumn;

static const FmArrayColumn insert_columns[INSERT_COLUMNS] = {
	[INSERT_EVENT_ID] = {"event_id", UUIDOID, UUIDARRAYOID},
	[INSERT_ALARM_ID] = {"alarm_id", UUIDOID, UUIDARRAYOID},
	[INSERT_STREAM_ID] = {"stream_id", INT4OID, INT4ARRAYOID},
	[INSERT_KAFKA_OFFSET] = {"kafka_offset", INT8OID, INT8ARRAYOID},
	[INSERT_READING_INDEX] = {"reading_index", INT2OID, INT2ARRAYOID},
	[INSERT_ORDINAL] = {"ordinal", INT2OID, INT2ARRAYOID},
	[INSERT_SEQ] = {"seq", INT4OID, INT4ARRAYOID},
	[INSERT_SENSOR_ID] = {"sensor_id", INT4OID, INT4ARRAYOID},
	[INSERT_SENSOR_VERSION_ID] = {"sensor_version_id", INT4OID, INT4ARRAYOID},
	[INSERT_CONDITION] = {"condition", TEXTOID, TEXTARRAYOID},
	[INSERT_TRANSITION] = {"transition", TEXTOID, TEXTARRAYOID},
	[INSERT_STATE] = {"state", TEXTOID, TEXTARRAYOID},
	[INSERT_LEVEL] = {"level", INT2OID, INT2ARRAYOID},
	[INSERT_PREVIOUS_STATE] = {"previous_state", TEXTOID, TEXTARRAYOID},
	[INSERT_PREVIOUS_LEVEL] = {"previous_level", INT2OID, INT2ARRAYOID},
	[INSERT_SEVERITY] = {"severity", INT2OID, INT2ARRAYOID},
	[INSERT_VALUE] = {"value", FLOAT8OID, FLOAT8ARRAYOID},
	[INSERT_LIMIT_VALUE] = {"limit_value", FLOAT8OID, FLOAT8ARRAYOID},
	[INSERT_DEADBAND] = {"deadband", FLOAT8OID, FLOAT8ARRAYOID},
	[INSERT_QUALITY] = {"quality", FLOAT4OID, FLOAT4ARRAYOID},
	[INSERT_SCORE] = {"score", FLOAT8OID, FLOAT8ARRAYOID},
	[INSERT_EVENT_TIME] = {"event_time", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[INSERT_SINCE] = {"since", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[INSERT_RAISED_AT] = {"raised_at", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[INSERT_ANNOUNCED] = {"announced", BOOLOID, BOOLARRAYOID},
	[INSERT_BLOCKED_BY] = {"blocked_by", TEXTOID, TEXTARRAYOID},
	[INSERT_CAUSE] = {"cause", TEXTOID, TEXTARRAYOID},
	[INSERT_ACTOR] = {"actor", TEXTOID, TEXTARRAYOID},
	[INSERT_COMMENT] = {"comment", TEXTOID, TEXTARRAYOID},
	[INSERT_LIMIT_VERSION] = {"limit_version", INT4OID, INT4ARRAYOID},
	[INSERT_OUT_SEQ] = {"out_seq", INT8OID, INT8ARRAYOID}
};

/* Plan kept of one pipeline's insert. */
typedef struct InsertPlan
{
	int32		pipeline_id;	/* hash key */
	void	   *plan;
} InsertPlan;

static HTAB *insert_plans = NULL;

static InsertPlan *
insert_plan_entry(int16 pipeline_id)
{
	int32		key = pipeline_id;
	InsertPlan *entry;
	bool		found;

	if (insert_plans == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(int32);
		ctl.entrysize = sizeof(InsertPlan);
		ctl.hcxt = TopMemoryContext;
		insert_plans = hash_create("factorymon transition inserts", 16, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(insert_plans, &key, HASH_ENTER, &found);
	if (!found)
		entry->plan = NULL;
	return entry;
}

/*
 * The statement; its first parameter is the pipeline, the rest are arrays.
 * (Only plain "unnest", without a schema, takes more than one of them.)
 */
static char *
insert_query(int16 pipeline_id)
{
	StringInfoData names;
	StringInfoData parameters;
	char	   *table = psprintf("transition_%d", pipeline_id);

	initStringInfo(&names);
	initStringInfo(&parameters);
	for (int i = 0; i < INSERT_COLUMNS; i++)
	{
		appendStringInfo(&names, ", %s", insert_columns[i].name);
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 2);
	}
	return psprintf("INSERT INTO _factorymon.%s"
					" (recorded_at, pipeline_id%s)"
					" SELECT pg_catalog.now(), $1%s"
					" FROM unnest(%s) AS u(%s)",
					quote_identifier(table), names.data, names.data,
					parameters.data, names.data + 2);
}

/* Values of all columns, column by column. */
typedef struct InsertArrays
{
	int			n;
	Datum	   *values[INSERT_COLUMNS];
	bool	   *nulls[INSERT_COLUMNS];
	Datum		states[lengthof(state_names)];
	Datum		transitions[lengthof(transition_names)];
	Datum		conditions[lengthof(condition_names)];
	Datum		causes[lengthof(cause_names)];
} InsertArrays;

static void
arrays_init(InsertArrays *arrays, int n)
{
	arrays->n = n;
	for (int i = 0; i < INSERT_COLUMNS; i++)
	{
		arrays->values[i] = palloc(n * sizeof(Datum));
		arrays->nulls[i] = palloc0(n * sizeof(bool));
	}
	for (int i = 0; i < lengthof(state_names); i++)
		arrays->states[i] = CStringGetTextDatum(state_names[i]);
	for (int i = 0; i < lengthof(transition_names); i++)
		arrays->transitions[i] = CStringGetTextDatum(transition_names[i]);
	for (int i = 0; i < lengthof(condition_names); i++)
		arrays->conditions[i] = CStringGetTextDatum(condition_names[i]);
	for (int i = 0; i < lengthof(cause_names); i++)
		arrays->causes[i] = CStringGetTextDatum(cause_names[i]);
}

/* A text, or none where it is NULL. */
static void
arrays_set_text(InsertArrays *arrays, InsertColumn column, int i,
				const char *text)
{
	arrays->nulls[column][i] = text == NULL;
	if (text != NULL)
		arrays->values[column][i] = CStringGetTextDatum(text);
}

/* The columns that say what happened to the alarm. */
static void
arrays_set_event(InsertArrays *arrays, int i, const FmAlarmEvent *event)
{
	Datum	  **values = arrays->values;

	values[INSERT_SEQ][i] = Int32GetDatum(event->seq);
	values[INSERT_TRANSITION][i] = arrays->transitions[event->kind];
	values[INSERT_STATE][i] = arrays->states[event->state];
	values[INSERT_LEVEL][i] =
		Int16GetDatum(FM_LEVEL_CODE(event->level, event->side, 0));
	values[INSERT_PREVIOUS_STATE][i] = arrays->states[event->previous_state];
	values[INSERT_PREVIOUS_LEVEL][i] =
		Int16GetDatum(FM_LEVEL_CODE(event->previous_level,
									event->previous_side, 0));
	values[INSERT_SINCE][i] = TimestampTzGetDatum(event->since);
	arrays->nulls[INSERT_SINCE][i] = event->since == FM_NEVER;
	values[INSERT_RAISED_AT][i] = TimestampTzGetDatum(event->raised_at);
	arrays->nulls[INSERT_RAISED_AT][i] = event->raised_at == FM_NEVER;
	values[INSERT_ANNOUNCED][i] = BoolGetDatum(event->announced);
	arrays_set_text(arrays, INSERT_BLOCKED_BY, i, blocked_by(event));
}

/* Set element i of all columns; item must outlive the arrays. */
static void
arrays_set(InsertArrays *arrays, int i, const FmTransition *item)
{
	Datum	  **values = arrays->values;
	bool	  **nulls = arrays->nulls;

	arrays_set_event(arrays, i, &item->event);
	values[INSERT_EVENT_ID][i] = UUIDPGetDatum(&item->event_id);
	values[INSERT_ALARM_ID][i] = UUIDPGetDatum(&item->alarm_id);
	values[INSERT_STREAM_ID][i] = Int32GetDatum(item->stream_id);
	values[INSERT_KAFKA_OFFSET][i] = Int64GetDatum(item->kafka_offset);
	values[INSERT_READING_INDEX][i] = Int16GetDatum(item->reading_index);
	values[INSERT_ORDINAL][i] = Int16GetDatum(item->ordinal);
	values[INSERT_SENSOR_ID][i] = Int32GetDatum(item->sensor_id);
	values[INSERT_SENSOR_VERSION_ID][i] =
		Int32GetDatum(item->sensor_version_id);
	nulls[INSERT_SENSOR_VERSION_ID][i] = item->sensor_version_id == 0;
	values[INSERT_CAUSE][i] = arrays->causes[item->cause];
	arrays_set_text(arrays, INSERT_ACTOR, i, item->actor);
	arrays_set_text(arrays, INSERT_COMMENT, i, item->comment);
	values[INSERT_CONDITION][i] = arrays->conditions[item->condition];
	values[INSERT_SEVERITY][i] = Int16GetDatum(item->severity);
	nulls[INSERT_SEVERITY][i] = item->severity == 0;
	values[INSERT_VALUE][i] = Float8GetDatum(item->value);
	nulls[INSERT_VALUE][i] = isnan(item->value);
	values[INSERT_LIMIT_VALUE][i] = Float8GetDatum(item->limit_value);
	nulls[INSERT_LIMIT_VALUE][i] = isnan(item->limit_value);
	values[INSERT_DEADBAND][i] = Float8GetDatum(item->deadband);
	values[INSERT_QUALITY][i] = Float4GetDatum(item->quality);
	nulls[INSERT_QUALITY][i] = !item->has_quality;
	values[INSERT_SCORE][i] = Float8GetDatum(item->score);
	nulls[INSERT_SCORE][i] = isnan(item->score);
	values[INSERT_EVENT_TIME][i] = TimestampTzGetDatum(item->event_time);
	nulls[INSERT_EVENT_TIME][i] = item->event_time == FM_NEVER;
	values[INSERT_LIMIT_VERSION][i] = Int32GetDatum(item->limit_version);
	nulls[INSERT_LIMIT_VERSION][i] = item->limit_version == 0;
	values[INSERT_OUT_SEQ][i] = Int64GetDatum(item->out_seq);
	nulls[INSERT_OUT_SEQ][i] = item->out_seq == 0;
}

void
fm_transitions_insert(int16 pipeline_id, const FmTransitionList *list, int n)
{
	InsertPlan *entry;
	InsertArrays arrays;
	Oid			types[INSERT_COLUMNS + 1];
	Datum		values[INSERT_COLUMNS + 1];

	Assert(n >= 0 && n <= list->length);
	if (n <= 0)
		return;

	entry = insert_plan_entry(pipeline_id);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	arrays_init(&arrays, n);
	for (int i = 0; i < n; i++)
		arrays_set(&arrays, i, &list->items[i]);
	types[0] = INT2OID;
	values[0] = Int16GetDatum(pipeline_id);
	for (int i = 0; i < INSERT_COLUMNS; i++)
	{
		types[i + 1] = insert_columns[i].array_type;
		values[i + 1] = fm_column_array(&insert_columns[i], arrays.values[i],
										arrays.nulls[i], n);
	}
	(void) fm_spi_run_kept(&entry->plan,
						   entry->plan == NULL ? insert_query(pipeline_id) :
						   "transition insert",
						   INSERT_COLUMNS + 1, types, values, NULL,
						   SPI_OK_INSERT);
	SPI_finish();
}
