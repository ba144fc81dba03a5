/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The wrapper's options: which librdkafka properties whom, how checked,
 *	  and what a connection of a given role is made of.
 *
 * An allow-list says where each property belongs.  Server options are public
 * (anybody can read pg_foreign_server), so secrets are accepted in user
 * mappings only.  Values are checked by the library itself (client_conf.c),
 * which also refuses what is not the user's to set.  What names a file, a
 * URL or anything of Kerberos is for superusers: the server process would
 * read it with its own rights.  The check is made whenever options are
 * written, by whoever writes them, over the complete list: so an ordinary
 * role can neither add such an option nor alter a server that has one.
 *
 * No message made here holds a value of a secret.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "options.h"

#define WRAPPER_NAME "kafka"
#define MAX_SUGGESTION_DISTANCE 4

/* Where an option may stand, and who may write it. */
#define ON_SERVER		0x01
#define ON_MAPPING		0x02
#define SUPERUSER_ONLY	0x04

typedef struct FmOption
{
	const char *name;
	int			flags;
} FmOption;

static const FmOption options[] = {
	/* the cluster and the way there */
	{"api.version.request.timeout.ms", ON_SERVER},
	{"bootstrap.servers", ON_SERVER},
	{"broker.address.family", ON_SERVER},
	{"broker.address.ttl", ON_SERVER},
	{"client.rack", ON_SERVER},
	{"connections.max.idle.ms", ON_SERVER},
	{"metadata.max.age.ms", ON_SERVER},
	{"reconnect.backoff.max.ms", ON_SERVER},
	{"reconnect.backoff.ms", ON_SERVER},
	{"socket.connection.setup.timeout.ms", ON_SERVER},
	{"socket.keepalive.enable", ON_SERVER},
	{"socket.nagle.disable", ON_SERVER},
	{"socket.receive.buffer.bytes", ON_SERVER},
	{"socket.send.buffer.bytes", ON_SERVER},
	{"socket.timeout.ms", ON_SERVER},
	{"topic.metadata.refresh.fast.interval.ms", ON_SERVER},
	{"topic.metadata.refresh.interval.ms", ON_SERVER},
	{"topic.metadata.refresh.sparse", ON_SERVER},
	/* fetching */
	{"check.crcs", ON_SERVER},
	{"fetch.error.backoff.ms", ON_SERVER},
	{"fetch.max.bytes", ON_SERVER},
	{"fetch.message.max.bytes", ON_SERVER},
	{"fetch.min.bytes", ON_SERVER},
	{"fetch.wait.max.ms", ON_SERVER},
	{"max.partition.fetch.bytes", ON_SERVER},
	{"message.max.bytes", ON_SERVER},
	{"queued.max.messages.kbytes", ON_SERVER},
	{"queued.min.messages", ON_SERVER},
	{"receive.message.max.bytes", ON_SERVER},
	/* the group */
	{"coordinator.query.interval.ms", ON_SERVER},
	{"heartbeat.interval.ms", ON_SERVER},
	{"max.poll.interval.ms", ON_SERVER},
	{"partition.assignment.strategy", ON_SERVER},
	{"session.timeout.ms", ON_SERVER},
	/* TLS */
	{"enable.ssl.certificate.verification", ON_SERVER},
	{"security.protocol", ON_SERVER},
	{"ssl.ca.certificate.stores", ON_SERVER | SUPERUSER_ONLY},
	{"ssl.ca.location", ON_SERVER | SUPERUSER_ONLY},
	{"ssl.ca.pem", ON_SERVER},
	{"ssl.certificate.location", ON_SERVER | ON_MAPPING | SUPERUSER_ONLY},
	{"ssl.certificate.pem", ON_SERVER | ON_MAPPING},
	{"ssl.cipher.suites", ON_SERVER},
	{"ssl.crl.location", ON_SERVER | SUPERUSER_ONLY},
	{"ssl.curves.list", ON_SERVER},
	{"ssl.endpoint.identification.algorithm", ON_SERVER},
	{"ssl.key.location", ON_MAPPING | SUPERUSER_ONLY},
	{"ssl.key.password", ON_MAPPING},
	{"ssl.key.pem", ON_MAPPING},
	{"ssl.keystore.location", ON_MAPPING | SUPERUSER_ONLY},
	{"ssl.keystore.password", ON_MAPPING},
	{"ssl.sigalgs.list", ON_SERVER},
	/* SASL */
	{"sasl.kerberos.keytab", ON_MAPPING | SUPERUSER_ONLY},
	{"sasl.kerberos.min.time.before.relogin", ON_SERVER | SUPERUSER_ONLY},
	{"sasl.kerberos.principal", ON_MAPPING | SUPERUSER_ONLY},
	{"sasl.kerberos.service.name", ON_SERVER | SUPERUSER_ONLY},
	{"sasl.mechanism", ON_SERVER},
	{"sasl.mechanisms", ON_SERVER},
	{"sasl.oauthbearer.client.id", ON_MAPPING},
	{"sasl.oauthbearer.client.secret", ON_MAPPING},
	{"sasl.oauthbearer.extensions", ON_MAPPING},
	{"sasl.oauthbearer.method", ON_SERVER},
	{"sasl.oauthbearer.scope", ON_MAPPING},
	{"sasl.oauthbearer.token.endpoint.url", ON_SERVER | SUPERUSER_ONLY},
	{"sasl.password", ON_MAPPING},
	{"sasl.username", ON_MAPPING},
};

/* Two names of one property; both together contradict each other silently. */
static const char *const aliases[][2] = {
	{"sasl.mechanism", "sasl.mechanisms"},
	{"fetch.message.max.bytes", "max.partition.fetch.bytes"},
};

PG_FUNCTION_INFO_V1(factorymon_fdw_validator);

static const FmOption *
find_option(const char *name)
{
	for (int i = 0; i < lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static int
place_of(Oid catalog)
{
	if (catalog == ForeignServerRelationId)
		return ON_SERVER;
	if (catalog == UserMappingRelationId)
		return ON_MAPPING;
	return 0;
}

/* The allowed name of this place that is most like what was written. */
static const char *
closest_name(const char *name, int place)
{
	const char *closest = NULL;
	int			least = MAX_SUGGESTION_DISTANCE + 1;

	if (strlen(name) > NAMEDATALEN)
		return NULL;
	for (int i = 0; i < lengthof(options); i++)
	{
		int			distance;

		if (!(options[i].flags & place))
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name),
												 options[i].name,
												 strlen(options[i].name),
												 1, 1, 1, least, true);
		if (distance < least)
		{
			least = distance;
			closest = options[i].name;
		}
	}
	return closest;
}

/* Refuse a name that is not allowed here, saying what would be. */
static void
refuse_name(const char *name, Oid catalog)
{
	const FmOption *elsewhere = find_option(name);
	int			place = place_of(catalog);
	const char *closest = closest_name(name, place);

	if (elsewhere)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" does not belong here", name),
				 elsewhere->flags & ON_MAPPING ?
				 errhint("Options of a server are public: use CREATE USER MAPPING.") :
				 errhint("It is an option of the server.")));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ?
			 errhint("Perhaps you meant the option \"%s\".", closest) :
			 place == 0 ? errhint("There are no options here.") : 0));
}

static void
check_option(const DefElem *def, Oid catalog)
{
	const FmOption *option = find_option(def->defname);
	char		error[FM_KAFKA_ERROR_LEN];

	if (!option || !(option->flags & place_of(catalog)))
	{
		/* the library knows best why some names are nobody's to set */
		if (!option && place_of(catalog) != 0 &&
			!fm_kafka_check_property(def->defname, "", error, sizeof(error)) &&
			strstr(error, "cannot be set"))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("%s", error)));
		refuse_name(def->defname, catalog);
	}
	if ((option->flags & SUPERUSER_ONLY) && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"",
						def->defname),
				 errdetail("Options that name files or URLs, and those of Kerberos, are for superusers.")));
	if (!fm_kafka_check_property(def->defname, defGetString((DefElem *) def),
								 error, sizeof(error)))
	{
		/* some of the library's texts end with a newline */
		for (size_t len = strlen(error); len > 0 && error[len - 1] <= ' '; len--)
			error[len - 1] = '\0';
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", def->defname),
				 errdetail("%s.", error)));
	}
}

static const char *
value_of(List *list, const char *name)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static void
check_aliases(List *list)
{
	for (int i = 0; i < lengthof(aliases); i++)
		if (value_of(list, aliases[i][0]) && value_of(list, aliases[i][1]))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("options \"%s\" and \"%s\" are the same property",
							aliases[i][0], aliases[i][1])));
}

/*
 * SASL needs an explicit mechanism: the library's default is GSSAPI, which
 * runs a command to renew its ticket.
 */
static void
check_sasl(List *list)
{
	const char *protocol = value_of(list, "security.protocol");
	const char *mechanism = value_of(list, "sasl.mechanism");

	if (!mechanism)
		mechanism = value_of(list, "sasl.mechanisms");
	if (protocol && pg_strncasecmp(protocol, "sasl", 4) == 0 && !mechanism)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"sasl.mechanism\" is required with security.protocol \"%s\"",
						protocol),
				 errhint("For example PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.")));
	if (mechanism && pg_strcasecmp(mechanism, "GSSAPI") == 0 && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"sasl.mechanism\" to GSSAPI"),
				 errdetail("Kerberos is for superusers.")));
}

/*
 * Validator of wrapper kafka: called with the complete list of options of
 * what is created or altered, by whoever does it.
 */
Datum
factorymon_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *cell;

	foreach(cell, list)
		check_option(lfirst(cell), catalog);
	check_aliases(list);
	if (catalog == ForeignServerRelationId)
	{
		const char *servers = value_of(list, "bootstrap.servers");

		if (!servers || servers[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
					 errmsg("option \"bootstrap.servers\" is required"),
					 errhint("For example 'kafka1:9092,kafka2:9092'.")));
		check_sasl(list);
	}
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------------
 * What a connection is made of
 * ------------------------------------------------------------------- */

/* Options of roleid's user mapping, else of PUBLIC's, else none. */
static List *
mapping_options(Oid serverid, Oid roleid)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
										ObjectIdGetDatum(roleid),
										ObjectIdGetDatum(serverid));
	List	   *result = NIL;
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		result = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return result;
}

static void
add_properties(FmServerOptions *result, List *list)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst(cell);
		FmProperty *property = &result->properties[result->nproperties++];

		property->name = pstrdup(def->defname);
		property->value = pstrdup(defGetString(def));
		result->fingerprint = hash_combine64(result->fingerprint,
											 hash_bytes_extended((const unsigned char *) property->name,
																 strlen(property->name), 1));
		result->fingerprint = hash_combine64(result->fingerprint,
											 hash_bytes_extended((const unsigned char *) property->value,
																 strlen(property->value), 2));
	}
}

FmServerOptions *
fm_options_load(const char *server_name, Oid roleid)
{
	ForeignServer *server = GetForeignServerByName(server_name, false);
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);
	FmServerOptions *result = palloc0(sizeof(FmServerOptions));
	List	   *mapping;
	AclResult	acl;

	if (strcmp(wrapper->fdwname, WRAPPER_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not of foreign-data wrapper \"%s\"",
						server_name, WRAPPER_NAME)));
	acl = fm_server_aclcheck(server->serverid, roleid, ACL_USAGE);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, server->servername);

	mapping = mapping_options(server->serverid, roleid);
	result->serverid = server->serverid;
	result->properties = palloc(sizeof(FmProperty) *
								(list_length(server->options) +
								 list_length(mapping) + 1));
	add_properties(result, server->options);
	add_properties(result, mapping);
	return result;
}
