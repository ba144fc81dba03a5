/*-------------------------------------------------------------------------
 *
 * housekeeping.h
 *	  What the supervisor does every minute.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HOUSEKEEPING_H
#define FM_HOUSEKEEPING_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "pipeline.h"

/* One duty; its error disturbs neither the workers nor the other duties. */
extern void fm_house_do(void (*duty) (FmPipeline *), FmPipeline *pipeline);

/* All duties, for these pipelines. */
extern void fm_house_keep(List *pipelines);

/*
 * Only have history files written: where something may have become due, or did
 * while the archiver was not free.
 */
extern void fm_house_archive(List *pipelines, bool changed);

/* When the archiver may be started again. */
extern TimestampTz fm_house_next(void);

#endif							/* FM_HOUSEKEEPING_H */
