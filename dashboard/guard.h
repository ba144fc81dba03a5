/*
 * guard.h - who may ask, how often, and from where
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * All of this belongs to the thread of HTTP; so there are no locks.
 *
 * A client is known by its address: that of its connection, or where that is
 * a proxy which --trusted-proxy names, the last one in X-Forwarded-For that is
 * no such proxy.  Of IPv6 the first 64 bits count, since whoever has one
 * address there has all of these.
 */
#ifndef FM_GUARD_H
#define FM_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "options.h"

typedef struct FmGuard FmGuard;

typedef struct FmClient
{
	char		address[64];	/* as text; of IPv6 the network */
	bool		local;			/* of this machine */
	bool		exempt;			/* local, or by a trusted proxy */
} FmClient;

/* NULL, after a message: the list of proxies is not one of addresses. */
extern FmGuard *fm_guard_new(const FmOptions *options);

extern void fm_guard_free(FmGuard *guard);

/* Does the address belong to this machine alone? */
extern bool fm_guard_is_loopback(const struct sockaddr *address);

/* Callbacks of libmicrohttpd, which count connections by address. */
extern enum MHD_Result fm_guard_accept(void *guard,
									   const struct sockaddr *address,
									   socklen_t len);
extern void fm_guard_count(void *guard, struct MHD_Connection *connection,
						   void **context,
						   enum MHD_ConnectionNotificationCode what);

extern void fm_guard_client(const FmGuard *guard,
							struct MHD_Connection *connection,
							FmClient *client);

/* Has the client used a name of ours (Host)? */
extern bool fm_guard_is_our_host(const FmGuard *guard,
								 struct MHD_Connection *connection);

/* Does the browser say that a page of ours asks?  secure: by https. */
extern bool fm_guard_is_our_page(struct MHD_Connection *connection,
								 bool secure);

#endif							/* FM_GUARD_H */
