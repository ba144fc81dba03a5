/*
 * response.h - what goes out, with the headers that it needs
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_RESPONSE_H
#define FM_RESPONSE_H

#include "answer.h"
#include "files.h"

/* Of a request; NULL: it has none of that name. */
extern const char *fm_header_of(struct MHD_Connection *connection,
								const char *name);

/* A response with a copy of that text. */
extern struct MHD_Response *fm_response_of(const char *text, size_t len);

/* Takes the response over; NULL ends the connection. */
extern enum MHD_Result fm_respond(struct MHD_Connection *connection,
								  unsigned status,
								  struct MHD_Response *response,
								  const char *type);

/* Say why not; allow: the methods that would do, or NULL. */
extern enum MHD_Result fm_refuse(struct MHD_Connection *connection,
								 unsigned status, const char *title,
								 const char *detail, const char *allow);

/* The answer must stay until the request is completed. */
extern enum MHD_Result fm_give_answer(struct MHD_Connection *connection,
									  const FmAnswer *answer);

extern enum MHD_Result fm_give_file(struct MHD_Connection *connection,
									const FmFile *file);

#endif							/* FM_RESPONSE_H */
