/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Which timestamps of readings are believed.
 *
 * Readings live in time partitions, so a sensor with a broken clock could
 * ask for a thousand of them.  A reading is believed if its time lies within
 * the pipeline's window around the timestamp of its message.  The clock of
 * this machine does not come into that: catching up with a topic of last
 * month rejects nothing that would have been accepted last month.  Only two
 * bounds are absolute: 2000-01-01 (before it, no plant's clock was set), and
 * a day from now (so that a message whose own timestamp is in the far future
 * does not pull its readings along).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/timestamp.h"

#include "reading.h"
#include "window.h"

/* 2000-01-01 00:00 UTC is the origin of PostgreSQL's timestamps. */
#define FIRST_BELIEVED ((TimestampTz) 0)

/*
 * Is ts more than a day ahead?  The clock is asked only when the answer
 * would be yes by the last time it was asked, that is about once a day.
 */
static bool
is_far_future(TimestampTz ts)
{
	static TimestampTz last_now = 0;

	if (ts <= last_now + USECS_PER_DAY)
		return false;
	last_now = GetCurrentTimestamp();
	return ts > last_now + USECS_PER_DAY;
}

/* base + delta, within the range of int64. */
static int64
add_saturated(int64 base, int64 delta)
{
	int64		result;

	if (pg_add_s64_overflow(base, delta, &result))
		return delta < 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return result;
}

bool
fm_check_window(const FmPipeline *pipeline, TimestampTz message_at,
				TimestampTz ts)
{
	if (ts < FIRST_BELIEVED)
		return false;
	if (ts < add_saturated(message_at, -pipeline->accept_past) ||
		ts > add_saturated(message_at, pipeline->accept_future))
		return false;
	return !is_far_future(ts);
}

void
fm_window_describe(const FmPipeline *pipeline, TimestampTz message_at,
				   TimestampTz ts, char *buf, size_t len)
{
	const char *rule;
	char		reading_text[40] = "";
	char		message_text[40] = "";

	if (ts < FIRST_BELIEVED)
		rule = "is before the year 2000";
	else if (ts < add_saturated(message_at, -pipeline->accept_past))
		rule = "is older than the pipeline accepts";
	else if (ts > add_saturated(message_at, pipeline->accept_future))
		rule = "is further ahead than the pipeline accepts";
	else
		rule = "is more than a day ahead of the server's clock";

	(void) fm_format_rfc3339(ts, 6, reading_text);
	(void) fm_format_rfc3339(message_at, 3, message_text);
	snprintf(buf, len, "timestamp %s %s (message of %s)",
			 reading_text[0] ? reading_text : "of the reading", rule,
			 message_text[0] ? message_text : "unknown time");
}
