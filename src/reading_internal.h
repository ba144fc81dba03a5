/*-------------------------------------------------------------------------
 *
 * reading_internal.h
 *	  What the files of the decoder share among themselves.
 *
 * reading_json.c decides whether a message is JSON text as we take it, and
 * reading_text.c walks such text.  reading_number.c and reading_time.c know what
 * a single number or timestamp means.  reading.c knows what a factory message must look like
 * and fills an FmReading; so does reading_fast.c, for messages of the usual
 * kind only.  reading_reason.c says in words what is wrong, reading_arena.c
 * has the memory.  Nobody else includes this, but for the tests.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READING_INTERNAL_H
#define FM_READING_INTERNAL_H

#include "reading.h"

/*
 * Most decimal places a number may be written with: what the jsonb type can
 * store, since jsonb is where exact numbers are kept.
 */
#define FM_MAX_DECIMAL_PLACES	16383

#if defined(__GNUC__)
#define fm_printf_like(f, a)	__attribute__((format(printf, f, a)))
#else
#define fm_printf_like(f, a)
#endif

/* ---- characters ---- */

static inline bool
fm_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
fm_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool
fm_is_continuation(const char *p)
{
	return ((unsigned char) *p & 0xC0) == 0x80;
}

/* Value of a hexadecimal digit, or -1. */
static inline int
fm_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static inline uint32_t
fm_hex_quad(const char *p)
{
	return (uint32_t) (fm_hex_digit(p[0]) << 12 | fm_hex_digit(p[1]) << 8 |
					   fm_hex_digit(p[2]) << 4 | fm_hex_digit(p[3]));
}

/* ---- reading_reason.c ---- */

/* Fill in reason and detail; always returns false, for "return fm_reject". */
extern bool fm_reject(FmDecoded *result, FmRejectReason reason,
					  const char *format, ...) fm_printf_like(3, 4);

/* ---- reading_json.c ---- */

/*
 * Is this one JSON text that we take?  If not, result says why.  Everything
 * of reading_text.c works on text that passed this check and relies on it.
 */
extern bool fm_json_check(const char *text, int len, FmArena *arena,
						  FmDecoded *result);

/* ---- reading_text.c ---- */

typedef enum FmJsonType
{
	FM_JSON_NULL,
	FM_JSON_BOOLEAN,
	FM_JSON_NUMBER,
	FM_JSON_STRING,
	FM_JSON_ARRAY,
	FM_JSON_OBJECT
} FmJsonType;

/* A member of an object, as written: key with its quotes, value trimmed. */
typedef struct FmJsonMember
{
	FmSlice		key;
	FmSlice		value;
} FmJsonMember;

/* Text without the white space around it. */
extern FmSlice fm_json_trim(const char *text, int len);

extern FmJsonType fm_json_type(FmSlice value);

/* "a string", for messages. */
extern const char *fm_json_type_name(FmJsonType type);

/*
 * Walk an object: set *cursor to the data of its slice, then call until it
 * returns false.
 */
extern bool fm_json_next_member(const char **cursor, FmJsonMember *member);

/*
 * The same in two steps: a key, after which *cursor is at its value, and the
 * value.  Whoever knows the length of a value may go past it himself.
 */
extern bool fm_json_next_key(const char **cursor, FmSlice *key);
extern void fm_json_value(const char **cursor, FmSlice *value);

/* The same for an array. */
extern bool fm_json_next_element(const char **cursor, FmSlice *element);

/* The character at *p, which is an escape or not ASCII; *p goes past it. */
extern uint32_t fm_json_long_character(const char **p);

#define FM_END_OF_STRING		UINT32_MAX

/*
 * The next character of a string in checked text, escapes resolved, or
 * FM_END_OF_STRING at its closing quote.
 */
static inline uint32_t
fm_json_next_character(const char **p)
{
	unsigned char c = (unsigned char) **p;

	if (c == '"')
		return FM_END_OF_STRING;
	if (c >= 0x80 || c == '\\')
		return fm_json_long_character(p);
	*p += 1;
	return c;
}

/* Bytes of a string once its escapes are resolved. */
extern int	fm_json_string_length(FmSlice string);

/*
 * The string itself: a slice of the text if it has no escapes, else a copy
 * in the arena (data NULL if there is no memory left).
 */
extern FmSlice fm_json_string(FmSlice string, FmArena *arena);

/* Is this string, escapes resolved, the given ASCII text? */
extern bool fm_json_string_is(FmSlice string, const char *text);

/* Write a character as UTF-8 where out is not NULL; returns its length. */
extern int	fm_utf8_put(uint32_t character, char *out);

/* Longest prefix, in bytes, of at most max bytes that splits no character. */
extern int	fm_utf8_clip(const char *text, int len, int max);

/* ---- reading_number.c ---- */

/*
 * A number token taken apart without loss.  Its value is d.ddd * 10^exponent,
 * where the digits are those from first on, decimal point skipped.
 */
typedef struct FmDecimal
{
	bool		negative;
	const char *first;			/* first digit that is not zero */
	int			ndigits;		/* from there to the last that is not zero;
								 * 0 if the number is zero */
	int64_t		exponent;		/* power of ten of the first digit */
	int64_t		places;			/* decimal places it takes to write all of
								 * the token's digits without exponent */
} FmDecimal;

extern void fm_decimal_parse(FmSlice token, FmDecimal *decimal);

/* NULL if we take this number, else the rest of a sentence about it. */
extern const char *fm_decimal_fault(const FmDecimal *decimal);

/* Nearest double or float, ties to even. */
extern double fm_decimal_to_double(const FmDecimal *decimal);
extern float fm_decimal_to_float(const FmDecimal *decimal);

/* Would fm_format_double(), fm_format_float() give this number back? */
extern bool fm_decimal_is_double(const FmDecimal *decimal, double value);
extern bool fm_decimal_is_float(const FmDecimal *decimal, float value);

extern bool fm_decimal_is_integer(const FmDecimal *decimal);

/* Is it above 1? */
extern bool fm_decimal_above_one(const FmDecimal *decimal);

/* ---- reading_time.c ---- */

/* As fm_parse_rfc3339(), but NULL or what is wrong ("it has no offset"). */
extern const char *fm_rfc3339_fault(const char *text, int len, int64_t *ts,
									int *digits);

/*
 * A date and time of day without offset, between which a space may stand for
 * the 'T': microseconds since 2000-01-01 on that clock.  NULL or what is wrong.
 */
extern const char *fm_local_time_fault(const char *text, int len,
									   int64_t *local, int *digits);

/* Is this instant in the years 0001 to 9999? */
extern bool fm_timestamp_in_range(int64_t ts);

/* ---- reading_fast.c ---- */

/*
 * Take a message of the usual kind; false: declined, it may be good or bad,
 * and reading holds anything.  reading has nothing from the arena.
 */
extern bool fm_decode_fast(const char *payload, size_t len,
						   FmReading *reading);

/* ---- reading.c ---- */

/* Is there a payload, not too large, that is JSON?  If not, result says why. */
extern bool fm_check_payload(const char *payload, size_t len, FmArena *arena,
							 FmDecoded *result);

/*
 * fm_decode_factory() without the fast way; reading is memory for the one in
 * the result.
 */
extern void fm_decode_any(const char *payload, size_t len, FmArena *arena,
						  FmReading *reading, FmDecoded *result);

#endif							/* FM_READING_INTERNAL_H */
