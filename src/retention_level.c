/*-------------------------------------------------------------------------
 *
 * retention_level.c
 *	  How long each level of detail is kept, and what keeps it from going.
 *
 * The list below is the only one: set_retention(), the view
 * factorymon.retention and retention.c go by it.  A level without an interval
 * of its own is kept as the retention of its pipeline says, if it inherits
 * that, else for ever.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "retention.h"

PG_FUNCTION_INFO_V1(factorymon_retention_levels);
PG_FUNCTION_INFO_V1(factorymon_set_retention);

/* Dropped in this order: the ledger last, which waits for readings and rejects. */
const FmRetentionLevel fm_retention_levels[FM_RETENTION_LEVELS] = {
	{"readings", {"reading"}, true},
	{"rejects", {"reject"}, true},
	/* publications, too: see fm_publication_expire() */
	{"alarms", {"transition", "score"}, true},
	/* minutes before hours before days: see rollup_gone.c */
	{"minutes", {"rollup_1m"}, false},
	{"hours", {"rollup_1h"}, false},
	{"days", {"rollup_1d"}, false},
	{"ledger", {NULL}, false},
};

/* Index of a level by name, or an error that lists them. */
static int
level_index(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
	{
		if (strcmp(fm_retention_levels[i].name, name) == 0)
			return i;
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 fm_retention_levels[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized level of retention: \"%s\"", name),
			 errhint("Levels are %s.", names.data)));
	return -1;					/* keep compiler quiet */
}

void
fm_retention_load(const FmPipeline *pipeline, int64 keep[FM_RETENTION_LEVELS])
{
	FmArgs		args = {0};
	uint64		n;

	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
		keep[i] = fm_retention_levels[i].inherits ? pipeline->retention : 0;
	fm_args_int2(&args, pipeline->id);
	n = fm_args_run(&args, "SELECT level, keep FROM _factorymon.retention"
					" WHERE pipeline_id = $1", SPI_OK_SELECT);
	for (uint64 row = 0; row < n; row++)
	{
		char	   *level = fm_spi_text(row, 1);
		bool		isnull;
		Datum		interval = fm_spi_value(row, 2, &isnull);

		for (int i = 0; i < FM_RETENTION_LEVELS; i++)
			if (strcmp(fm_retention_levels[i].name, level) == 0)
				keep[i] = fm_interval_usecs(DatumGetIntervalP(interval),
											"retention");
	}
}

void
fm_retention_note(int16 pipeline_id, const char *kind, const char *partition,
				  const char *reason)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, kind);
	if (reason == NULL)
	{
		(void) fm_args_run(&args, "DELETE FROM _factorymon.retention_wait"
						   " WHERE pipeline_id = $1 AND kind = $2",
						   SPI_OK_DELETE);
		return;
	}
	fm_args_text(&args, partition);
	fm_args_text(&args, reason);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.retention_wait AS w"
					   " (pipeline_id, kind, partition, reason)"
					   " SELECT pipeline_id, $2, $3, $4"
					   " FROM _factorymon.pipeline WHERE pipeline_id = $1"
					   " ON CONFLICT (pipeline_id, kind) DO UPDATE SET"
					   " partition = excluded.partition,"
					   " reason = excluded.reason, since = CASE"
					   " WHEN w.partition = excluded.partition THEN w.since"
					   " ELSE excluded.since END"
					   " WHERE (w.partition, w.reason) IS DISTINCT FROM"
					   " (excluded.partition, excluded.reason)",
					   SPI_OK_INSERT);
}

/* _factorymon.retention_levels(): the list above as rows. */
Datum
factorymon_retention_levels(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
	{
		const FmRetentionLevel *level = &fm_retention_levels[i];
		Datum		kinds[lengthof(level->kinds)];
		Datum		values[4];
		bool		nulls[4] = {false};
		int			n = 0;

		while (n < lengthof(level->kinds) && level->kinds[n])
		{
			kinds[n] = CStringGetTextDatum(level->kinds[n]);
			n++;
		}
		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(level->name);
		values[2] = PointerGetDatum(construct_array(kinds, n, TEXTOID, -1,
													false, TYPALIGN_INT));
		values[3] = BoolGetDatum(level->inherits);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

static void
store_keep(int16 pipeline_id, const char *level, Interval *keep,
		   const char *user)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, level);
	if (keep == NULL)
	{
		(void) fm_args_run(&args, "DELETE FROM _factorymon.retention"
						   " WHERE pipeline_id = $1 AND level = $2",
						   SPI_OK_DELETE);
		return;
	}
	fm_args_add(&args, INTERVALOID, IntervalPGetDatum(keep), false);
	fm_args_text(&args, user);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.retention"
					   " (pipeline_id, level, keep, updated_by)"
					   " VALUES ($1, $2, $3, $4)"
					   " ON CONFLICT (pipeline_id, level) DO UPDATE SET"
					   " keep = excluded.keep, updated_at = now(),"
					   " updated_by = excluded.updated_by", SPI_OK_INSERT);
}

/* What an hour is computed from must not be kept for longer than it is. */
static void
check_rollups(const FmPipeline *pipeline)
{
	int64		keep[FM_RETENTION_LEVELS];
	int			first = level_index("minutes");
	int			last = level_index("days");

	fm_retention_load(pipeline, keep);
	for (int i = first; i < last; i++)
		if (keep[i + 1] > 0 && (keep[i] <= 0 || keep[i] > keep[i + 1]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s cannot be kept for longer than %s",
							fm_retention_levels[i].name,
							fm_retention_levels[i + 1].name),
					 errhint("Shorten the finer level first, lengthen the"
							 " coarser one first.")));
}

/* factorymon.set_retention(pipeline text, level text, keep interval) */
Datum
factorymon_set_retention(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");
	char	   *level = fm_arg_text_required(fcinfo, 1, "level");
	Interval   *keep = PG_ARGISNULL(2) ? NULL : PG_GETARG_INTERVAL_P(2);
	FmPipeline *pipeline = fm_pipeline_find(name);
	FmOwnerScope scope;

	fm_pipeline_check_control(pipeline, user, "admin");
	(void) level_index(level);
	if (keep && fm_interval_usecs(keep, "keep") < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must be zero or more")));

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	store_keep(pipeline->id, level, keep, GetUserNameFromId(user, false));
	check_rollups(pipeline);
	fm_event_record(pipeline->id, NULL, "altered", NULL, 0,
					psprintf("retention of %s by %s", level,
							 GetUserNameFromId(user, false)));
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_VOID();
}
