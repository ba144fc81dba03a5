/*-------------------------------------------------------------------------
 *
 * threshold.c
 *	  Triggers of factorymon.threshold, factorymon.detector and
 *	  factorymon.maintenance_window: who changed what, and when.
 *
 * Each change gets a version, from one sequence for all rows of all, and a row
 * of the table's history with what was and what is.  Whoever changes
 * them has no right on the columns that say so, nor on the history: it is
 * written as the extension's owner.
 *
 * A row that is inserted without a version is new, and gets one.  Restoring a
 * dump inserts rows that have their versions, and the history beside them:
 * those are left as they are.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "factorymon.h"

PG_FUNCTION_INFO_V1(factorymon_threshold_changed);
PG_FUNCTION_INFO_V1(factorymon_threshold_stamp);
PG_FUNCTION_INFO_V1(factorymon_threshold_record);

/* The first version that this process has given: older ones are restored. */
static int32 first_version = PG_INT32_MAX;

TriggerData *
fm_trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called by a trigger")));
	return (TriggerData *) fcinfo->context;
}

/* AFTER ... FOR EACH STATEMENT: tell all processes, once this commits. */
Datum
factorymon_threshold_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = fm_trigger_data(fcinfo);

	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}

/* Whoever may change the table needs no right on its sequence. */
static int32
next_version(void)
{
	Oid			sequence = get_relname_relid("threshold_version_seq",
											 get_namespace_oid("_factorymon",
															   false));
	int32		version;

	if (!OidIsValid(sequence))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("sequence \"%s\" does not exist",
						"_factorymon.threshold_version_seq")));
	version = nextval_internal(sequence, false);
	first_version = Min(first_version, version);
	return version;
}

static int
column_number(TriggerData *trigdata, const char *name)
{
	int			column = SPI_fnumber(RelationGetDescr(trigdata->tg_relation),
									 name);

	if (column <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" lacks column \"%s\"",
						RelationGetRelationName(trigdata->tg_relation),
						name)));
	return column;
}

/*
 * BEFORE INSERT OR UPDATE ... FOR EACH ROW: who and when, and a version.  A
 * row that is inserted with a version keeps everything.
 */
Datum
factorymon_threshold_stamp(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = fm_trigger_data(fcinfo);
	TupleDesc	tupdesc = RelationGetDescr(trigdata->tg_relation);
	bool		updates = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	HeapTuple	tuple = updates ? trigdata->tg_newtuple :
		trigdata->tg_trigtuple;
	NameData	user;
	int			columns[3];
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	bool		isnull;

	if (!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!(updates || TRIGGER_FIRED_BY_INSERT(trigdata->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called before insert or update of a row")));

	columns[0] = column_number(trigdata, "updated_at");
	columns[1] = column_number(trigdata, "updated_by");
	columns[2] = column_number(trigdata, "version");
	(void) heap_getattr(tuple, columns[2], tupdesc, &isnull);
	if (!updates && !isnull)
		return PointerGetDatum(tuple);
	namestrcpy(&user, GetUserNameFromId(GetUserId(), false));
	values[0] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	values[1] = NameGetDatum(&user);
	values[2] = Int32GetDatum(next_version());
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, tupdesc, 3,
													 columns, values, nulls));
}

/* A row of the table as a value, for to_jsonb(). */
static Datum
row_value(TriggerData *trigdata, HeapTuple tuple)
{
	return heap_copy_tuple_as_datum(tuple,
									RelationGetDescr(trigdata->tg_relation));
}

/*
 * AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW: what was and what is.
 * Arguments of the trigger: the table that keeps it, and the column that is
 * the row's number.
 */
Datum
factorymon_threshold_record(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = fm_trigger_data(fcinfo);
	TupleDesc	tupdesc = RelationGetDescr(trigdata->tg_relation);
	bool		inserts = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event);
	bool		deletes = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event);
	HeapTuple	was = inserts ? NULL : trigdata->tg_trigtuple;
	HeapTuple	is = deletes ? NULL : inserts ? trigdata->tg_trigtuple :
		trigdata->tg_newtuple;
	Oid			rowtype = trigdata->tg_relation->rd_rel->reltype;
	Oid			types[] = {INT4OID, TEXTOID, NAMEOID, InvalidOid, InvalidOid};
	Datum		values[5];
	char		nulls[6] = "     ";
	NameData	user;
	FmOwnerScope scope;
	bool		isnull;
	const char *history;
	const char *id;

	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called after a change of a row")));
	if (trigdata->tg_trigger->tgnargs != 2)
		elog(ERROR, "trigger \"%s\" needs two arguments",
			 trigdata->tg_trigger->tgname);
	history = quote_identifier(trigdata->tg_trigger->tgargs[0]);
	id = quote_identifier(trigdata->tg_trigger->tgargs[1]);
	if (!deletes)
		values[0] = heap_getattr(is, column_number(trigdata, "version"),
								 tupdesc, &isnull);
	else
		values[0] = Int32GetDatum(next_version());
	if (inserts && DatumGetInt32(values[0]) < first_version)
		return PointerGetDatum(NULL);	/* restored */

	namestrcpy(&user, GetUserNameFromId(GetUserId(), false));
	values[1] = CStringGetTextDatum(inserts ? "insert" :
									deletes ? "delete" : "update");
	values[2] = NameGetDatum(&user);
	types[3] = types[4] = rowtype;
	values[3] = was ? row_value(trigdata, was) : (Datum) 0;
	nulls[3] = was ? ' ' : 'n';
	values[4] = is ? row_value(trigdata, is) : (Datum) 0;
	nulls[4] = is ? ' ' : 'n';
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_owner_begin(&scope);
	fm_spi_run(psprintf("INSERT INTO factorymon.%s"
						" (version, %s, operation, changed_by, was, is_now)"
						" SELECT $1, coalesce(($5).%s, ($4).%s),"
						" $2, $3, to_jsonb($4), to_jsonb($5)",
						history, id, id, id),
			   lengthof(types), types, values, nulls, SPI_OK_INSERT);
	fm_owner_end(&scope);
	SPI_finish();
	return PointerGetDatum(NULL);
}
