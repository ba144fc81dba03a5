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
 *		last = (number publications, and tell of each what an FmKpiEvent has);
 *		last = fm_kpi_take(pipeline_id, events, n, last);
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
#include "utils/uuid.h"

/* One publication, with what its transition tells; texts are never NULL unless
 * said so. */
typedef struct FmKpiEvent
{
	int64		pub_seq;
	TimestampTz recorded_at;
	const char *factory_section;	/* NULL: not known */
	const char *zone;			/* NULL: not known */
	const char *position;		/* who looks after that: fm_kpi_take() asks */
	const char *transition;
	const char *state;			/* NULL: not known */
	const char *condition;		/* NULL: not known */
	const char *actor;			/* NULL: nobody */
	const char *comment;		/* NULL: none */
	pg_uuid_t	alarm_id;
	bool		has_alarm;
	bool		announced;
	int16		severity;
	int32		stream_id;		/* 0: none */
	int32		sensor_id;		/* 0: none */
	TimestampTz event_time;		/* 0: none */
} FmKpiEvent;

/*
 * fm_kpi_take
 *		Count n publications of a pipeline, in the order of their numbers.
 *
 * Each is to be taken by the transaction that numbers it, and so counts once.
 * Floods that begin or end with them are publications themselves, which this
 * inserts, numbered from last + 1 on.  Returns the last number in use, last if
 * there were none; the caller goes on from there.
 */
extern int64 fm_kpi_take(int16 pipeline_id, FmKpiEvent *events, int n,
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
