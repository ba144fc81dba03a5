/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  The limits in force: a cache of factorymon.threshold.
 *
 * Limits are rows of a table over built-in defaults.  They must be obeyed
 * from the next batch after a commit on, by processes that cannot afford to
 * read the table for every batch.  So each process keeps all of them in a
 * hash table:
 *
 * - Changing rows tells nobody, but a change of a table's definition does.
 *	 The trigger threshold_changed() (ENABLE ALWAYS, once a statement) sends a
 *	 relation-cache invalidation for the table, as if it had been altered.
 * - Invalidations are taken in when a transaction begins and whenever
 *	 fm_limits_refresh() is called.  The callback only counts them: it may run
 *	 anywhere, also within a load.
 * - fm_limits_refresh() loads when the count differs from what it was when
 *	 the last successful load began.  It notes the count before it takes its
 *	 snapshot, so a change that comes in between is loaded next time; a load
 *	 that fails by an error leaves table and count as they were, that is,
 *	 still to be loaded.  The snapshot is the latest one even in a repeatable
 *	 read transaction: what is cached must not be older than what is counted.
 *
 * A table of limits lives in a memory context of its own, which hangs below
 * the transaction until it is complete, and again once another one has taken
 * its place: who has found limits in it can use them until the transaction
 * ends, whatever a trigger calls meanwhile.
 *
 * Keys are bytes: the scope ('s'ensor, 'm'achine, 'z'one, 't'ype, 'd'efault),
 * then pipeline (or '*' for any), sensor type and the name in that scope.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "classify.h"
#include "detector_config.h"
#include "factorymon.h"

PG_FUNCTION_INFO_V1(factorymon_limits_of);

/* ------------------------------------------------------------------------
 * The cache
 * ------------------------------------------------------------------------
 */

/* Longest key that a reading can ask for; longer ones are never cached. */
#define MAX_KEY \
	(2 + NAMEDATALEN + 1 + FM_MAX_SHORT_NAME + 1 + FM_MAX_SENSOR_ID)

typedef struct LimitEntry
{
	FmSlice		key;
	uint32		hash;
	char		status;			/* for simplehash */
	FmLimits	limits;
} LimitEntry;

#define SH_PREFIX		limithash
#define SH_ELEMENT_TYPE	LimitEntry
#define SH_KEY_TYPE		FmSlice
#define SH_KEY			key
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key).data, (key).len)
#define SH_EQUAL(tb, a, b) \
	((a).len == (b).len && memcmp((a).data, (b).data, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

static struct
{
	bool		watching;		/* callback registered */
	Oid			relid;			/* factorymon.threshold */
	uint64		invalidations;	/* seen so far */
	uint64		loaded;			/* invalidations when the load began */
	uint32		generation;		/* number of loads; 0: none yet */
	MemoryContext context;		/* of the table */
	limithash_hash *table;
	bool		intervals;		/* one has an expected interval */
}			cache;

static const FmLimits no_limits = {
	.critical_low = NAN,
	.warning_low = NAN,
	.warning_high = NAN,
	.critical_high = NAN,
	.severity = {500, 900},
	.wants_acknowledgement = true,
	.shelvable = true
};

static const char limits_query[] =
"SELECT threshold_id, pipeline, sensor_type, zone, machine_id, sensor_id,"
"       critical_low, warning_low, warning_high, critical_high, deadband,"
"       (pg_catalog.date_part('epoch', on_delay) * 1000000)::bigint,"
"       (pg_catalog.date_part('epoch', off_delay) * 1000000)::bigint,"
"       coalesce((pg_catalog.date_part('epoch', re_alarm_after) * 1000000)::bigint, 0),"
"       warning_severity, critical_severity, acknowledgement, shelvable,"
"       version, enabled,"
"       (pg_catalog.date_part('epoch', expected_interval) * 1000000)::bigint"
"  FROM factorymon.threshold"
" UNION ALL "
"SELECT NULL, NULL, sensor_type, NULL, NULL, NULL,"
"       critical_low, warning_low, warning_high, critical_high, deadband,"
"       (pg_catalog.date_part('epoch', on_delay) * 1000000)::bigint,"
"       (pg_catalog.date_part('epoch', off_delay) * 1000000)::bigint,"
"       0, 500::smallint, 900::smallint, true, true, 0, true, NULL"
"  FROM factorymon.default_thresholds()";

/* Columns of limits_query. */
enum
{
	LIMIT_ID = 1,
	LIMIT_PIPELINE,
	LIMIT_SENSOR_TYPE,
	LIMIT_ZONE,
	LIMIT_MACHINE_ID,
	LIMIT_SENSOR_ID,
	LIMIT_CRITICAL_LOW,
	LIMIT_WARNING_LOW,
	LIMIT_WARNING_HIGH,
	LIMIT_CRITICAL_HIGH,
	LIMIT_DEADBAND,
	LIMIT_ON_DELAY,
	LIMIT_OFF_DELAY,
	LIMIT_RE_ALARM_AFTER,
	LIMIT_WARNING_SEVERITY,
	LIMIT_CRITICAL_SEVERITY,
	LIMIT_ACKNOWLEDGEMENT,
	LIMIT_SHELVABLE,
	LIMIT_VERSION,
	LIMIT_ENABLED,
	LIMIT_EXPECTED_INTERVAL
};

/* Relation-cache callback; InvalidOid stands for all relations. */
static void
limits_invalidated(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cache.relid)
		cache.invalidations++;
}

static int
key_append(char *key, int len, const char *data, int datalen)
{
	if (len < 0 || len + datalen > MAX_KEY)
		return -1;
	if (datalen > 0)
		memcpy(key + len, data, datalen);
	return len + datalen;
}

/*
 * Make the key of a scope in key (of MAX_KEY bytes).  Returns its length, or
 * -1 if it is too long to be that of a reading.  pipeline NULL: any.
 */
static int
key_build(char *key, char scope, const char *pipeline,
		  const FmSlice *sensor_type, const FmSlice *name)
{
	int			len = 0;

	key[len++] = scope;
	key[len++] = pipeline != NULL ? '=' : '*';
	if (pipeline != NULL)
		len = key_append(key, len, pipeline, strlen(pipeline) + 1);
	len = key_append(key, len, sensor_type->data, sensor_type->len);
	len = key_append(key, len, "", 1);
	return key_append(key, len, name->data, name->len);
}

/* A text column of the current result as a slice; false if it is NULL. */
static bool
result_slice(uint64 row, int column, FmSlice *slice)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	slice->data = isnull ? "" : TextDatumGetCString(datum);
	slice->len = strlen(slice->data);
	return !isnull;
}

static double
result_limit(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? NAN : DatumGetFloat8(datum);
}

/*
 * Limits of a result row.  A row that is not enabled means no limits for its
 * scope: it still hides what is less specific.  How often something reports is
 * no limit, and holds all the same.
 */
static FmLimits
result_limits(uint64 row)
{
	FmLimits	limits = no_limits;
	bool		isnull;
	Datum		datum;

	datum = fm_spi_value(row, LIMIT_ID, &isnull);
	limits.threshold_id = isnull ? 0 : DatumGetInt32(datum);
	datum = fm_spi_value(row, LIMIT_VERSION, &isnull);
	limits.version = DatumGetInt32(datum);
	datum = fm_spi_value(row, LIMIT_EXPECTED_INTERVAL, &isnull);
	limits.expected_interval = isnull ? 0 : DatumGetInt64(datum);
	if (!DatumGetBool(fm_spi_value(row, LIMIT_ENABLED, &isnull)))
		return limits;

	limits.critical_low = result_limit(row, LIMIT_CRITICAL_LOW);
	limits.warning_low = result_limit(row, LIMIT_WARNING_LOW);
	limits.warning_high = result_limit(row, LIMIT_WARNING_HIGH);
	limits.critical_high = result_limit(row, LIMIT_CRITICAL_HIGH);
	limits.deadband = result_limit(row, LIMIT_DEADBAND);
	datum = fm_spi_value(row, LIMIT_ON_DELAY, &isnull);
	limits.on_delay = DatumGetInt64(datum);
	datum = fm_spi_value(row, LIMIT_OFF_DELAY, &isnull);
	limits.off_delay = DatumGetInt64(datum);
	datum = fm_spi_value(row, LIMIT_RE_ALARM_AFTER, &isnull);
	limits.re_alarm_after = DatumGetInt64(datum);
	datum = fm_spi_value(row, LIMIT_WARNING_SEVERITY, &isnull);
	limits.severity[0] = DatumGetInt16(datum);
	datum = fm_spi_value(row, LIMIT_CRITICAL_SEVERITY, &isnull);
	limits.severity[1] = DatumGetInt16(datum);
	datum = fm_spi_value(row, LIMIT_ACKNOWLEDGEMENT, &isnull);
	limits.wants_acknowledgement = DatumGetBool(datum);
	datum = fm_spi_value(row, LIMIT_SHELVABLE, &isnull);
	limits.shelvable = DatumGetBool(datum);
	return limits;
}

/*
 * Add one result row to a table that lives in context.  Does it say how often
 * something reports?
 */
static bool
load_row(limithash_hash *table, MemoryContext context, uint64 row)
{
	char		buf[MAX_KEY];
	char		scope;
	FmSlice		pipeline;
	FmSlice		sensor_type;
	FmSlice		name;
	FmSlice		key;
	LimitEntry *entry;
	bool		isnull;
	bool		found;
	bool		has_pipeline;

	has_pipeline = result_slice(row, LIMIT_PIPELINE, &pipeline);
	(void) result_slice(row, LIMIT_SENSOR_TYPE, &sensor_type);
	if (result_slice(row, LIMIT_SENSOR_ID, &name))
		scope = 's';
	else if (result_slice(row, LIMIT_MACHINE_ID, &name))
		scope = 'm';
	else if (result_slice(row, LIMIT_ZONE, &name))
		scope = 'z';
	else
	{
		(void) fm_spi_value(row, LIMIT_ID, &isnull);
		scope = isnull ? 'd' : 't';
	}

	key.len = key_build(buf, scope, has_pipeline ? pipeline.data : NULL,
						&sensor_type, &name);
	if (key.len < 0)
		return false;
	key.data = MemoryContextAlloc(context, key.len);
	memcpy(unconstify(char *, key.data), buf, key.len);
	entry = limithash_insert(table, key, &found);
	entry->limits = result_limits(row);
	return entry->limits.expected_interval != 0;
}

/* Load everything into a new table; see the top of the file. */
static void
limits_load(void)
{
	uint64		loading = cache.invalidations;
	MemoryContext context;
	limithash_hash *table;
	bool		intervals = false;

	context = AllocSetContextCreate(CurTransactionContext,
									"factorymon limits",
									ALLOCSET_SMALL_SIZES);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PushActiveSnapshot(GetLatestSnapshot());
	/* "read only" is to say: with the snapshot just pushed */
	if (SPI_execute(limits_query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read factorymon.threshold");
	table = limithash_create(context, Max(SPI_processed, 16), NULL);
	for (uint64 row = 0; row < SPI_processed; row++)
		intervals |= load_row(table, context, row);
	PopActiveSnapshot();
	SPI_finish();

	/* nothing below can fail */
	MemoryContextSetParent(context, TopMemoryContext);
	if (cache.context != NULL)
		MemoryContextSetParent(cache.context, TopTransactionContext);
	cache.context = context;
	cache.table = table;
	cache.intervals = intervals;
	cache.loaded = loading;
	cache.generation++;
}

uint32
fm_limits_refresh(void)
{
	Oid			relid = get_relname_relid("threshold",
										  get_namespace_oid("factorymon",
															false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"factorymon.threshold\" does not exist")));
	if (!cache.watching)
	{
		CacheRegisterRelcacheCallback(limits_invalidated, (Datum) 0);
		cache.watching = true;
	}
	AcceptInvalidationMessages();
	if (relid != cache.relid)
	{
		/* first use, or the extension was dropped and created again */
		cache.relid = relid;
		cache.invalidations++;
	}
	/* what is looked up by a generation is both */
	if (fm_detectors_refresh())
		cache.invalidations++;
	if (cache.loaded != cache.invalidations)
		limits_load();
	return cache.generation;
}

uint32
fm_limits_loaded(void)
{
	return cache.watching && cache.loaded == cache.invalidations ?
		cache.generation : 0;
}

bool
fm_limits_have_intervals(void)
{
	return cache.intervals;
}

/* One scope: this pipeline's row, else that of any pipeline. */
static const FmLimits *
limits_probe(char scope, const char *pipeline, const FmSlice *sensor_type,
			 const FmSlice *name)
{
	char		buf[MAX_KEY];
	FmSlice		key = {buf, 0};
	LimitEntry *entry = NULL;

	key.len = key_build(buf, scope, pipeline, sensor_type, name);
	if (key.len >= 0)
		entry = limithash_lookup(cache.table, key);
	if (entry == NULL && pipeline != NULL)
		return limits_probe(scope, NULL, sensor_type, name);
	return entry != NULL ? &entry->limits : NULL;
}

const FmLimits *
fm_limits_find(const char *pipeline, const FmSlice *sensor_type,
			   const FmSlice *zone, const FmSlice *machine_id,
			   const FmSlice *sensor_id)
{
	static const FmSlice nothing = {"", 0};
	const FmLimits *found = NULL;

	if (cache.table == NULL)
		elog(ERROR, "limits were not loaded");
	found = limits_probe('s', pipeline, sensor_type, sensor_id);
	if (found == NULL)
		found = limits_probe('m', pipeline, sensor_type, machine_id);
	if (found == NULL)
		found = limits_probe('z', pipeline, sensor_type, zone);
	if (found == NULL)
		found = limits_probe('t', pipeline, sensor_type, &nothing);
	if (found == NULL)
		found = limits_probe('d', NULL, sensor_type, &nothing);
	return found != NULL ? found : &no_limits;
}

/* ------------------------------------------------------------------------
 * SQL
 * ------------------------------------------------------------------------
 */

static FmSlice
argument_slice(FunctionCallInfo fcinfo, int n)
{
	text	   *argument = PG_GETARG_TEXT_PP(n);
	FmSlice		slice = {VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument)};

	return slice;
}

/*
 * limits_of(pipeline, sensor_type, zone, machine_id, sensor_id): what a
 * reading so described is judged by, as a worker would see it now.
 */
Datum
factorymon_limits_of(PG_FUNCTION_ARGS)
{
	char	   *pipeline = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FmSlice		sensor_type = argument_slice(fcinfo, 1);
	FmSlice		zone = argument_slice(fcinfo, 2);
	FmSlice		machine_id = argument_slice(fcinfo, 3);
	FmSlice		sensor_id = argument_slice(fcinfo, 4);
	TupleDesc	tupdesc;
	const FmLimits *limits;
	Interval	interval = {0};
	Datum		values[7];
	bool		nulls[7];

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE ||
		tupdesc->natts != lengthof(values))
		elog(ERROR, "unexpected result type of factorymon_limits_of");

	(void) fm_limits_refresh();
	limits = fm_limits_find(pipeline, &sensor_type, &zone, &machine_id,
							&sensor_id);

	values[0] = Float8GetDatum(limits->critical_low);
	nulls[0] = isnan(limits->critical_low);
	values[1] = Float8GetDatum(limits->warning_low);
	nulls[1] = isnan(limits->warning_low);
	values[2] = Float8GetDatum(limits->warning_high);
	nulls[2] = isnan(limits->warning_high);
	values[3] = Float8GetDatum(limits->critical_high);
	nulls[3] = isnan(limits->critical_high);
	values[4] = Float8GetDatum(limits->deadband);
	nulls[4] = false;
	interval.time = limits->expected_interval;
	values[5] = IntervalPGetDatum(&interval);
	nulls[5] = limits->expected_interval == 0;
	values[6] = Int32GetDatum(limits->threshold_id);
	nulls[6] = limits->threshold_id == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
