/*-------------------------------------------------------------------------
 *
 * silence.h
 *	  The deadman: the supervisor misses sensors that fall silent.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SILENCE_H
#define FM_SILENCE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "lifecycle.h"

/* The stream of a pipeline that has its alarms of silence: no partition. */
#define FM_SILENCE_TOPIC		""
#define FM_SILENCE_PARTITION	(-1)

/*
 * fm_silence_step
 *		Look at the sensors of these pipelines, if it is time.
 *
 * changed: the configuration may have changed, or somebody asked for something;
 * answered: what brokers were asked on our behalf is known now.
 */
extern void fm_silence_step(List *pipelines, bool changed, bool answered);

/* When it is time. */
extern TimestampTz fm_silence_next(void);

/* What silence is judged by: severities, and no limits. */
extern const FmLimits *fm_silence_limits(void);

#endif							/* FM_SILENCE_H */
