/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The wrapper's options: which librdkafka properties whom, how checked,
 *	  and what a connection of a given role is made of.
 *
 * An allow-list says where each property belongs.  Server options are public
 * (anybody can read pg_foreign_server), so secrets are accepted in user
 * mappings only, and what decides with whom we speak and how is accepted on
 * servers only: a user mapping cannot send a server's credentials elsewhere.
 * Values are checked by the library itself (client_conf.c), which also says
 * what is nobody's to set.
 *
 * What names a file, a URL or anything of Kerberos is for superusers: the
 * server process would read it with its own rights.  The check is made
 * whenever options are written, by whoever writes them, over the complete
 * list: so an ordinary role can neither add such an option nor alter a server
 * that has one, also where it owns the server.  Hence such an option in the
 * catalogs was put there by a superuser, and loading does not look again at
 * who owns what: a superuser may well prepare a server for somebody else.
 * What loading does look at again are names, places and combinations, because
 * the catalogs may have been filled while the wrapper had no validator.
 *
 * No message made here holds a value of a secret.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "factorymon.h"
#include "options.h"

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

/* GSSAPI is for superusers, and what is not here the library cannot do. */
static const char *const mechanisms[] = {
	"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI",
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

/* A phrase of the library or of client_conf.c as a sentence, for a detail. */
static char *
sentence(const char *phrase)
{
	char	   *result = psprintf("%s.", phrase);
	size_t		end = strlen(phrase);

	/* some of the library's texts end with a newline or a period already */
	while (end > 0 && (result[end - 1] <= ' ' || result[end - 1] == '.'))
		end--;
	result[end] = '.';
	result[end + 1] = '\0';
	result[0] = pg_toupper((unsigned char) result[0]);
	return result;
}

/* Refuse a name that is nobody's to set, saying why. */
static void
refuse_forbidden(const char *name, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("option \"%s\" cannot be set", name),
			 errdetail("%s", sentence(reason))));
}

/* Refuse a name that is an option of something else. */
static void
refuse_place(const char *name, const FmOption *option)
{
	if (option->flags & ON_SERVER)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is an option of servers", name),
				 errhint("Use CREATE SERVER or ALTER SERVER.")));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("option \"%s\" is an option of user mappings", name),
			 errdetail("Options of a server are visible to everybody."),
			 errhint("Use CREATE USER MAPPING or ALTER USER MAPPING.")));
}

/* Refuse a name that means nothing here, saying what might. */
static void
refuse_unknown(const char *name, int place)
{
	const char *closest = closest_name(name, place);

	if (strcmp(name, "metadata.broker.list") == 0)
		closest = "bootstrap.servers";
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 name[strspn(name, " \t\r\n")] == '\0' || name[0] <= ' ' ||
			 name[strlen(name) - 1] <= ' ' ?
			 errdetail("Names of options have no spaces around them.") : 0,
			 closest ?
			 errhint("Perhaps you meant the option \"%s\".", closest) :
			 place == 0 ? errhint("There are no valid options in this context.") : 0));
}

/* The option of that name, if it may stand in that place; else an error. */
static const FmOption *
allowed_option(const char *name, int place)
{
	const FmOption *option = find_option(name);
	const char *reason = fm_kafka_property_refusal(name);

	if (place != 0 && !option && reason)
		refuse_forbidden(name, reason);
	if (place == 0 || !option)
		refuse_unknown(name, place);
	if (!(option->flags & place))
		refuse_place(name, option);
	return option;
}

/* ----------------------------------------------------------------------
 * Values
 * ------------------------------------------------------------------- */

static void
refuse_value(const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 errdetail("%s", sentence(detail))));
}

/*
 * One "host", "host:port" or "[address]:port", perhaps with a protocol before
 * it.  The library takes anything and then cannot find it.
 */
static bool
is_broker(const char *broker, size_t len)
{
	const char *end = broker + len;
	const char *colon = NULL;
	const char *scheme;
	int			port = 0;

	for (scheme = broker; scheme + 2 < end; scheme++)
		if (strncmp(scheme, "://", 3) == 0)
			broker = scheme + 3;
	for (const char *c = broker; c < end; c++)
	{
		if (isspace((unsigned char) *c) || *c == '/')
			return false;
		if (*c == ':' && (*broker != '[' || c[-1] == ']'))
			colon = c;
	}
	if (broker == end || colon == broker)
		return false;
	if (!colon)
		return true;
	for (const char *c = colon + 1; c < end && port <= 65535; c++)
	{
		if (!isdigit((unsigned char) *c))
			return false;
		port = port * 10 + *c - '0';
	}
	return port >= 1 && port <= 65535;
}

static void
check_brokers(const char *name, const char *value)
{
	const char *rest = value;

	for (;;)
	{
		size_t		len = strcspn(rest, ",");
		size_t		skip = strspn(rest, " ");

		if (!is_broker(rest + skip, len - Min(skip, len)))
			refuse_value(name, "It must be a list like kafka1:9092,kafka2:9092");
		if (rest[len] == '\0')
			return;
		rest += len + 1;
	}
}

/*
 * Principal and keytab end up in a command that the library gives to a shell.
 * Superuser or not, nobody wants that by accident.
 */
static void
check_kerberos(const char *name, const char *value)
{
	for (const char *c = value; *c; c++)
		if (!isalnum((unsigned char) *c) && !strchr("._-/@+:=", *c))
			refuse_value(name, "It may have letters, digits and ._-/@+:= only");
}

static void
check_mechanism(const char *name, const char *value, bool may_kerberos)
{
	bool		known = false;

	for (int i = 0; i < lengthof(mechanisms); i++)
		known = known || strcmp(value, mechanisms[i]) == 0;
	if (!known)
		refuse_value(name, "It must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI");
	if (strcmp(value, "GSSAPI") == 0 && !may_kerberos)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\" to GSSAPI",
						name),
				 errdetail("Kerberos is for superusers.")));
}

/* What the library would accept and we, or a user, would be sorry for. */
static void
check_meaning(const char *name, const char *value)
{
	if (strcmp(name, "bootstrap.servers") == 0)
		check_brokers(name, value);
	else if (strcmp(name, "partition.assignment.strategy") == 0)
	{
		if (!fm_kafka_assignors_are_eager(value))
			refuse_value(name, "It must be range, roundrobin or both");
	}
	else if (strncmp(name, "sasl.mechanism", 14) == 0)
		check_mechanism(name, value, superuser());
	else if (strncmp(name, "sasl.kerberos.", 14) == 0)
		check_kerberos(name, value);
}

static void
check_option(DefElem *def, int place)
{
	const FmOption *option = allowed_option(def->defname, place);
	const char *value = defGetString(def);
	char		error[FM_KAFKA_ERROR_LEN];

	if ((option->flags & SUPERUSER_ONLY) && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"",
						def->defname),
				 errdetail("Options that name files or URLs, and those of Kerberos, are for superusers.")));
	if (!fm_kafka_check_property(def->defname, value, error, sizeof(error)))
		refuse_value(def->defname, error);
	check_meaning(def->defname, value);
}

/* ----------------------------------------------------------------------
 * Combinations
 * ------------------------------------------------------------------- */

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

	if (protocol && pg_strncasecmp(protocol, "sasl", 4) == 0 &&
		!value_of(list, "sasl.mechanism") && !value_of(list, "sasl.mechanisms"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"sasl.mechanism\" is required with security.protocol \"%s\"",
						protocol),
				 errhint("For example PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.")));
}

/* What the options of a server must be like as a whole. */
static void
check_server_options(List *list)
{
	const char *servers = value_of(list, "bootstrap.servers");

	if (!servers || servers[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"bootstrap.servers\" is required"),
				 errhint("For example 'kafka1:9092,kafka2:9092'.")));
	check_sasl(list);
}

/*
 * Validator of wrapper kafka: called with the complete list of options of
 * what is created or altered, by whoever does it.
 */
Datum
factorymon_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	int			place = place_of(PG_GETARG_OID(1));
	ListCell   *cell;

	/* a misspelt option is better called so than missing */
	foreach(cell, list)
		(void) allowed_option(((DefElem *) lfirst(cell))->defname, place);
	if (place == ON_SERVER)
		check_server_options(list);
	foreach(cell, list)
		check_option(lfirst(cell), place);
	check_aliases(list);
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

/* Take options over as properties; their names and places checked again. */
static void
add_properties(FmServerOptions *result, List *list, int place)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst(cell);
		FmProperty *property = &result->properties[result->nproperties++];

		(void) allowed_option(def->defname, place);
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

/*
 * A server of any wrapper that checks options as we do: the extension's own,
 * whatever it has been renamed to.
 */
static void
check_wrapper(const ForeignServer *server)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);

	if (getExtensionOfObject(ForeignDataWrapperRelationId, wrapper->fdwid) ==
		get_extension_oid(FM_EXTENSION_NAME, false) &&
		!OidIsValid(wrapper->fdwhandler))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("server \"%s\" is not a Kafka cluster",
					server->servername),
			 errdetail("It belongs to foreign-data wrapper \"%s\".",
					   wrapper->fdwname),
			 errhint("Use CREATE SERVER ... FOREIGN DATA WRAPPER kafka.")));
}

FmServerOptions *
fm_options_load(const char *server_name, Oid roleid)
{
	ForeignServer *server = GetForeignServerByName(server_name, false);
	FmServerOptions *result = palloc0(sizeof(FmServerOptions));
	List	   *mapping;
	AclResult	acl;

	check_wrapper(server);
	acl = fm_server_aclcheck(server->serverid, roleid, ACL_USAGE);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, server->servername);

	check_server_options(server->options);
	mapping = mapping_options(server->serverid, roleid);
	result->serverid = server->serverid;
	result->fingerprint = server->serverid;
	result->properties = palloc(sizeof(FmProperty) *
								(list_length(server->options) +
								 list_length(mapping) + 1));
	add_properties(result, server->options, ON_SERVER);
	add_properties(result, mapping, ON_MAPPING);
	return result;
}
