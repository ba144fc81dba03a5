/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  Maintenance windows: where and when alarms are not announced.
 *
 * A window is a row of factorymon.maintenance_window: a zone or a machine, of
 * one pipeline or of any, and a span of event time [starts_at, ends_at).  What
 * it does to an alarm is decided in lifecycle.c; here is only told whether a
 * reading lies in one.
 *
 * Windows are obeyed from the next batch after a commit on, as limits are, and
 * in the same way: each process keeps them, and loads them again when a trigger
 * of the table has invalidated it in the relation cache.  (limits.c argues why
 * no change is missed.)
 *
 * They are kept sorted by scope and name, so that a reading looks at those of
 * its zone and of its machine alone.  Only readings that an alarm must see look
 * at all, and none where there is no window.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "maintenance.h"

typedef struct Window
{
	char		scope;			/* 'm'achine or 'z'one */
	FmSlice		name;
	char	   *pipeline;		/* NULL: any */
	TimestampTz from;
	TimestampTz to;
} Window;

static struct
{
	bool		watching;		/* callback registered */
	Oid			relid;			/* factorymon.maintenance_window */
	uint64		invalidations;	/* seen so far */
	uint64		loaded;			/* invalidations when the load began */
	MemoryContext context;		/* of the windows; NULL: never loaded */
	Window	   *windows;		/* sorted by scope and name */
}			cache;

int			fm_maintenance_windows = 0;

static const char windows_query[] =
"SELECT machine_id IS NOT NULL, coalesce(machine_id, zone), pipeline,"
"       starts_at, ends_at"
"  FROM factorymon.maintenance_window";

/* Relation-cache callback; InvalidOid stands for all relations. */
static void
windows_invalidated(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cache.relid)
		cache.invalidations++;
}

/* ----------------------------------------------------------------------
 * Loading
 * ------------------------------------------------------------------- */

static int
compare(char scope, const FmSlice *name, const Window *window)
{
	int			result = (int) scope - window->scope;

	if (result == 0)
		result = name->len - window->name.len;
	if (result == 0)
		result = memcmp(name->data, window->name.data, name->len);
	return result;
}

static int
compare_windows(const void *a, const void *b)
{
	const Window *window = a;

	return compare(window->scope, &window->name, b);
}

/* Window of a result row, in a memory context. */
static void
read_window(uint64 row, MemoryContext context, Window *window)
{
	bool		isnull;
	Datum		datum;

	window->scope = DatumGetBool(fm_spi_value(row, 1, &isnull)) ? 'm' : 'z';
	datum = fm_spi_value(row, 2, &isnull);
	window->name.data = MemoryContextStrdup(context,
											TextDatumGetCString(datum));
	window->name.len = strlen(window->name.data);
	datum = fm_spi_value(row, 3, &isnull);
	window->pipeline = isnull ? NULL :
		MemoryContextStrdup(context, TextDatumGetCString(datum));
	window->from = DatumGetTimestampTz(fm_spi_value(row, 4, &isnull));
	window->to = DatumGetTimestampTz(fm_spi_value(row, 5, &isnull));
}

static void
load_windows(void)
{
	uint64		loading = cache.invalidations;
	MemoryContext context;
	Window	   *windows;
	int			n;

	context = AllocSetContextCreate(CurTransactionContext,
									"factorymon maintenance windows",
									ALLOCSET_SMALL_SIZES);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PushActiveSnapshot(GetLatestSnapshot());
	/* "read only" is to say: with the snapshot just pushed */
	if (SPI_execute(windows_query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read factorymon.maintenance_window");
	n = (int) SPI_processed;
	windows = MemoryContextAllocHuge(context, Max(n, 1) * sizeof(Window));
	for (int i = 0; i < n; i++)
		read_window(i, context, &windows[i]);
	qsort(windows, n, sizeof(Window), compare_windows);
	PopActiveSnapshot();
	SPI_finish();

	/* nothing below can fail */
	MemoryContextSetParent(context, TopMemoryContext);
	if (cache.context != NULL)
		MemoryContextDelete(cache.context);
	cache.context = context;
	cache.windows = windows;
	cache.loaded = loading;
	fm_maintenance_windows = n;
}

void
fm_maintenance_refresh(void)
{
	Oid			relid = get_relname_relid("maintenance_window",
										  get_namespace_oid("factorymon",
															false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist",
						"factorymon.maintenance_window")));
	if (!cache.watching)
	{
		CacheRegisterRelcacheCallback(windows_invalidated, (Datum) 0);
		cache.watching = true;
	}
	AcceptInvalidationMessages();
	if (relid != cache.relid)
	{
		/* first use, or the extension was dropped and created again */
		cache.relid = relid;
		cache.invalidations++;
	}
	if (cache.loaded != cache.invalidations)
		load_windows();
}

/* ----------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------- */

/* Index of the first window of this scope and name, or where it would be. */
static int
first_window(char scope, const FmSlice *name)
{
	int			low = 0;
	int			high = fm_maintenance_windows;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare(scope, name, &cache.windows[middle]) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
covers(char scope, const FmSlice *name, const char *pipeline, TimestampTz ts)
{
	for (int i = first_window(scope, name); i < fm_maintenance_windows; i++)
	{
		const Window *window = &cache.windows[i];

		if (compare(scope, name, window) != 0)
			return false;
		if (ts >= window->from && ts < window->to &&
			(window->pipeline == NULL ||
			 strcmp(window->pipeline, pipeline) == 0))
			return true;
	}
	return false;
}

bool
fm_maintenance_covers(const char *pipeline, const FmSlice *zone,
					  const FmSlice *machine_id, TimestampTz ts)
{
	return covers('m', machine_id, pipeline, ts) ||
		covers('z', zone, pipeline, ts);
}
