/*
 * action.h - what operators do about alarms
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * An action is a function of the extension, called with the members of the
 * request's body as parameters.  The database decides whether the role may do
 * it, and whether it can be done; here its refusals become codes of HTTP.
 */
#ifndef FM_ACTION_H
#define FM_ACTION_H

#include <libpq-fe.h>

#include "answer.h"
#include "body.h"

typedef struct FmAction
{
	const char *name;			/* behind /api/alarms/ */
	const char *function;		/* of schema factorymon */
	const char *query;			/* role, request_id, requests */
	FmField		fields[FM_MAX_FIELDS];	/* the n-th is $n */
} FmAction;

/* NULL: there is none of that name. */
extern const FmAction *fm_action_find(const char *name);

/*
 * Do it as the role of the connection.  *lost: there is no connection any more,
 * or one that must not be used again.
 */
extern FmAnswer *fm_action_run(PGconn *connection, const FmAction *action,
							   char *const *values, bool *lost);

/*
 * Members "role" and "actions", as the connection's role has them now; false:
 * that failed, with a text for the log in error.
 */
extern bool fm_action_put_rights(FmBuf *buf, PGconn *connection, char *error,
								 size_t errlen);

#endif							/* FM_ACTION_H */
