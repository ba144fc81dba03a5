/*
 * http.h - requests in, responses out
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_HTTP_H
#define FM_HTTP_H

#include "answer.h"
#include "options.h"
#include "stream.h"

typedef struct FmHttp FmHttp;

/* Listen and serve; NULL, after a message on stderr, if that cannot be. */
extern FmHttp *fm_http_start(const FmOptions *options,
							 const FmDatabase *database, FmAnswers *answers,
							 FmStream *stream);

/* The port that it listens on. */
extern int	fm_http_port(const FmHttp *http);

/* Take no new connections. */
extern void fm_http_quiesce(FmHttp *http);

/* End; nothing may be suspended any more. */
extern void fm_http_stop(FmHttp *http);

#endif							/* FM_HTTP_H */
