/*-------------------------------------------------------------------------
 *
 * format.c
 *	  factorymon.format: the formats that people add, and who uses which.
 *
 * A row is compiled when it is written, so a mapping in the table is one that
 * works, but for what it says about messages.  The formats that come with the
 * extension are no rows (mapping_builtin.c); their names are reserved.
 *
 * A pipeline names its format.  There is no foreign key, since a built-in
 * format has no row; instead, whoever makes a pipeline use a format holds on to
 * its row, and a row that is used can be neither deleted nor renamed.  When the
 * mapping changes, config_version of its pipelines grows, and their workers
 * see that they have to begin anew (worker.c).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "format.h"
#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_format_check);
PG_FUNCTION_INFO_V1(factorymon_format_changed);

/* ----------------------------------------------------------------------
 * Compiling
 * ------------------------------------------------------------------- */

/* The arena is not PostgreSQL's memory, but ends with a context of it. */
typedef struct FormatMemory
{
	FmArena		arena;
	MemoryContextCallback callback;
} FormatMemory;

static void
free_arena(void *arg)
{
	fm_arena_free((FmArena *) arg);
}

FmFormat *
fm_format_make(const char *name, const char *mapping, MemoryContext context)
{
	FormatMemory *memory = MemoryContextAllocZero(context, sizeof(*memory));
	FmZones		zones = fm_format_zones(context);
	FmMappingError error;
	FmFormat   *format;

	fm_arena_init(&memory->arena);
	memory->callback.func = free_arena;
	memory->callback.arg = &memory->arena;
	MemoryContextRegisterResetCallback(context, &memory->callback);
	format = fm_format_compile(mapping, strlen(mapping), &zones,
							   &memory->arena, &error);
	if (format == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 name ? errmsg("invalid mapping of format \"%s\"", name) :
				 errmsg("invalid mapping"),
				 error.place[0] != '\0' ?
				 errdetail("%s %s.", error.place, error.message) :
				 errdetail("The mapping %s.", error.message)));
	return format;
}

static void
no_such_format(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("format \"%s\" does not exist", name),
			 errhint("The view factorymon.formats lists all formats.")));
}

FmFormat *
fm_format_open(const char *name, const char *mapping, MemoryContext context)
{
	const FmBuiltinFormat *builtin = fm_builtin_format(name);
	FmFormat   *format;

	if (builtin == NULL && mapping == NULL)
		no_such_format(name);
	format = fm_format_make(name, builtin ? builtin->mapping : mapping,
							context);
	if (strcmp(name, FM_FACTORY_FORMAT) == 0)
		fm_format_use_factory(format);
	return format;
}

FmFormat *
fm_format_find(const char *name, MemoryContext context)
{
	MemoryContext caller = CurrentMemoryContext;
	FmArgs		args = {0};
	char	   *mapping = NULL;
	FmOwnerScope scope;

	if (fm_builtin_format(name) == NULL)
	{
		fm_owner_begin(&scope);
		SPI_connect();
		fm_args_text(&args, name);
		if (fm_args_run(&args, "SELECT mapping::text FROM factorymon.format"
						" WHERE name = $1", SPI_OK_SELECT) > 0)
			mapping = MemoryContextStrdup(caller, fm_spi_text(0, 1));
		SPI_finish();
		fm_owner_end(&scope);
	}
	return fm_format_open(name, mapping, context);
}

void
fm_format_require(const char *name)
{
	FmArgs		args = {0};

	if (fm_builtin_format(name) != NULL)
		return;
	fm_args_text(&args, name);
	if (fm_args_run(&args, "SELECT 1 FROM factorymon.format WHERE name = $1"
					" FOR KEY SHARE", SPI_OK_SELECT) == 0)
		no_such_format(name);
}

/* ----------------------------------------------------------------------
 * Triggers
 * ------------------------------------------------------------------- */

static Datum
column(const TriggerData *trigdata, HeapTuple tuple, const char *name)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	int			number = SPI_fnumber(desc, name);
	bool		isnull;
	Datum		value;

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" lacks column \"%s\"",
						RelationGetRelationName(trigdata->tg_relation), name)));
	value = heap_getattr(tuple, number, desc, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("%s of a format must not be null", name)));
	return value;
}

static char *
name_of(const TriggerData *trigdata, HeapTuple tuple)
{
	return TextDatumGetCString(column(trigdata, tuple, "name"));
}

static char *
mapping_of(const TriggerData *trigdata, HeapTuple tuple)
{
	Jsonb	   *mapping = DatumGetJsonbP(column(trigdata, tuple, "mapping"));

	return JsonbToCString(NULL, &mapping->root, VARSIZE(mapping));
}

/* Names of the pipelines that use a format (NULL: any that has a row). */
static char *
users_of(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	FmArgs		args = {0};
	FmOwnerScope scope;
	char	   *users;

	fm_owner_begin(&scope);
	SPI_connect();
	fm_args_text(&args, name);
	fm_args_run(&args, "SELECT string_agg(quote_ident(p.name), ', '"
				" ORDER BY p.name) FROM _factorymon.pipeline p"
				" WHERE p.format = $1 OR ($1 IS NULL AND EXISTS (SELECT 1"
				" FROM factorymon.format f WHERE f.name = p.format))",
				SPI_OK_SELECT);
	users = fm_spi_text(0, 1);
	if (users)
		users = MemoryContextStrdup(caller, users);
	SPI_finish();
	fm_owner_end(&scope);
	return users;
}

static void
require_unused(const char *name, const char *what)
{
	char	   *users = users_of(name);

	if (users == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 name ? errmsg("cannot %s format \"%s\": it is in use", what, name) :
			 errmsg("cannot %s formats: some are in use", what),
			 errdetail("Pipelines that use it: %s.", users),
			 errhint("Give them another one with alter_pipeline(..., format => ...).")));
}

static void
check_format_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid format name: \"%s\"", name),
				 errdetail("A name has between 1 and %d bytes.",
						   NAMEDATALEN - 1)));
	if (fm_builtin_format(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("format name \"%s\" is reserved", name),
				 errdetail("A format of this name comes with the extension."),
				 errhint("Copy its mapping from factorymon.formats under another name.")));
}

/*
 * BEFORE INSERT OR UPDATE OR DELETE ... FOR EACH ROW, and BEFORE TRUNCATE: is
 * the new row a format, and may the old one go?
 */
Datum
factorymon_format_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = fm_trigger_data(fcinfo);
	HeapTuple	was = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL :
		trigdata->tg_trigtuple;
	HeapTuple	is = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL :
		TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	char	   *name;
	MemoryContext context;

	if (!TRIGGER_FIRED_BEFORE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called before a change")));
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		require_unused(NULL, "remove all");
		return PointerGetDatum(NULL);
	}
	name = name_of(trigdata, was ? was : is);
	if (was && !is)
		require_unused(name, "delete");
	if (was && is && strcmp(name, name_of(trigdata, is)) != 0)
		require_unused(name, "rename");
	if (!is)
		return PointerGetDatum(was);
	name = name_of(trigdata, is);
	check_format_name(name);
	context = AllocSetContextCreate(CurrentMemoryContext, "factorymon format",
									ALLOCSET_SMALL_SIZES);
	(void) fm_format_make(name, mapping_of(trigdata, is), context);
	MemoryContextDelete(context);
	return PointerGetDatum(is);
}

/* AFTER UPDATE ... FOR EACH ROW: workers of its pipelines begin anew. */
Datum
factorymon_format_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = fm_trigger_data(fcinfo);
	FmArgs		args = {0};
	FmOwnerScope scope;

	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called after an update of a row")));
	if (strcmp(mapping_of(trigdata, trigdata->tg_trigtuple),
			   mapping_of(trigdata, trigdata->tg_newtuple)) == 0)
		return PointerGetDatum(NULL);
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_args_text(&args, name_of(trigdata, trigdata->tg_newtuple));
	fm_args_run(&args, "UPDATE _factorymon.pipeline"
				" SET config_version = config_version + 1 WHERE format = $1",
				SPI_OK_UPDATE);
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	return PointerGetDatum(NULL);
}
