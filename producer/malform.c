/*
 * malform.c - messages that nobody should accept
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A form starts from the pieces of a good message, changes them or writes the
 * payload itself.  To add one: a function, and a line in the table.
 */
#include "malform.h"

typedef struct Maker
{
	const FmFormat *format;
	bool		canonical;		/* it is the first format */
	FmBuf	   *out;
	FmPieces   *pieces;
	FmRng	   *rng;
} Maker;

/* One of n, for tables. */
#define PICK(m, table) \
	(table)[fm_rng_below((m)->rng, sizeof(table) / sizeof((table)[0]))]

/* A member that can be broken, and what with. */
typedef struct Fault
{
	FmRole		role;
	const char *text;
} Fault;

/*
 * The name of a member in this format; of two values one or the other.  NULL:
 * there is none.
 */
static const char *
key_of(Maker *m, FmRole role)
{
	if (role == FM_ROLE_VALUE && m->format->key[FM_ROLE_PARTNER] &&
		fm_rng_chance(m->rng, 0.5))
		role = FM_ROLE_PARTNER;
	return m->format->key[role];
}

/* Break a member that the format has. */
static void
break_member(Maker *m, const Fault *faults, uint32_t n)
{
	const Fault *fault;
	const char *key;

	do
	{
		fault = &faults[fm_rng_below(m->rng, n)];
		key = key_of(m, fault->role);
	} while (key == NULL);
	fm_pieces_set(m->pieces, key, "%s", fault->text);
}

#define COUNT(table) ((uint32_t) (sizeof(table) / sizeof((table)[0])))

static void
join(Maker *m)
{
	fm_pieces_join(m->pieces, m->out);
}

/*
 * A member and its text: of the canonical message out of n, of another out of
 * those that are sure to be wrong there.
 */
static void
break_one(Maker *m, const char *const (*faults)[2], uint32_t n,
		  const Fault *sure, uint32_t n_sure)
{
	if (m->canonical)
	{
		const char *const *fault = faults[fm_rng_below(m->rng, n)];

		fm_pieces_set(m->pieces, fault[0], "%s", fault[1]);
	}
	else
		break_member(m, sure, n_sure);
	join(m);
}

static void
make_truncated(Maker *m)
{
	size_t		before = m->out->len;
	size_t		len;

	join(m);
	len = m->out->len - before;
	m->out->len = before + 1 + fm_rng_below(m->rng, (uint32_t) len - 1);
}

static void
make_syntax(Maker *m)
{
	static const struct
	{
		const char *key;		/* NULL: after the end */
		const char *text;
	}			faults[] =
	{
		{NULL, ","}, {NULL, "}"}, {NULL, "{\"value\":1}"}, {NULL, " tail"},
		{"value", "007"}, {"value", "1."}, {"value", ".5"}, {"value", "+1"},
		{"value", "0x1F"}, {"value", "NaN"}, {"value", "Infinity"},
		{"value", "1,,"}, {"value", "1 2"}, {"unit", "'bar'"},
		{"unit", "bar"}, {"unit", "\"\\q\""}, {"unit", "\"\\u12g4\""},
		{"quality", "True"}, {"metadata", "{\"reading_count\":1,}"},
		{"metadata", "{reading_count:1}"}, {"metadata", "[1,2"},
		{"location", "{\"zone\" \"a\"}"}, {"value", "1 /* one */"},
	};
	uint32_t	i = fm_rng_below(m->rng, sizeof(faults) / sizeof(faults[0]));

	if (faults[i].key)
		fm_pieces_set(m->pieces, faults[i].key, "%s", faults[i].text);
	join(m);
	if (faults[i].key == NULL)
		fm_buf_puts(m->out, faults[i].text);
}

static void
make_wrong_type(Maker *m)
{
	static const Fault sure[] = {
		{FM_ROLE_VALUE, "\"42.5\""}, {FM_ROLE_VALUE, "true"},
		{FM_ROLE_VALUE, "[1]"}, {FM_ROLE_VALUE, "{}"},
		{FM_ROLE_TIMESTAMP, "{}"}, {FM_ROLE_TIMESTAMP, "[1]"},
		{FM_ROLE_ID, "[\"a\"]"}, {FM_ROLE_ID, "{}"}, {FM_ROLE_TYPE, "{}"},
	};
	static const char *const faults[][2] = {
		{"value", "\"42.5\""}, {"value", "true"}, {"value", "[1]"},
		{"value", "{}"}, {"timestamp", "1758058901"}, {"timestamp", "{}"},
		{"sensor_id", "17"}, {"sensor_id", "[\"a\"]"}, {"sensor_type", "3"},
		{"location", "\"hall 3\""}, {"location", "[1,2]"},
		{"metadata", "\"none\""}, {"metadata", "[{}]"}, {"unit", "5"},
		{"quality", "\"good\""}, {"alert_level", "2"},
	};

	break_one(m, faults, COUNT(faults), sure, COUNT(sure));
}

/*
 * A member that no message can do without.  Of two values, one might be
 * enough for somebody.
 */
static const char *
required(Maker *m)
{
	static const FmRole roles[] = {FM_ROLE_TIMESTAMP, FM_ROLE_ID,
	FM_ROLE_TYPE, FM_ROLE_VALUE};
	FmRole		role;

	do
		role = PICK(m, roles);
	while (m->format->key[role] == NULL ||
		   (role == FM_ROLE_VALUE && m->format->key[FM_ROLE_PARTNER]));
	return m->format->key[role];
}

static void
make_missing(Maker *m)
{
	fm_pieces_drop(m->pieces, required(m));
	join(m);
}

static void
make_null(Maker *m)
{
	fm_pieces_set(m->pieces, required(m), "null");
	join(m);
}

static void
make_utf8(Maker *m)
{
	static const char *const faults[] = {"\xff", "\xc3(", "\xc0\xaf",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80",
	"\xf8\x88\x80\x80\x80"};
	static const char *const keys[] = {"sensor_id", "unit", "note"};

	fm_pieces_set(m->pieces, PICK(m, keys), "\"x%s\"", PICK(m, faults));
	join(m);
}

static void
make_nul(Maker *m)
{
	static const char *const keys[] = {"sensor_id", "unit", "note",
	"key \\u0000 with a NUL"};

	fm_pieces_set(m->pieces, PICK(m, keys), "\"a\\u0000b\"");
	join(m);
}

static void
make_control(Maker *m)
{
	static const char *const faults[] = {"a\nb", "a\tb", "\x01", "\x1f"};

	fm_pieces_set(m->pieces, "unit", "\"%s\"", PICK(m, faults));
	join(m);
}

static void
make_surrogate(Maker *m)
{
	static const char *const faults[] = {"\\ud800", "\\udc00",
	"\\ud83d\\u0041", "\\ude00\\ud83d"};

	fm_pieces_set(m->pieces, "unit", "\"%s\"", PICK(m, faults));
	join(m);
}

static void
make_duplicate(Maker *m)
{
	static const Fault faults[] = {
		{FM_ROLE_VALUE, "1"}, {FM_ROLE_ID, "\"another\""},
		{FM_ROLE_VALUE, "2"},
		{FM_ROLE_TIMESTAMP, "\"2025-01-01T00:00:00Z\""},
	};
	const Fault *fault = &PICK(m, faults);
	const char *key = key_of(m, fault->role);
	size_t		len = strlen(key);

	join(m);
	m->out->len--;				/* the closing brace */
	if (strcmp(fault->text, "2") == 0)	/* the same key spelled otherwise */
		fm_buf_printf(m->out, ",\"%.*s\\u%04x\":%s}", (int) len - 1, key,
					  (unsigned) key[len - 1], fault->text);
	else
		fm_buf_printf(m->out, ",\"%s\":%s}", key, fault->text);
}

static void
make_empty_object(Maker *m)
{
	fm_buf_puts(m->out, "{}");
}

static void
make_scalar(Maker *m)
{
	static const char *const faults[] = {"42", "\"temperature\"", "true",
	"null", "-1.5e3", " "};

	fm_buf_puts(m->out, PICK(m, faults));
}

static void
make_timestamp(Maker *m)
{
	static const char *const faults[] = {"yesterday", "",
		"2025-02-30T10:00:00Z", "2025-13-01T10:00:00Z",
		"2025-01-01T24:30:00Z", "2025-01-01T10:60:00Z",
		"2025-01-01T10:00:00", "2025-01-01", "10:00:00Z",
		"2025-01-01T10:00:00+25:00", "2025-1-1T1:2:3Z",
		"1758058901", "2025-01-01T10:00:00.Z", "2025-01-01T10:00:00Zulu",
		"2025-01-01T10:00:00,5Z", "1969-12-31T23:59:59Z",
	"9999-12-31T23:59:59Z", "infinity"};
	static const char *const generous[] = {"2025-01-01T10:00:00",
	"2025-01-01", "1758058901"};	/* other formats have time so */
	const char *fault;
	bool		sure;

	do
	{
		fault = PICK(m, faults);
		sure = true;
		for (uint32_t i = 0; !m->canonical && i < COUNT(generous); i++)
			sure &= strcmp(fault, generous[i]) != 0;
	} while (!sure);
	fm_pieces_set(m->pieces, m->format->key[FM_ROLE_TIMESTAMP], "\"%s\"",
				  fault);
	join(m);
}

static void
make_range(Maker *m)
{
	static const char *const faults[][2] = {
		{"value", "1e999"}, {"value", "-1e400"}, {"quality", "1.5"},
		{"quality", "-0.1"}, {"quality", "1e300"}, {"quality", "1e999"},
	};
	static const Fault sure[] = {
		{FM_ROLE_VALUE, "1e999"}, {FM_ROLE_VALUE, "-1e400"},
	};

	break_one(m, faults, COUNT(faults), sure, COUNT(sure));
}

static void
make_overlong(Maker *m)
{
	FmBuf	   *id = &fm_pieces_find(m->pieces,
									 m->format->key[FM_ROLE_ID])->value;

	fm_buf_reset(id);
	fm_buf_putc(id, '"');
	for (int i = 0; i < 10000; i++)
		fm_buf_puts(id, "0123456789");
	fm_buf_putc(id, '"');
	join(m);
}

static void
make_deep(Maker *m)
{
	FmBuf	   *value;

	fm_pieces_set(m->pieces, "deep", "0");
	value = &fm_pieces_find(m->pieces, "deep")->value;
	fm_buf_reset(value);
	for (int i = 0; i < 20000; i++)
		fm_buf_putc(value, '[');
	for (int i = 0; i < 20000; i++)
		fm_buf_putc(value, ']');
	join(m);
}

static void
make_binary(Maker *m)
{
	uint32_t	n = 1 + fm_rng_below(m->rng, 400);

	fm_buf_putc(m->out, (char) 0xff);	/* never the start of JSON */
	for (uint32_t i = 0; i < n; i++)
		fm_buf_putc(m->out, (char) fm_rng_next(m->rng));
}

static void
make_empty(Maker *m)
{
	(void) m;
}

static const struct
{
	const char *name;
	void		(*make) (Maker *m);
	const char *help;
}			forms[] =
{
	{"truncated", make_truncated, "a good message cut short"},
	{"syntax", make_syntax, "not JSON: commas, quotes, numbers, text after it"},
	{"wrong-type", make_wrong_type, "a member of another JSON type"},
	{"missing", make_missing, "no timestamp, sensor's id, type or single value"},
	{"null", make_null, "one of these is null"},
	{"utf8", make_utf8, "invalid UTF-8 in a string"},
	{"nul", make_nul, "\\u0000 in a string or key"},
	{"control", make_control, "a control character in a string"},
	{"surrogate", make_surrogate, "half a surrogate pair"},
	{"duplicate", make_duplicate, "a key twice"},
	{"empty-object", make_empty_object, "{}"},
	{"scalar", make_scalar, "no object at all, or white space only"},
	{"timestamp", make_timestamp, "no time as the format has it, or 1969, 9999"},
	{"range", make_range, "value beyond double, quality beyond 0..1"},
	{"overlong", make_overlong, "a sensor's id of 100,000 characters"},
	{"deep", make_deep, "arrays nested 20,000 deep"},
	{"binary", make_binary, "random bytes"},
	{"empty", make_empty, "no bytes (but not a tombstone)"},
};

#define N_FORMS ((int) (sizeof(forms) / sizeof(forms[0])))

_Static_assert(sizeof(forms) / sizeof(forms[0]) <= FM_MALFORM_MAX,
			   "a set of forms must fit a mask");

const char *
fm_malform_name(int form)
{
	return form >= 0 && form < N_FORMS ? forms[form].name : NULL;
}

const char *
fm_malform_help(int form)
{
	return form >= 0 && form < N_FORMS ? forms[form].help : NULL;
}

uint32_t
fm_malform_parse(const char *names)
{
	uint32_t	set = 0;

	if (strcmp(names, "all") == 0)
		return (uint32_t) ((UINT64_C(1) << N_FORMS) - 1);
	while (*names)
	{
		size_t		len = strcspn(names, ",");
		int			form = 0;

		while (form < N_FORMS && (strlen(forms[form].name) != len ||
								  memcmp(forms[form].name, names, len) != 0))
			form++;
		if (form == N_FORMS)
			return 0;
		set |= UINT32_C(1) << form;
		names += len + (names[len] == ',');
	}
	return set;
}

void
fm_malform_put(const FmFormat *format, FmBuf *out, FmPieces *pieces,
			   FmRng *rng, uint32_t set, const FmReading *reading,
			   int64_t timestamp)
{
	Maker		m = {format, format == fm_format(0), out, pieces, rng};
	int			form;

	do
		form = (int) fm_rng_below(rng, (uint32_t) N_FORMS);
	while (!(set & (UINT32_C(1) << form)));
	fm_format_pieces(format, pieces, reading, timestamp);
	forms[form].make(&m);
}
