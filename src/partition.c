/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  The tables of a pipeline, and their partitions by time.
 *
 * Pipeline N stores into tables of its own, all owned by the extension's
 * owner, none of them a member of the extension (pg_dump carries them whole):
 *
 *	_factorymon.reading_N	  by ts, as wide as the pipeline's
 *							  partition_interval
 *	_factorymon.reject_N	  by rejected_at, 7 days
 *	_factorymon.reading_key_N by seen_at, half of deduplicate_ttl; each
 *							  partition has a unique index of its own
 *	_factorymon.duplicate_N	  by seen_at, the same
 *	_factorymon.transition_N  by recorded_at, 30 days
 *	_factorymon.score_N		  by recorded_at, 30 days
 *	_factorymon.rollup_1m_N	  by bucket, 7 days
 *	_factorymon.rollup_1h_N	  by bucket, 60 days
 *	_factorymon.rollup_1d_N	  by bucket, 1000 days
 *	_factorymon.ledger_N	  not by time
 *
 * Each is a LIST partition of the member table without the number, which
 * makes reading all pipelines easy and is never written to.
 *
 * Time partitions begin at multiples of their width since 2000-01-01 UTC.
 * After partition_interval was changed, or where somebody attached a table by
 * hand, a new one is cut to the space between its neighbours.  Tables are
 * created aside and attached: that takes SHARE UPDATE EXCLUSIVE on the
 * parent, which disturbs neither readers nor writers, where CREATE TABLE ...
 * PARTITION OF would lock everybody out.
 *
 * fm_partition_ensure() takes ROW EXCLUSIVE on the table and keeps it, so
 * what it found or made cannot be dropped before the caller's transaction
 * ends: dropping a partition wants ACCESS EXCLUSIVE on the table.  An answer
 * from an earlier transaction is only a hint.  Makers of partitions of one
 * table take turns by an object lock on it, which conflicts with nothing else.
 *
 * Each process remembers a few ranges that it knows to exist.  An entry is
 * good while this transaction holds the lock on the parent; after taking the
 * lock anew it is good unless an invalidation of the parent came with it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_ensure_partition);

#define REJECT_WIDTH		(7 * USECS_PER_DAY)
#define TRANSITION_WIDTH	(30 * USECS_PER_DAY)
#define ROLLUP_1M_WIDTH		(7 * USECS_PER_DAY)
#define ROLLUP_1H_WIDTH		(60 * USECS_PER_DAY)
#define ROLLUP_1D_WIDTH		(1000 * USECS_PER_DAY)

/* Kinds of tables, in the order of creation. */
typedef struct StorageKind
{
	const char *name;
	const char *time_column;	/* NULL: not partitioned by time */
	int64		width;			/* 0: the pipeline's partition_interval */
	const char *indexes[3];		/* what follows the table's name */
	const char *unique;			/* the same of each partition; or NULL */
	bool		dedup;			/* as wide as a slice of deduplication */
} StorageKind;

static const StorageKind storage_kinds[] = {
	{"reading", "ts", 0, {"(sensor_id, ts)", NULL}},
	{"reject", "rejected_at", REJECT_WIDTH,
	{"(stream_id, kafka_offset)", NULL}},
	{"reading_key", "seen_at", 0, {NULL}, "(key)", true},
	{"duplicate", "seen_at", 0, {NULL}, NULL, true},
	{"transition", "recorded_at", TRANSITION_WIDTH,
	{"(stream_id, kafka_offset)", "(sensor_id, event_time)",
	"(stream_id, out_seq) WHERE out_seq IS NOT NULL"}},
	{"score", "recorded_at", TRANSITION_WIDTH, {"(sensor_id, ts)", NULL}},
	{"rollup_1m", "bucket", ROLLUP_1M_WIDTH, {"(sensor_id, bucket)", NULL}},
	{"rollup_1h", "bucket", ROLLUP_1H_WIDTH, {"(sensor_id, bucket)", NULL}},
	{"rollup_1d", "bucket", ROLLUP_1D_WIDTH, {"(sensor_id, bucket)", NULL}},
	{"ledger", NULL, 0, {"(stream_id, from_offset)", NULL}},
};

/* A range that is known to have a partition. */
typedef struct KnownRange
{
	Oid			parent;			/* InvalidOid: entry is free */
	bool		locked;			/* this transaction has the lock on parent */
	int16		pipeline_id;
	const StorageKind *kind;
	TimestampTz from;
	TimestampTz to;
} KnownRange;

#define N_KNOWN_RANGES 8

/* Most recently used first. */
static KnownRange known_ranges[N_KNOWN_RANGES];

/* How many partitions this process has made. */
static uint64 nmade = 0;

/* How the partitions of one table lie around one moment. */
typedef struct RangeSurvey
{
	bool		exists;			/* a partition holds the moment */
	TimestampTz from;			/* it, or the space around the moment */
	TimestampTz to;
	int			count;			/* partitions of the table */
} RangeSurvey;

/* ----------------------------------------------------------------------
 * Names and widths
 * ------------------------------------------------------------------- */

static const StorageKind *
storage_kind(const char *name)
{
	for (int i = 0; i < lengthof(storage_kinds); i++)
		if (strcmp(storage_kinds[i].name, name) == 0)
			return &storage_kinds[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind of storage: \"%s\"", name)));
	return NULL;				/* keep compiler quiet */
}

Oid
fm_storage_relid(int16 pipeline_id, const char *kind)
{
	char		name[NAMEDATALEN];
	Oid			schema = get_namespace_oid("_factorymon", true);

	snprintf(name, sizeof(name), "%s_%d", kind, pipeline_id);
	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/*
 * The root first: PostgreSQL locks it below the table when it looks at the
 * table's partition constraint, and above it when it drops the table.
 */
Oid
fm_storage_lock(int16 pipeline_id, const char *kind, LOCKMODE mode)
{
	RangeVar   *root = makeRangeVar("_factorymon", pstrdup(kind), -1);
	RangeVar   *table = makeRangeVar("_factorymon",
									 psprintf("%s_%d", kind, pipeline_id), -1);

	(void) RangeVarGetRelid(root, AccessShareLock, true);
	return RangeVarGetRelid(table, mode, true);
}

void
fm_storage_lock_shape(Oid relid)
{
	LockDatabaseObject(RelationRelationId, relid, 0, ExclusiveLock);
}

int64
fm_partition_width(const char *kind, int64 partition_interval)
{
	int64		width = storage_kind(kind)->width;

	return width > 0 ? width : partition_interval;
}

void
fm_partition_bounds(int64 partition_interval, TimestampTz ts,
					TimestampTz *from, TimestampTz *to)
{
	int64		n = ts / partition_interval;

	Assert(partition_interval > 0);
	if (ts % partition_interval < 0)
		n--;
	*from = n * partition_interval;
	*to = *from + partition_interval;
}

/* Years that have four digits, well inside of what a timestamp holds. */
static bool
has_plain_year(TimestampTz ts)
{
	struct pg_tm tm;
	fsec_t		fsec;

	return !TIMESTAMP_NOT_FINITE(ts) &&
		timestamp2tm(ts, NULL, &tm, &fsec, NULL, NULL) == 0 &&
		tm.tm_year >= 1000 && tm.tm_year <= 9990;
}

/* A moment as a literal that no DateStyle or time zone can bend. */
static char *
utc_literal(TimestampTz ts)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(ts, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return psprintf("'%04d-%02d-%02d %02d:%02d:%02d.%06d+00'",
					tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
}

/*
 * A free name for the partition that begins at from: its day, its hour if
 * that is not 0, and a number if such a table is there already, detached.
 */
static char *
partition_name(const char *parent, TimestampTz from)
{
	Oid			schema = get_namespace_oid("_factorymon", false);
	struct pg_tm tm;
	fsec_t		fsec;
	StringInfoData name;
	int			stem;

	(void) timestamp2tm(from, NULL, &tm, &fsec, NULL, NULL);
	initStringInfo(&name);
	appendStringInfo(&name, "%s_p%04d%02d%02d", parent,
					 tm.tm_year, tm.tm_mon, tm.tm_mday);
	if (tm.tm_hour != 0 || tm.tm_min != 0)
		appendStringInfo(&name, "_%02d", tm.tm_hour);
	if (tm.tm_min != 0)
		appendStringInfo(&name, "%02d", tm.tm_min);
	stem = name.len;
	for (int i = 2; OidIsValid(get_relname_relid(name.data, schema)); i++)
	{
		name.len = stem;
		appendStringInfo(&name, "_%d", i);
	}
	return name.data;
}

/* ----------------------------------------------------------------------
 * Creating and dropping the tables of a pipeline
 * ------------------------------------------------------------------- */

static void
run_utility(const char *sql)
{
	FmArgs		none = {0};

	fm_args_run(&none, sql, SPI_OK_UTILITY);
}

static void
create_table(int16 pipeline_id, const StorageKind *kind)
{
	char	   *table = psprintf("_factorymon.%s_%d", kind->name, pipeline_id);

	run_utility(psprintf("CREATE TABLE %s (LIKE _factorymon.%s INCLUDING ALL)"
						 "%s%s%s", table, kind->name,
						 kind->time_column ? " PARTITION BY RANGE (" : "",
						 kind->time_column ? kind->time_column : "",
						 kind->time_column ? ")" : ""));
	run_utility(psprintf("REVOKE ALL ON %s FROM PUBLIC", table));
	for (int i = 0; i < lengthof(kind->indexes) && kind->indexes[i]; i++)
		run_utility(psprintf("CREATE INDEX ON %s %s", table,
							 kind->indexes[i]));
	run_utility(psprintf("ALTER TABLE ONLY _factorymon.%s ATTACH PARTITION %s"
						 " FOR VALUES IN (%d)", kind->name, table,
						 pipeline_id));
}

void
fm_pipeline_create_storage(int16 pipeline_id, const char *owner)
{
	FmOwnerScope scope;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	for (int i = 0; i < lengthof(storage_kinds); i++)
		create_table(pipeline_id, &storage_kinds[i]);
	fm_access_grant_owner(pipeline_id, owner);
	SPI_finish();
	fm_owner_end(&scope);
}

void
fm_pipeline_drop_storage(int16 pipeline_id)
{
	FmOwnerScope scope;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	for (int i = 0; i < lengthof(storage_kinds); i++)
		if (OidIsValid(fm_storage_relid(pipeline_id, storage_kinds[i].name)))
			run_utility(psprintf("DROP TABLE _factorymon.%s_%d",
								 storage_kinds[i].name, pipeline_id));
	SPI_finish();
	fm_owner_end(&scope);
}

/* ----------------------------------------------------------------------
 * Reading the partitions of a table
 * ------------------------------------------------------------------- */

/* Bound number i of a table by time; DT_NOBEGIN and DT_NOEND for infinity. */
static TimestampTz
bound_value(PartitionBoundInfo bounds, int i)
{
	if (bounds->kind[i][0] == PARTITION_RANGE_DATUM_MINVALUE)
		return DT_NOBEGIN;
	if (bounds->kind[i][0] == PARTITION_RANGE_DATUM_MAXVALUE)
		return DT_NOEND;
	return DatumGetTimestampTz(bounds->datums[i][0]);
}

/* Where in the table's partitions does ts fall? */
static RangeSurvey
survey_partitions(Oid relid, TimestampTz ts)
{
	Relation	rel = table_open(relid, RowExclusiveLock);
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	PartitionBoundInfo bounds = desc->boundinfo;
	int			nbounds = bounds ? bounds->ndatums : 0;
	RangeSurvey survey;

	survey.exists = false;
	survey.count = desc->nparts;
	survey.from = DT_NOBEGIN;
	survey.to = DT_NOEND;
	for (int i = 0; i < nbounds; i++)
	{
		TimestampTz bound = bound_value(bounds, i);

		if (bound > ts)
		{
			survey.to = bound;
			survey.exists = bounds->indexes[i] >= 0;
			break;
		}
		survey.from = bound;
	}
	table_close(rel, NoLock);
	return survey;
}

int
fm_partition_number(Relation parent, PartitionDesc desc, TimestampTz ts)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	Datum		value = TimestampTzGetDatum(ts);
	bool		equal;
	int			bound;

	if (desc->nparts == 0)
		return -1;
	bound = partition_range_datum_bsearch(key->partsupfunc,
										  key->partcollation, desc->boundinfo,
										  1, &value, &equal);
	return desc->boundinfo->indexes[bound + 1];
}

Oid
fm_partition_relid(Relation parent, TimestampTz ts)
{
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);
	int			number = fm_partition_number(parent, desc, ts);

	return number < 0 ? InvalidOid : desc->oids[number];
}

bool
fm_partition_oldest(Oid relid, TimestampTz cutoff, Oid *partition,
					TimestampTz *to)
{
	Relation	rel = table_open(relid, AccessShareLock);
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	PartitionBoundInfo bounds = desc->boundinfo;
	int			nbounds = bounds ? bounds->ndatums : 0;
	bool		found = false;

	for (int i = 0; i < nbounds && !found; i++)
	{
		TimestampTz bound = bound_value(bounds, i);

		if (bound > cutoff)
			break;
		if (bounds->indexes[i] < 0)
			continue;
		*partition = desc->oids[bounds->indexes[i]];
		*to = bound;
		/* an archive that somebody attached is theirs to drop */
		found = get_rel_relkind(*partition) == RELKIND_RELATION;
	}
	table_close(rel, NoLock);
	return found;
}

int
fm_partition_ranges(Relation parent, TimestampTz since,
					FmPartitionRange **ranges)
{
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);
	PartitionBoundInfo bounds = desc->boundinfo;
	int			nbounds = bounds ? bounds->ndatums : 0;
	int			n = 0;

	*ranges = palloc(sizeof(FmPartitionRange) * Max(desc->nparts, 1));
	for (int i = 1; i < nbounds; i++)
	{
		FmPartitionRange *range = &(*ranges)[n];

		if (bounds->indexes[i] < 0 || bound_value(bounds, i) <= since)
			continue;
		range->relid = desc->oids[bounds->indexes[i]];
		range->from = bound_value(bounds, i - 1);
		range->to = bound_value(bounds, i);
		n++;
	}
	return n;
}

/* ----------------------------------------------------------------------
 * Remembering what exists
 * ------------------------------------------------------------------- */

static void
forget_ranges(Oid parent)
{
	for (int i = 0; i < N_KNOWN_RANGES; i++)
		if (!OidIsValid(parent) || known_ranges[i].parent == parent)
			known_ranges[i].parent = InvalidOid;
}

static void
at_relcache_invalidation(Datum arg, Oid relid)
{
	forget_ranges(relid);
}

/* Locks end with the transaction; what an aborted one made is gone. */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		forget_ranges(InvalidOid);
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		for (int i = 0; i < N_KNOWN_RANGES; i++)
			known_ranges[i].locked = false;
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_ranges(InvalidOid);
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	CacheRegisterRelcacheCallback(at_relcache_invalidation, (Datum) 0);
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
	registered = true;
}

/* The entry that holds ts, moved to the front; NULL where none does. */
static KnownRange *
find_known(int16 pipeline_id, const StorageKind *kind, TimestampTz ts)
{
	for (int i = 0; i < N_KNOWN_RANGES; i++)
	{
		KnownRange	entry = known_ranges[i];

		if (!OidIsValid(entry.parent) || entry.pipeline_id != pipeline_id ||
			entry.kind != kind || ts < entry.from || ts >= entry.to)
			continue;
		memmove(&known_ranges[1], &known_ranges[0], sizeof(KnownRange) * i);
		known_ranges[0] = entry;
		return &known_ranges[0];
	}
	return NULL;
}

static void
remember(Oid parent, int16 pipeline_id, const StorageKind *kind,
		 TimestampTz from, TimestampTz to)
{
	memmove(&known_ranges[1], &known_ranges[0],
			sizeof(KnownRange) * (N_KNOWN_RANGES - 1));
	known_ranges[0] = (KnownRange)
	{
		.parent = parent,.locked = true,.pipeline_id = pipeline_id,
			.kind = kind,.from = from,.to = to
	};
}

/* ----------------------------------------------------------------------
 * Making sure
 * ------------------------------------------------------------------- */

/* Create the partition [from, to) aside and attach it. */
static void
create_partition(const char *parent, const StorageKind *kind,
				 TimestampTz from, TimestampTz to)
{
	char	   *name = partition_name(parent, from);

	SPI_connect();
	run_utility(psprintf("CREATE TABLE _factorymon.%s (LIKE _factorymon.%s"
						 " INCLUDING ALL EXCLUDING INDEXES"
						 " EXCLUDING STATISTICS EXCLUDING COMMENTS)",
						 name, parent));
	run_utility(psprintf("REVOKE ALL ON _factorymon.%s FROM PUBLIC", name));
	if (kind->unique)
		run_utility(psprintf("CREATE UNIQUE INDEX ON _factorymon.%s %s",
							 name, kind->unique));
	run_utility(psprintf("ALTER TABLE ONLY _factorymon.%s ATTACH PARTITION"
						 " _factorymon.%s FOR VALUES FROM (%s) TO (%s)",
						 parent, name, utc_literal(from), utc_literal(to)));
	SPI_finish();
}

/*
 * Find or make the partition that holds ts; the caller has the lock on the
 * parent.  Readings come with timestamps of others, so their number is
 * bounded; the other kinds go by our own clock.
 */
static bool
find_or_create(Oid parent, int16 pipeline_id, const StorageKind *kind,
			   int64 width, TimestampTz ts)
{
	RangeSurvey survey = survey_partitions(parent, ts);
	TimestampTz from;
	TimestampTz to;

	if (!survey.exists)
	{
		fm_storage_lock_shape(parent);
		survey = survey_partitions(parent, ts);
	}
	from = survey.from;
	to = survey.to;
	if (!survey.exists)
	{
		/* what arrives now always has a place, however many there are */
		if (kind->width == 0 && survey.count >= fm_max_time_partitions &&
			llabs(ts - GetCurrentTimestamp()) > 2 * width)
			return false;
		fm_partition_bounds(width, ts, &from, &to);
		from = Max(from, survey.from);
		to = Min(to, survey.to);
		create_partition(get_rel_name(parent), kind, from, to);
		nmade++;
	}
	remember(parent, pipeline_id, kind, from, to);
	return true;
}

bool
fm_partition_ensure(int16 pipeline_id, const char *kind_name,
					int64 partition_interval, TimestampTz ts)
{
	const StorageKind *kind;
	KnownRange *known = &known_ranges[0];
	FmOwnerScope scope;
	Oid			parent;
	bool		found;

	/* the hot path: same partition as last time, in the same transaction */
	if (known->locked && OidIsValid(known->parent) &&
		known->pipeline_id == pipeline_id &&
		ts >= known->from && ts < known->to &&
		strcmp(known->kind->name, kind_name) == 0)
		return true;

	kind = storage_kind(kind_name);
	Assert(kind->time_column != NULL);
	register_callbacks();
	known = find_known(pipeline_id, kind, ts);
	if (known && known->locked)
		return true;
	if (!has_plain_year(ts))
		return false;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	parent = fm_storage_lock(pipeline_id, kind_name, RowExclusiveLock);
	if (!OidIsValid(parent))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"_factorymon.%s_%d\" does not exist",
						kind_name, pipeline_id),
				 errdetail("It belongs to a pipeline, which may have been dropped.")));
	known = find_known(pipeline_id, kind, ts);
	found = known && known->parent == parent;
	if (found)
		known->locked = true;
	else
		found = find_or_create(parent, pipeline_id, kind,
							   fm_partition_width(kind_name,
												  partition_interval), ts);
	fm_owner_end(&scope);
	return found;
}

/* Every success ends with its entry in front, forgotten or not. */
void
fm_partition_ensured_range(TimestampTz *from, TimestampTz *to)
{
	*from = known_ranges[0].from;
	*to = known_ranges[0].to;
}

uint64
fm_partition_number_made(void)
{
	return nmade;
}

/*
 * _factorymon.ensure_partition(pipeline text, kind text, ts timestamptz)
 *		The same for people, before they load rows by hand.
 */
Datum
factorymon_ensure_partition(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmPipeline *pipeline;
	char	   *kind = fm_arg_text_required(fcinfo, 1, "kind");

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ts must not be null")));
	if (storage_kind(kind)->time_column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("storage of kind \"%s\" is not partitioned by time",
						kind)));
	PG_RETURN_BOOL(fm_partition_ensure(pipeline->id, kind,
									   storage_kind(kind)->dedup ?
									   pipeline->dedup_ttl / 2 :
									   pipeline->partition_interval,
									   PG_GETARG_TIMESTAMPTZ(2)));
}
