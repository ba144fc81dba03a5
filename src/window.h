/*-------------------------------------------------------------------------
 *
 * window.h
 *	  Which timestamps of readings are believed.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WINDOW_H
#define FM_WINDOW_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "pipeline.h"

/*
 * May a reading of a message with timestamp message_at (Kafka's; where the
 * message has none, the time of its arrival) claim to be of ts?
 */
extern bool fm_check_window(const FmPipeline *pipeline,
							TimestampTz message_at, TimestampTz ts);

/* Why not, as a sentence in buf; NUL-terminated whatever len is. */
extern void fm_window_describe(const FmPipeline *pipeline,
							   TimestampTz message_at, TimestampTz ts,
							   char *buf, size_t len);

#endif							/* FM_WINDOW_H */
