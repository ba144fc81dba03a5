/*-------------------------------------------------------------------------
 *
 * mapping_time.c
 *	  Timestamps as a mapping knows them: RFC 3339, a clock's time of some
 *	  time zone, and numbers since 1970.
 *
 * A mapping may accept several ways of writing.  The column gives back the
 * first one of them, since that is how one would write the message again;
 * any other way is kept in extra.  So is what does not come back: digits
 * beyond microseconds, offsets, and a local time that the clocks showed twice.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "mapping_internal.h"

#define SHOWN_VALUE			48
#define MICROSECONDS		INT64_C(1000000)

/* Microseconds from 1970-01-01 to 2000-01-01. */
#define UNIX_TO_EPOCH		(INT64_C(946684800) * MICROSECONDS)

static const struct
{
	const char *name;
	unsigned	as;
}			ways[] =
{
	{"rfc3339", FM_AS_RFC3339},
	{"local", FM_AS_LOCAL},
	{"epoch_s", FM_AS_EPOCH_S},
	{"epoch_ms", FM_AS_EPOCH_MS},
	{"epoch_us", FM_AS_EPOCH_US}
};

#define NUM_WAYS	((int) (sizeof(ways) / sizeof(ways[0])))

/* ------------------------------------------------------------------------
 * Compiling
 * ------------------------------------------------------------------------
 */

static bool
add_way(FmCompile *compile, FmSource *source, FmSlice value)
{
	FmSlice		name;
	int			i;

	if (!fm_compile_string(compile, value, &name))
		return false;
	for (i = 0; i < NUM_WAYS && strcmp(ways[i].name, name.data) != 0; i++)
		;
	if (i == NUM_WAYS)
		return fm_compile_fail(compile, NULL, "must be one of rfc3339, local, "
							   "epoch_s, epoch_ms and epoch_us");
	if ((ways[i].as & FM_AS_EPOCH) != 0 && (source->as & FM_AS_EPOCH) != 0)
		return fm_compile_fail(compile, NULL, "is a second kind of numbers: "
							   "nothing would tell them apart");
	source->as |= ways[i].as;
	if (source->first_as == 0)
		source->first_as = ways[i].as;
	return true;
}

static bool
compile_ways(FmCompile *compile, FmSource *source, FmSlice value)
{
	const char *cursor = value.data;
	FmSlice		element;
	int			n = 0;

	if (fm_json_type(value) != FM_JSON_ARRAY)
		return add_way(compile, source, value);
	while (fm_json_next_element(&cursor, &element))
	{
		int			length = fm_compile_enter_index(compile, n++);

		if (!add_way(compile, source, element))
			return false;
		fm_compile_leave(compile, length);
	}
	return n > 0 || fm_compile_fail(compile, NULL, "must not be empty");
}

static bool
compile_zone(FmCompile *compile, FmSource *source, FmSlice value)
{
	if (!fm_compile_string(compile, value, &source->zone_name))
		return false;
	if ((source->as & FM_AS_LOCAL) == 0)
		return fm_compile_fail(compile, NULL, "is of use only for times "
							   "\"as\" \"local\"");
	if (strcmp(source->zone_name.data, "UTC") == 0)
		return true;
	source->zone = compile->zones->find == NULL ? NULL :
		compile->zones->find(compile->zones->context, source->zone_name.data);
	return source->zone != NULL ||
		fm_compile_fail(compile, NULL, "is no time zone that is known here");
}

bool
fm_compile_time(FmCompile *compile, FmSource *source, FmSlice as, FmSlice zone)
{
	int			length = (int) strlen(compile->place);
	bool		ok = true;

	if (source->field != FM_FIELD_TIMESTAMP)
	{
		if (as.data == NULL && zone.data == NULL)
			return true;
		return fm_compile_fail(compile, as.data ? "as" : "time_zone",
							   "can be said of a timestamp only");
	}
	strcat(compile->place, length < 200 ? "/as" : "");
	if (as.data == NULL)
		source->as = source->first_as = FM_AS_RFC3339;
	else
		ok = compile_ways(compile, source, as);
	if (!ok)
		return false;
	fm_compile_leave(compile, length);
	source->zone_name.data = "UTC";
	source->zone_name.len = 3;
	if (zone.data == NULL)
		return true;
	strcat(compile->place, length < 200 ? "/time_zone" : "");
	if (!compile_zone(compile, source, zone))
		return false;
	fm_compile_leave(compile, length);
	return true;
}

/* ------------------------------------------------------------------------
 * Judging
 * ------------------------------------------------------------------------
 */

static bool
reject_time(FmMapped *mapped, const char *path, FmSlice written,
			const char *demand, const char *what)
{
	return fm_reject(mapped->result, FM_REJECT_INVALID_TIMESTAMP,
					 "Member \"%s\" must be %s, but %s: %.*s.", path, demand,
					 what, fm_utf8_clip(written.data, written.len,
										SHOWN_VALUE), written.data);
}

/* Time on the clocks of the source's zone; NULL or what is wrong. */
static const char *
local_fault(const FmMapped *mapped, const FmSource *source, FmSlice text,
			FmReading *reading)
{
	int64_t		local;
	int64_t		seconds;
	int64_t		fraction;
	FmLocalTime kind = FM_LOCAL_UNIQUE;
	const char *what = fm_local_time_fault(text.data, text.len, &local,
										   &reading->ts_digits);

	if (what != NULL)
		return what;
	if (source->zone == NULL)
		reading->ts = local;
	else
	{
		fraction = ((local % MICROSECONDS) + MICROSECONDS) % MICROSECONDS;
		kind = mapped->format->zones.to_utc(source->zone,
											(local - fraction) / MICROSECONDS,
											&seconds);
		reading->ts = seconds * MICROSECONDS + fraction;
	}
	if (kind == FM_LOCAL_MISSING)
		return "the clocks of its time zone skipped this time";
	if (kind == FM_LOCAL_AMBIGUOUS)
		reading->ts_digits = FM_TS_TEXT;
	return fm_timestamp_in_range(reading->ts) ? NULL :
		"it is not in the years 0001 to 9999";
}

static bool
take_text(FmMapped *mapped, const FmSource *source, const char *path,
		  FmSlice written, FmReading *reading, bool *exact)
{
	FmSlice		text = fm_json_string(written, mapped->arena);
	unsigned	as = FM_AS_RFC3339;
	const char *what = NULL;

	if (text.data == NULL)
		return fm_mapped_no_memory(mapped);
	if ((source->as & FM_AS_RFC3339) != 0)
		what = fm_rfc3339_fault(text.data, text.len, &reading->ts,
								&reading->ts_digits);
	if ((source->as & FM_AS_LOCAL) != 0 &&
		((source->as & FM_AS_RFC3339) == 0 || what != NULL))
	{
		/* of two faults, the one of what is listed first is told */
		const char *local = local_fault(mapped, source, text, reading);

		as = FM_AS_LOCAL;
		if (local == NULL || what == NULL || source->first_as == FM_AS_LOCAL)
			what = local;
	}
	if (what != NULL)
		return reject_time(mapped, path, written,
						   source->first_as != FM_AS_LOCAL &&
						   (source->as & FM_AS_RFC3339) != 0 ?
						   "an RFC 3339 timestamp" :
						   "a date and time of day without offset", what);
	*exact = as == source->first_as && reading->ts_digits != FM_TS_TEXT;
	return true;
}

/*
 * The number times 10^places as an integer, cut off; false: it does not fit.
 * *whole: nothing was cut off.
 */
static bool
scale_decimal(const FmDecimal *decimal, int places, int64_t *result,
			  bool *whole)
{
	int64_t		digits = decimal->exponent + 1 + places;	/* to be taken */
	const char *p = decimal->first;
	int64_t		sum = 0;
	int64_t		i;

	*whole = decimal->ndigits <= digits || decimal->ndigits == 0;
	*result = 0;
	if (decimal->ndigits == 0 || digits <= 0)
		return true;
	if (digits > 18)
		return false;
	for (i = 0; i < digits; i++)
	{
		int			digit = 0;

		if (i < decimal->ndigits)
		{
			if (*p == '.')
				p++;
			digit = *p++ - '0';
		}
		sum = sum * 10 + digit;
	}
	*result = decimal->negative ? -sum : sum;
	/* cutting off is towards the past, as with the text of a timestamp */
	if (decimal->negative && !*whole)
		*result -= 1;
	return true;
}

static bool
take_number(FmMapped *mapped, const FmSource *source, const char *path,
			FmSlice written, FmReading *reading, bool *exact)
{
	unsigned	as = source->as & FM_AS_EPOCH;
	int			places = as == FM_AS_EPOCH_S ? 6 : as == FM_AS_EPOCH_MS ? 3 : 0;
	FmDecimal	decimal;
	int64_t		micros;
	bool		whole;

	fm_decimal_parse(written, &decimal);
	if (!scale_decimal(&decimal, places, &micros, &whole) ||
		!fm_timestamp_in_range(micros - UNIX_TO_EPOCH))
		return reject_time(mapped, path, written,
						   as == FM_AS_EPOCH_S ? "seconds since 1970" :
						   as == FM_AS_EPOCH_MS ? "milliseconds since 1970" :
						   "microseconds since 1970",
						   "it is not in the years 0001 to 9999");
	reading->ts = micros - UNIX_TO_EPOCH;
	reading->ts_digits = !whole ? FM_TS_TEXT : as == FM_AS_EPOCH_MS ? 3 :
		as == FM_AS_EPOCH_US ? 6 : micros % MICROSECONDS == 0 ? 0 : 6;
	*exact = whole && as == source->first_as;
	return true;
}

bool
fm_take_time(FmMapped *mapped, const FmSource *source, const char *path,
			 FmSlice written, FmReading *reading, bool *exact)
{
	if (fm_json_type(written) == FM_JSON_NUMBER)
		return take_number(mapped, source, path, written, reading, exact);
	return take_text(mapped, source, path, written, reading, exact);
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

/* A number of these units since 1970, with the fraction that it needs. */
static int
write_epoch(int64_t micros, int64_t unit, char *buf)
{
	uint64_t	size = micros < 0 ? (uint64_t) 0 - (uint64_t) micros :
		(uint64_t) micros;
	unsigned	fraction = (unsigned) (size % (uint64_t) unit);
	int			places = unit == MICROSECONDS ? 6 : 3;
	int			len = sprintf(buf, "%s%llu", micros < 0 ? "-" : "",
							  (unsigned long long) (size / (uint64_t) unit));

	if (fraction != 0)
		len += sprintf(buf + len, ".%0*u", places, fraction);
	return len;
}

bool
fm_write_time(const FmFormat *format, const FmSource *source,
			  const FmReading *reading, char *buf, int *len)
{
	int64_t		micros = reading->ts + UNIX_TO_EPOCH;
	int64_t		ts = reading->ts;

	switch (source->first_as)
	{
		case FM_AS_EPOCH_S:
			*len = write_epoch(micros, MICROSECONDS, buf);
			return true;
		case FM_AS_EPOCH_MS:
			*len = write_epoch(micros, 1000, buf);
			return true;
		case FM_AS_EPOCH_US:
			*len = write_epoch(micros, 1, buf);
			return true;
		default:
			break;
	}
	if (source->first_as == FM_AS_LOCAL && source->zone != NULL)
	{
		int64_t		fraction = ((ts % MICROSECONDS) + MICROSECONDS) %
			MICROSECONDS;

		ts = format->zones.from_utc(source->zone, (ts - fraction) /
									MICROSECONDS) * MICROSECONDS + fraction;
	}
	*buf = '"';
	*len = fm_format_rfc3339(ts, reading->ts_digits, buf + 1);
	if (*len == 0)
		return false;
	/* without the 'Z' it is a clock's time */
	*len += source->first_as == FM_AS_LOCAL ? 0 : 1;
	buf[(*len)++] = '"';
	return true;
}
