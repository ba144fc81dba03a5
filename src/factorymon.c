/*-------------------------------------------------------------------------
 *
 * factorymon.c
 *	  Loading, and the few things that everybody needs: acting as the
 *	  extension's owner, finding the extension, running one statement.
 *
 * Loaded on demand, the library serves the pure functions.  Loaded through
 * shared_preload_libraries it also reserves shared memory, registers the
 * launcher and installs the hook that keeps our processes out of the way of
 * DROP DATABASE and its kin.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "dbhook.h"
#include "factorymon.h"
#include "guc.h"
#include "launcher.h"
#include "shmem.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static bool preloaded = false;

/*
 * Library entry point.  In binary-upgrade mode nothing of ours may start:
 * a worker would write into a cluster that is being copied.
 */
void
_PG_init(void)
{
	preloaded = process_shared_preload_libraries_in_progress;

	fm_guc_define(preloaded);
	if (!preloaded)
		return;

	fm_shmem_install();
	fm_dbhook_install();
	if (!IsBinaryUpgrade)
		fm_launcher_register();
}

bool
fm_is_preloaded(void)
{
	return fm_shmem_ready();
}

void
fm_require_preloaded(void)
{
	if (!fm_shmem_ready())
		ereport(ERROR,
				(errcode(FM_ERRCODE_NO_WORKERS),
				 errmsg("factorymon's background workers are not available"),
				 errhint("Add \"factorymon\" to shared_preload_libraries and restart the server.")));
}

Oid
fm_extension_oid(void)
{
	return get_extension_oid(FM_EXTENSION_NAME, true);
}

/*
 * Read one column of our row in pg_extension.  Returns false where the
 * extension is missing.
 */
static bool
read_extension_row(Oid *owner, char **version)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(FM_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		*version = isnull ? pstrdup("") : TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

char *
fm_extension_version(void)
{
	Oid			owner;
	char	   *version;

	return read_extension_row(&owner, &version) ? version : NULL;
}

Oid
fm_extension_owner(void)
{
	Oid			owner;
	char	   *version;

	if (!read_extension_row(&owner, &version))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" does not exist in this database",
						FM_EXTENSION_NAME)));
	return owner;
}

/*
 * fm_owner_begin
 *		Become the extension's owner, with a search_path nobody can bend.
 *
 * SECURITY_RESTRICTED_OPERATION is not set: partitions are created here.
 */
void
fm_owner_begin(FmOwnerScope *scope)
{
	Oid			owner = fm_extension_owner();

	GetUserIdAndSecContext(&scope->save_userid, &scope->save_sec_context);
	SetUserIdAndSecContext(owner, scope->save_sec_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	scope->guc_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
fm_owner_end(FmOwnerScope *scope)
{
	AtEOXact_GUC(false, scope->guc_nestlevel);
	SetUserIdAndSecContext(scope->save_userid, scope->save_sec_context);
}

uint64
fm_spi_run(const char *sql, int nargs, Oid *types, Datum *values,
		   const char *nulls, int expected)
{
	int			result;

	result = SPI_execute_with_args(sql, nargs, types, values, nulls,
								   false, 0);
	if (result != expected)
		elog(ERROR, "unexpected result %s of \"%s\"",
			 SPI_result_code_string(result), sql);
	return SPI_processed;
}

uint64
fm_spi_run_kept(void **plan, const char *sql, int nargs, Oid *types,
				Datum *values, const char *nulls, int expected)
{
	int			result;

	if (*plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(sql, nargs, types);

		if (!prepared)
			elog(ERROR, "could not prepare \"%s\": %s",
				 sql, SPI_result_code_string(SPI_result));
		if (SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", sql);
		*plan = prepared;
	}
	result = SPI_execute_plan((SPIPlanPtr) *plan, values, nulls, false, 0);
	if (result != expected)
		elog(ERROR, "unexpected result %s of \"%s\"",
			 SPI_result_code_string(result), sql);
	return SPI_processed;
}

Datum
fm_spi_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

Datum
fm_column_array(const FmArrayColumn *column, Datum *values, bool *nulls, int n)
{
	int			dims[1] = {n};
	int			lower_bounds[1] = {1};
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(column->type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims,
											  lower_bounds, column->type,
											  typlen, typbyval, typalign));
}
