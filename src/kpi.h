/*-------------------------------------------------------------------------
 *
 * kpi.h
 *	  What key figures of alarms are made of, counted as things go out.
 *
 * All of it works in the transaction of the publisher that numbers what goes
 * out (_factorymon.publication), switched to the extension's owner, within an
 * SPI connection or without one, at isolation level read committed.  What is
 * counted is committed with the numbers, or not at all.
 *
 *		last = (number publications first to last);
 *		last = fm_kpi_take(pipeline_id, first, last);
 *		if (nothing more is to be numbered &&
 *			fm_kpi_next_deadline(pipeline_id) <= now)
 *			last = fm_kpi_clock(pipeline_id, now, last);
 *		(remember last; NOTIFY about first to last)
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KPI_H
#define FM_KPI_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * fm_kpi_take
 *		Count the publications [first, last] of a pipeline, each once: what
 *		was taken before is passed over.
 *
 * Floods that begin or end with them are publications themselves, which this
 * inserts, numbered from last + 1 on.  Returns the last number in use, last if
 * there were none; the caller goes on from there.
 */
extern int64 fm_kpi_take(int16 pipeline_id, int64 first_pub_seq,
						 int64 last_pub_seq);

/*
 * fm_kpi_clock
 *		End floods that are over by now.
 *
 * To be called at the time of fm_kpi_next_deadline(), when everything that is
 * committed has been taken.  last is the last number in use; returns the new
 * one.
 */
extern int64 fm_kpi_clock(int16 pipeline_id, TimestampTz now,
						  int64 last_pub_seq);

/*
 * When fm_kpi_clock() has something to do, as things are; DT_NOEND: never.
 * It changes with each take.
 */
extern TimestampTz fm_kpi_next_deadline(int16 pipeline_id);

/* Forget what is older than factorymon.kpi_retention; how many rows went. */
extern int64 fm_kpi_expire(void);

/* Forget a pipeline that is being dropped. */
extern void fm_kpi_drop(int16 pipeline_id);

#endif							/* FM_KPI_H */
