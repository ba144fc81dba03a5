/*-------------------------------------------------------------------------
 *
 * options.h
 *	  The wrapper's options: which librdkafka properties whom, how checked,
 *	  and what a connection of a given role is made of.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OPTIONS_H
#define FM_OPTIONS_H

#include "postgres.h"

#include "consumer.h"

/* Everything needed to connect to one server as one role. */
typedef struct FmServerOptions
{
	Oid			serverid;
	FmProperty *properties;		/* server's first, then the user mapping's */
	int			nproperties;
	uint64		fingerprint;	/* changes whenever any of it changes */
} FmServerOptions;

/*
 * fm_options_load
 *		Options of a foreign server and of the user mapping of roleid (or
 *		PUBLIC's) on it, palloc'ed in the current memory context.
 *
 * Needs a transaction.  Errors: server does not exist, is not of wrapper
 * kafka, or roleid lacks USAGE on it.  No user mapping is no error.
 */
extern FmServerOptions *fm_options_load(const char *server_name, Oid roleid);

#endif							/* FM_OPTIONS_H */
