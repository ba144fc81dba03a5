/*
 * http_internal.h - what http.c and route.c share
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_HTTP_INTERNAL_H
#define FM_HTTP_INTERNAL_H

#include <stdatomic.h>

#include "guard.h"
#include "http.h"
#include "login.h"
#include "tls.h"

#define FM_MAX_BODY (16 * 1024)

struct FmHttp
{
	const FmOptions *options;
	FmAnswers  *answers;
	FmStream   *stream;
	FmGuard    *guard;
	FmLogin    *login;
	FmTls		tls;
	atomic_bool started;		/* from then on, only who wants it hears more */
	struct MHD_Daemon *daemon;
	int			listener;		/* after quiesce, ours to close */
};

typedef struct FmRequest
{
	FmWaiter	waiter;			/* while it is suspended */
	bool		begun;
	FmBuf		body;			/* of POST; wiped, it may have passwords */
	size_t		body_len;		/* bytes that came, in all */
	FmAnswer   *answer;			/* held until the response is out */
} FmRequest;

/*
 * Answer a request that is there, or have its connection suspended; then it is
 * called again when there is an answer.
 */
extern enum MHD_Result fm_route(FmHttp *http,
								struct MHD_Connection *connection,
								FmRequest *request, const char *path,
								const char *method);

extern void fm_request_wipe_body(FmRequest *request);

#endif							/* FM_HTTP_INTERNAL_H */
