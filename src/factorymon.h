/*-------------------------------------------------------------------------
 *
 * factorymon.h
 *	  Names used everywhere on the PostgreSQL side.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTORYMON_H
#define FACTORYMON_H

#include "postgres.h"

#include "fmgr.h"

#define FM_EXTENSION_NAME		"factorymon"
#define FM_EXTENSION_VERSION	"0.1.0"	/* SQL version this library serves */

/*
 * SQLSTATEs of our own conditions, class FM.
 */
#define FM_ERRCODE_NO_WORKERS		MAKE_SQLSTATE('F', 'M', '0', '0', '1')
#define FM_ERRCODE_KAFKA			MAKE_SQLSTATE('F', 'M', '0', '0', '2')
#define FM_ERRCODE_SEEK_REFUSED		MAKE_SQLSTATE('F', 'M', '0', '0', '3')
#define FM_ERRCODE_WRONG_STATE		MAKE_SQLSTATE('F', 'M', '0', '0', '4')
#define FM_ERRCODE_STALE_EVENT		MAKE_SQLSTATE('F', 'M', '0', '0', '5')

/*
 * Work as the extension's owner with a fixed search_path, until end or until
 * the (sub)transaction aborts, which restores both by itself.  Needs a
 * transaction.  Scopes nest.
 */
typedef struct FmOwnerScope
{
	Oid			save_userid;
	int			save_sec_context;
	int			guc_nestlevel;
} FmOwnerScope;

extern void fm_owner_begin(FmOwnerScope *scope);
extern void fm_owner_end(FmOwnerScope *scope);

/* Oid of the extension in this database; InvalidOid where it is missing. */
extern Oid	fm_extension_oid(void);
extern Oid	fm_extension_owner(void);

/* Its installed SQL version, palloc'ed; NULL where it is missing. */
extern char *fm_extension_version(void);

/* True once loaded through shared_preload_libraries. */
extern bool fm_is_preloaded(void);

/* Errors with a hint unless the library was preloaded. */
extern void fm_require_preloaded(void);

/*
 * SPI with everything checked: errors unless the result is what was
 * expected.  fm_spi_run() for one-off statements.
 */
extern uint64 fm_spi_run(const char *sql, int nargs, Oid *types,
						 Datum *values, const char *nulls, int expected);

/* The same with a plan kept in *plan for the life of the process. */
extern uint64 fm_spi_run_kept(void **plan, const char *sql, int nargs,
							  Oid *types, Datum *values, const char *nulls,
							  int expected);

/* Column of the first (or given) result row, by 1-based number. */
extern Datum fm_spi_value(uint64 row, int column, bool *isnull);

/* What a trigger function was called with (threshold.c); else an error. */
struct TriggerData;
extern struct TriggerData *fm_trigger_data(FunctionCallInfo fcinfo);

/* A column of a statement that takes its rows as one array a column. */
typedef struct FmArrayColumn
{
	const char *name;
	Oid			type;
	Oid			array_type;
} FmArrayColumn;

/* The array of n values of such a column. */
extern Datum fm_column_array(const FmArrayColumn *column, Datum *values,
							 bool *nulls, int n);

#endif							/* FACTORYMON_H */
