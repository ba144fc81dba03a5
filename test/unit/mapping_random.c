/*-------------------------------------------------------------------------
 *
 * mapping_random.c
 *	  Random mappings and random messages for them: whatever is accepted, no
 *	  scalar of it is lost, and the readings make the same message again.
 *
 * Mappings and messages are made of the same few names, so that they meet
 * often, and each value of a message is another one, so that none is found in
 * place of another.  What is not accepted must have a reason and a detail.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "mapping_test.h"

#define ROUNDS		3000
#define MESSAGES	20

typedef struct Text
{
	char		bytes[16384];
	int			len;
} Text;

static uint64_t state = 88172645463325252u;
static int	serial;

static int
below(int n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int) (state % (uint64_t) n);
}

static void put(Text *text, const char *format, ...)
			__attribute__((format(printf, 2, 3)));

static void
put(Text *text, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	text->len += vsnprintf(text->bytes + text->len,
						   sizeof(text->bytes) - (size_t) text->len, format,
						   args);
	va_end(args);
	if (text->len >= (int) sizeof(text->bytes))
		abort();
}

/* ------------------------------------------------------------------------
 * Mappings
 * ------------------------------------------------------------------------
 */

static const char *const texts[] = {
	"sensor_id", "sensor_type", "factory_section", "machine_id", "zone",
	"unit", "unique_id"
};

static const char *const numbers[] = {
	"value", "quality", "reading_count", "warning_threshold",
	"critical_threshold"
};

/* Members that messages have: t is a time, s a text, n a number. */
static void
put_pointer(Text *text, char kind, bool each)
{
	const char *prefix = each && below(2) == 0 ? "@" : "";

	switch (below(kind == 't' ? 2 : 4))
	{
		case 0:
			put(text, "\"%s/%c\"", prefix, kind);
			break;
		case 1:
			put(text, "\"%s/o/%c\"", prefix, kind);
			break;
		case 2:
			put(text, "\"%s/%c%d\"", prefix, kind, below(3));
			break;
		default:
			put(text, "\"%s/a/%d/%c\"", prefix, below(2), kind);
			break;
	}
}

static void
put_text_source(Text *text, bool each)
{
	switch (below(6))
	{
		case 0:
			put(text, "{\"const\":\"constant\"}");
			break;
		case 1:
			put(text, "{\"join\":[");
			put_pointer(text, 's', each);
			put(text, ",{\"const\":\"-\"},");
			put_pointer(text, 's', each);
			put(text, "]%s}", below(2) == 0 ? ",\"default\":\"dflt\"" : "");
			break;
		case 2:
			put(text, "{\"at\":[");
			put_pointer(text, 's', each);
			put(text, ",");
			put_pointer(text, 's', each);
			put(text, "],\"nullable\":true,\"default\":\"dflt\"}");
			break;
		case 3:
			put(text, "{\"at\":");
			put_pointer(text, 's', each);
			put(text, ",\"default\":\"dflt\",\"pattern\":\"[a-z]+\\\\d*.?.?\"}");
			break;
		default:
			put_pointer(text, 's', each);
			break;
	}
}

static void
put_time_source(Text *text, bool each)
{
	static const char *const ways[] = {
		"[\"rfc3339\",\"local\",\"epoch_s\"]", "[\"local\",\"epoch_ms\"]",
		"[\"epoch_us\",\"rfc3339\",\"local\"]", "[\"epoch_s\",\"local\"]"
	};

	put(text, "{\"at\":");
	put_pointer(text, 't', each);
	put(text, ",\"as\":%s%s}", ways[below(4)],
		below(2) == 0 ? ",\"time_zone\":\"Test/East\"" : "");
}

static void
put_field(Text *text, const char *name, bool each)
{
	int			i;

	put(text, "\"%s\":", name);
	if (strcmp(name, "timestamp") == 0)
	{
		put_time_source(text, each);
		return;
	}
	if (strcmp(name, "reported_level") == 0)
	{
		put(text, "{\"at\":");
		put_pointer(text, 's', each);
		put(text, ",\"required\":false,\"words\":{\"normal\":[\"ok\",\"abc\"],"
			"\"critical\":[\"bad\"]}}");
		return;
	}
	for (i = 0; i < 5; i++)
	{
		if (strcmp(name, numbers[i]) != 0)
			continue;
		put(text, "{\"at\":");
		put_pointer(text, 'n', each);
		put(text, ",%s}", i == 0 || below(2) == 0 ? "\"required\":false" :
			"\"default\":1");
		return;
	}
	put_text_source(text, each);
}

/* Members of a mapping or of one of its readings. */
static void
put_fields(Text *text, bool outer, bool own, bool each)
{
	int			i;

	if (outer)
		put_field(text, "timestamp", each);
	for (i = 0; i < 7; i++)
	{
		if (i < 2 ? i == 1 ? outer : own : below(3) == 0)
		{
			put(text, text->bytes[text->len - 1] == '{' ? "" : ",");
			put_field(text, texts[i], each);
		}
	}
	for (i = 0; i < 5; i++)
	{
		if (i == 0 ? own : below(3) == 0)
		{
			put(text, text->bytes[text->len - 1] == '{' ? "" : ",");
			put_field(text, numbers[i], each);
		}
	}
	if (below(3) == 0)
	{
		put(text, text->bytes[text->len - 1] == '{' ? "" : ",");
		put_field(text, "reported_level", each);
	}
}

static void
make_mapping(Text *text)
{
	bool		each = below(2) == 0;
	int			n = below(4);
	int			i;

	text->len = 0;
	put(text, "{");
	put_fields(text, true, n == 0, each);
	if (each)
		put(text, ",\"each\":\"/%s\"", below(4) == 0 ? "o/e" : "e");
	for (i = 0; i < n; i++)
	{
		put(text, "%s{", i == 0 ? ",\"readings\":[" : ",");
		put_fields(text, false, true, each);
		put(text, "}%s", i == n - 1 ? "]" : "");
	}
	put(text, "}");
}

/* ------------------------------------------------------------------------
 * Messages
 * ------------------------------------------------------------------------
 */

static void
put_time(Text *text)
{
	int			n = ++serial;

	switch (below(6))
	{
		case 0:
			put(text, "%d.%d", 1700000000 + n, below(1000));
			break;
		case 1:
			put(text, "%d%03d", 1700000000 + n, below(1000));
			break;
		case 2:
			put(text, "\"2025-%02d-01T%02d:%02d:%02d%s\"", 1 + below(12),
				below(24), n / 60 % 60, n % 60, below(2) == 0 ? "" : ".5");
			break;
		case 3:
			put(text, "\"2025-03-01T12:%02d:%02d.123+02:00\"", n / 60 % 60,
				n % 60);
			break;
		default:
			put(text, "\"2025-03-01T12:%02d:%02d.%06dZ\"", n / 60 % 60, n % 60,
				below(1000000));
			break;
	}
}

static void
put_value(Text *text, char kind)
{
	int			n = ++serial;

	if (below(40) == 0)
		put(text, "%s", below(2) == 0 ? "null" : "true");
	else if (kind == 't')
		put_time(text);
	else if (kind == 'n')
	{
		if (below(12) == 0)
			put(text, "%s", below(2) == 0 ? "1" : "1.0");
		else if (below(3) == 0)
			put(text, "0.%d", n);
		else if (below(3) == 0)
			put(text, "%d.00000000000000000000%d", n, n);
		else
			put(text, "%d", n);
	}
	else if (below(8) == 0)
		put(text, "\"%s\"", below(4) == 0 ? "" : below(3) == 0 ? "dflt" :
			below(2) == 0 ? "ok" : "BAD");
	else
		put(text, "\"%s%d\"", below(6) == 0 ? "\\u00e9\\n" : "abc", n);
}

static void put_object(Text *text, int depth, bool elements);

static void
put_array(Text *text, int depth)
{
	int			n = below(4);
	int			i;

	put(text, "[");
	for (i = 0; i < n; i++)
	{
		put(text, i > 0 ? "," : "");
		if (below(10) == 0)
			put_value(text, 'n');
		else
			put_object(text, depth, false);
	}
	put(text, "]");
}

static void
put_object(Text *text, int depth, bool elements)
{
	static const char *const names[] = {
		"t", "s", "n", "s0", "s1", "s2", "n0", "n1", "n2", "x", "x~/\\\""
	};
	int			i;

	put(text, "{");
	for (i = 0; i < 11; i++)
	{
		if (below(i < 9 ? 12 : 3) == 0 && i < 9)
			continue;
		if (i >= 9 && below(3) > 0)
			continue;
		put(text, text->bytes[text->len - 1] == '{' ? "" : ",");
		if (i == 10)
			put(text, "\"x~/\\\"\":");
		else
			put(text, "\"%s\":", names[i]);
		put_value(text, i > 8 ? 'n' : names[i][0]);
	}
	for (i = 0; depth > 0 && i < 3; i++)
	{
		if (below(6) == 0)
			continue;
		put(text, "%s\"%c\":", text->bytes[text->len - 1] == '{' ? "" : ",",
			"oae"[i]);
		if (below(30) == 0)
			put_value(text, 's');
		else if (i == 0)
			put_object(text, depth - 1, elements);
		else
			put_array(text, depth - 1);
	}
	put(text, "}");
}

/* ------------------------------------------------------------------------
 * The test
 * ------------------------------------------------------------------------
 */

static void
count_finding(void *arg, const FmDrift *drift)
{
	if (drift->path.len > FM_DRIFT_PATH ||
		drift->example.len > FM_DRIFT_EXAMPLE)
		abort();
	*(int *) arg += 1;
}

static bool
try_message(const FmFormat *format, const Text *mapping, const Text *message,
			FmArena *arena, int *accepted, int *told, int *wrong)
{
	char	   *copy = malloc((size_t) message->len);
	FmSlice		text = {copy, message->len};
	FmDecoded	decoded;
	FmSlice		missing;
	int			findings = 0;

	memcpy(copy, message->bytes, (size_t) message->len);
	fm_decode(format, copy, (size_t) message->len, arena, &decoded);
	if (decoded.strange)
		fm_drift_scan(format, copy, (size_t) message->len, count_finding,
					  &findings);
	*accepted += decoded.reason == FM_REJECT_NONE && decoded.nreadings > 0;
	if (!compose_again(format, text, &decoded, arena, told) && ++*wrong <= 3)
		printf("# %s\n", mapping->bytes);
	missing = find_lost(format, text, &decoded);
	if (missing.data != NULL)
		printf("# lost: %.*s\n# %s\n# %.*s\n# extra %.*s\n", missing.len,
			   missing.data, mapping->bytes, text.len, text.data,
			   decoded.readings[0].extra.len, decoded.readings[0].extra.data ?
			   decoded.readings[0].extra.data : "");
	if (decoded.reason != FM_REJECT_NONE && decoded.detail[0] == '\0')
		missing.data = copy;
	fm_arena_reset(arena);
	free(copy);
	return missing.data == NULL;
}

void
test_random(void)
{
	static Text mapping;
	static Text message;
	FmMappingError error;
	FmArena		memory;
	FmArena		arena;
	int			compiled = 0;
	int			accepted = 0;
	int			told = 0;
	int			wrong = 0;
	int			bad = 0;
	int			round;
	int			i;

	fm_arena_init(&memory);
	fm_arena_init(&arena);
	for (round = 0; round < ROUNDS && bad < 3; round++)
	{
		FmFormat   *format;

		make_mapping(&mapping);
		format = fm_format_compile(mapping.bytes, (size_t) mapping.len,
								   &test_zones, &memory, &error);
		if (format == NULL)
		{
			/* some meet: a place in the array of readings, a second number */
			if (error.message[0] == '\0')
				bad++;
			fm_arena_reset(&memory);
			continue;
		}
		compiled++;
		for (i = 0; i < MESSAGES; i++)
		{
			message.len = 0;
			put_object(&message, 2, true);
			bad += !try_message(format, &mapping, &message, &arena, &accepted,
								&told, &wrong);
		}
		fm_arena_reset(&memory);
	}
	ok(bad == 0, "nothing of a message is lost");
	ok(compiled > ROUNDS / 2, "of %d mappings, %d compile", round, compiled);
	ok(accepted > compiled, "of their messages, %d are accepted", accepted);
	ok(wrong == 0, "none of these is put together as another one");
	/* of the others, the readings could have come from several messages */
	ok(told > accepted - accepted / 10, "%d of them are put together again", told);
	fm_arena_free(&memory);
	fm_arena_free(&arena);
}
