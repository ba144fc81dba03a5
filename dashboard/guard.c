/*
 * guard.c - who may ask, how often, and from where
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Addresses are kept as 16 bytes, those of IPv4 as IPv6 writes them
 * (::ffff:1.2.3.4), so that there is one kind of them.
 */
#include "guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../producer/buf.h"

#define MAX_PROXIES 32
#define MAX_ADDRESSES 1000		/* with connections: as many as these */
#define MAX_OF_ADDRESS 100		/* connections of one that is not exempt */

typedef struct Address
{
	unsigned char bytes[16];
} Address;

typedef struct Network
{
	Address		address;
	int			bits;
} Network;

typedef struct Connections
{
	Address		address;
	int			n;				/* 0: free */
} Connections;

struct FmGuard
{
	const FmOptions *options;
	Network		proxies[MAX_PROXIES];
	int			nproxies;
	Connections connections[MAX_ADDRESSES];
};

/* ----------------------------------------------------------------------
 * Addresses
 * ------------------------------------------------------------------- */

static const unsigned char v4_prefix[12] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};

static bool
is_v4(const Address *address)
{
	return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

static bool
address_of(const struct sockaddr *from, Address *address)
{
	memset(address, 0, sizeof(*address));
	if (from != NULL && from->sa_family == AF_INET6)
	{
		memcpy(address->bytes,
			   &((const struct sockaddr_in6 *) from)->sin6_addr, 16);
		return true;
	}
	if (from == NULL || from->sa_family != AF_INET)
		return false;
	memcpy(address->bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(address->bytes + 12,
		   &((const struct sockaddr_in *) from)->sin_addr, 4);
	return true;
}

static bool
read_address(const char *text, Address *address)
{
	memcpy(address->bytes, v4_prefix, sizeof(v4_prefix));
	return inet_pton(AF_INET, text, address->bytes + 12) == 1 ||
		inet_pton(AF_INET6, text, address->bytes) == 1;
}

static bool
is_within(const Address *address, const Network *network)
{
	int			whole = network->bits / 8;
	int			mask = 0xff00 >> (network->bits % 8) & 0xff;

	return memcmp(address->bytes, network->address.bytes,
				  (size_t) whole) == 0 &&
		(mask == 0 || ((address->bytes[whole] ^
						network->address.bytes[whole]) & mask) == 0);
}

static bool
is_local(const Address *address)
{
	static const Address one = {{[15] = 1}};

	return (is_v4(address) && address->bytes[12] == 127) ||
		memcmp(address, &one, sizeof(one)) == 0;
}

bool
fm_guard_is_loopback(const struct sockaddr *address)
{
	Address		a;

	return address_of(address, &a) && is_local(&a);
}

/* What counts as one client. */
static Address
client_of(Address address)
{
	if (!is_v4(&address) && !is_local(&address))
		memset(address.bytes + 8, 0, 8);
	return address;
}

static bool
is_proxy(const FmGuard *guard, const Address *address)
{
	for (int i = 0; i < guard->nproxies; i++)
		if (is_within(address, &guard->proxies[i]))
			return true;
	return false;
}

/* ----------------------------------------------------------------------
 * Lists by commas
 * ------------------------------------------------------------------- */

/* The next item without the blanks around it; false: that was all. */
static bool
next_item(const char **list, const char **item, size_t *len)
{
	if (**list == '\0')
		return false;
	*item = *list + strspn(*list, " \t,");
	*len = strcspn(*item, ",");
	*list = *item + *len;
	while (*len > 0 && strchr(" \t", (*item)[*len - 1]) != NULL)
		(*len)--;
	return *len > 0;
}

/* The last one, which is taken off. */
static bool
last_item(char *list, char **item)
{
	size_t		len = strlen(list);

	while (len > 0 && strchr(" \t,", list[len - 1]) != NULL)
		list[--len] = '\0';
	while (len > 0 && strchr(" \t,", list[len - 1]) == NULL)
		len--;
	*item = list + len;
	return **item != '\0';
}

static bool
read_network(const char *text, Network *network)
{
	char		copy[64];
	char	   *slash;
	char	   *end;
	int			most;
	long		bits;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	if (!read_address(copy, &network->address))
		return false;
	most = is_v4(&network->address) ? 32 : 128;
	bits = slash != NULL ? strtol(slash + 1, &end, 10) : most;
	if (slash != NULL &&
		(strspn(slash + 1, "0123456789") == 0 || *end != '\0'))
		return false;
	network->bits = (int) bits + 128 - most;
	return bits >= 0 && bits <= most;
}

static bool
read_proxies(FmGuard *guard)
{
	const char *list = guard->options->trusted_proxies;
	const char *item;
	size_t		len;

	while (next_item(&list, &item, &len))
	{
		char		text[64];

		snprintf(text, sizeof(text), "%.*s", (int) len, item);
		if (guard->nproxies < MAX_PROXIES && len < sizeof(text) &&
			read_network(text, &guard->proxies[guard->nproxies++]))
			continue;
		fprintf(stderr, "factorymon-dashboard: --trusted-proxy: \"%s\" is no"
				" address (such as 10.1.2.3 or 172.18.0.0/16), or there are"
				" more than %d\n", text, MAX_PROXIES);
		return false;
	}
	return true;
}

FmGuard *
fm_guard_new(const FmOptions *options)
{
	FmGuard    *guard = fm_xcalloc(1, sizeof(FmGuard));

	guard->options = options;
	if (read_proxies(guard))
		return guard;
	free(guard);
	return NULL;
}

void
fm_guard_free(FmGuard *guard)
{
	free(guard);
}

/* ----------------------------------------------------------------------
 * Connections
 * ------------------------------------------------------------------- */

/* Those of an address, or a free place; NULL: there is none. */
static Connections *
connections_of(FmGuard *guard, const Address *address)
{
	Connections *unused = NULL;

	for (int i = 0; i < MAX_ADDRESSES; i++)
	{
		Connections *c = &guard->connections[i];

		if (c->n == 0)
			unused = unused != NULL ? unused : c;
		else if (memcmp(&c->address, address, sizeof(*address)) == 0)
			return c;
	}
	return unused;
}

enum MHD_Result
fm_guard_accept(void *arg, const struct sockaddr *from, socklen_t len)
{
	FmGuard    *guard = arg;
	Connections *connections;
	Address		address;

	(void) len;
	if (!address_of(from, &address))
		return MHD_NO;
	if (is_local(&address) || is_proxy(guard, &address))
		return MHD_YES;
	address = client_of(address);
	connections = connections_of(guard, &address);
	return connections != NULL && connections->n < MAX_OF_ADDRESS ?
		MHD_YES : MHD_NO;
}

static const struct sockaddr *
peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection,
								MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info != NULL ? info->client_addr : NULL;
}

void
fm_guard_count(void *arg, struct MHD_Connection *connection, void **context,
			   enum MHD_ConnectionNotificationCode what)
{
	Connections *connections = *context;
	Address		address;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED)
	{
		if (connections != NULL)
			connections->n--;
		return;
	}
	if (!address_of(peer_of(connection), &address))
		return;
	address = client_of(address);
	connections = connections_of(arg, &address);
	*context = connections;
	if (connections == NULL)
		return;
	connections->address = address;
	connections->n++;
}

/* ----------------------------------------------------------------------
 * Who asks
 * ------------------------------------------------------------------- */

static const char *
header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A proxy may append to the client's header, or add one of its own. */
static enum MHD_Result
take_forwarded(void *arg, enum MHD_ValueKind kind, const char *name,
			   const char *value)
{
	(void) kind;
	if (strcasecmp(name, "X-Forwarded-For") == 0 && value != NULL)
	{
		fm_buf_putc(arg, ',');
		fm_buf_puts(arg, value);
	}
	return MHD_YES;
}

/* An address that may have a port, as some proxies write it. */
static bool
read_forwarded(char *text, Address *address)
{
	char	   *colon = strchr(text, ':');

	if (*text == '[')
	{
		text++;
		text[strcspn(text, "]")] = '\0';
	}
	else if (colon != NULL && strchr(colon + 1, ':') == NULL)
		*colon = '\0';
	return read_address(text, address);
}

/* What lies behind what a proxy of ours says is up to the client. */
static void
follow_proxies(const FmGuard *guard, struct MHD_Connection *connection,
			   Address *address)
{
	FmBuf		list = FM_BUF_INIT;
	char	   *item;

	(void) MHD_get_connection_values(connection, MHD_HEADER_KIND,
									 take_forwarded, &list);
	fm_buf_putc(&list, '\0');
	while (is_proxy(guard, address) && last_item(list.data, &item))
	{
		Address		next;

		if (!read_forwarded(item, &next))
			break;
		*address = next;
		*item = '\0';
	}
	fm_buf_free(&list);
}

void
fm_guard_client(const FmGuard *guard, struct MHD_Connection *connection,
				FmClient *client)
{
	Address		address;

	memset(client, 0, sizeof(*client));
	snprintf(client->address, sizeof(client->address), "?");
	if (!address_of(peer_of(connection), &address))
		return;
	client->exempt = is_local(&address) || is_proxy(guard, &address);
	follow_proxies(guard, connection, &address);
	client->local = is_local(&address);
	address = client_of(address);
	if (is_v4(&address))
		(void) inet_ntop(AF_INET, address.bytes + 12, client->address,
						 sizeof(client->address));
	else
		(void) inet_ntop(AF_INET6, address.bytes, client->address,
						 sizeof(client->address));
}

static bool
is_in_list(const char *list, const char *name, size_t len)
{
	const char *item;
	size_t		n;

	while (next_item(&list, &item, &n))
		if ((n == len && strncasecmp(item, name, len) == 0) ||
			(n == 1 && *item == '*'))
			return true;
	return false;
}

/* Addresses cannot lie. */
bool
fm_guard_is_our_host(const FmGuard *guard, struct MHD_Connection *connection)
{
	const char *host = header_of(connection, "Host");
	Address		address;
	char		text[64];
	size_t		len;

	if (host == NULL)
		return false;
	len = strcspn(host, ":");
	if (*host == '[')
	{
		host++;
		len = strcspn(host, "]");
	}
	if (is_in_list("localhost", host, len) ||
		is_in_list(guard->options->allowed_hosts, host, len))
		return true;
	snprintf(text, sizeof(text), "%.*s", (int) len, host);
	return len < sizeof(text) && read_address(text, &address);
}

/*
 * Browsers say where a page is from that asks, and no page can make them say
 * something else.  Older ones know Origin only.
 */
bool
fm_guard_is_our_page(struct MHD_Connection *connection, bool secure)
{
	const char *site = header_of(connection, "Sec-Fetch-Site");
	const char *origin = header_of(connection, "Origin");
	const char *host = header_of(connection, "Host");
	const char *scheme = secure ? "https://" : "http://";

	if (site != NULL)
		return strcmp(site, "same-origin") == 0;
	return origin != NULL && host != NULL &&
		strncmp(origin, scheme, strlen(scheme)) == 0 &&
		strcasecmp(origin + strlen(scheme), host) == 0;
}
