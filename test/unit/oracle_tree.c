/*-------------------------------------------------------------------------
 *
 * oracle_tree.c
 *	  Trees that json-c makes of JSON text, and the numbers in them.
 *
 * Numbers are compared by their digits, as text: two doubles may be equal
 * where the numbers are not.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "oracle_internal.h"

/* ------------------------------------------------------------------------
 * Numbers, as sign, digits and exponent
 * ------------------------------------------------------------------------
 */

Number
number_parse(const char *text)
{
	Number		number = {false, xmalloc(strlen(text) + 1), 0};
	size_t		n = 0;
	bool		fraction = false;

	for (; *text != '\0'; text++)
	{
		if (*text == '-')
			number.negative = true;
		else if (*text == '.')
			fraction = true;
		else if (*text == 'e' || *text == 'E')
		{
			number.exponent += strtol(text + 1, NULL, 10);
			break;
		}
		else
		{
			if (!fraction)
				number.exponent++;
			if (n == 0 && *text == '0')
				number.exponent--;	/* leave out a leading zero */
			else
				number.digits[n++] = *text;
		}
	}
	while (n > 0 && number.digits[n - 1] == '0')
		n--;
	number.digits[n] = '\0';
	if (n == 0)
	{
		number.negative = false;
		number.exponent = 0;
	}
	return number;
}

static bool
number_equal(const char *a, const char *b)
{
	Number		x = number_parse(a);
	Number		y = number_parse(b);
	bool		equal = x.negative == y.negative &&
		x.exponent == y.exponent && strcmp(x.digits, y.digits) == 0;

	free(x.digits);
	free(y.digits);
	return equal;
}

/* ------------------------------------------------------------------------
 * Trees
 * ------------------------------------------------------------------------
 */

/* Most digits of an integer that json-c has room for; others it cuts down. */
#define MAX_INTEGER_DIGITS	18

/* Four hexadecimal digits of an escape "\\uXXXX" at text; -1: there is none. */
static long
escaped_unit(const char *text, size_t len)
{
	char		digits[5];

	if (len < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	memcpy(digits, text + 2, 4);
	digits[4] = '\0';
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return -1;
	return strtol(digits, NULL, 16);
}

/*
 * If text begins with the escapes of a surrogate pair, its character in UTF-8,
 * and true.  json-c (0.16) takes one in 32 of these characters for a lone
 * surrogate.
 */
static bool
pair_to_utf8(const char *text, size_t len, char *utf8)
{
	long		high = escaped_unit(text, len);
	long		low = high >= 0 ? escaped_unit(text + 6, len - 6) : -1;
	long		c;

	if (high < 0xD800 || high > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
		return false;
	c = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
	utf8[0] = (char) (0xF0 | c >> 18);
	utf8[1] = (char) (0x80 | (c >> 12 & 0x3F));
	utf8[2] = (char) (0x80 | (c >> 6 & 0x3F));
	utf8[3] = (char) (0x80 | (c & 0x3F));
	return true;
}

/*
 * A copy of the text that json-c reads without faults of its own: longer
 * integers are written with an exponent, so that it makes a double of each, with
 * the text beside it; surrogate pairs are written as the character.  len
 * becomes the copy's.
 */
static char *
text_for_json_c(const char *text, size_t *len)
{
	char	   *copy = xmalloc(*len * 2 + 1);
	size_t		n = 0;
	size_t		digits = 0;		/* in a row, not behind a point or an exponent */
	bool		in_string = false;
	bool		integer = true;

	for (size_t i = 0; i < *len; i++)
	{
		char		c = text[i];

		if (in_string && pair_to_utf8(text + i, *len - i, copy + n))
		{
			n += 4;
			i += 11;
			continue;
		}
		if (in_string && c == '\\' && i + 1 < *len)
			copy[n++] = text[i++];
		else if (c == '"')
			in_string = !in_string;
		c = text[i];
		if (!in_string && c >= '0' && c <= '9')
			digits++;
		else
		{
			if (integer && digits > MAX_INTEGER_DIGITS && c != '.' &&
				c != 'e' && c != 'E')
			{
				copy[n++] = 'e';
				copy[n++] = '0';
			}
			integer = c != '.' && c != 'e' && c != 'E' &&
				(integer || (c != '-' && c != '+'));
			digits = 0;
		}
		copy[n++] = c;
	}
	if (integer && digits > MAX_INTEGER_DIGITS)
	{
		copy[n++] = 'e';
		copy[n++] = '0';
	}
	*len = n;
	return copy;
}

/*
 * Strict, so that json-c judges the grammar once more; but json-c 0.18 then
 * takes every byte beyond ASCII for a control character and refuses the string.
 */
static int
tokener_flags(void)
{
	return json_c_version_num() >> 8 == 18 ? 0 : JSON_TOKENER_STRICT;
}

json_object *
tree_parse(const char *original, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(FM_MAX_DEPTH + 2);
	char	   *text = text_for_json_c(original, &len);
	json_object *tree;

	json_tokener_set_flags(tokener, tokener_flags());
	tree = json_tokener_parse_ex(tokener, text, (int) len);
	/* a number is complete only once something else follows */
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		tree = json_tokener_parse_ex(tokener, " ", 1);
	if (json_tokener_get_error(tokener) != json_tokener_success)
	{
		json_object_put(tree);
		tree = NULL;
	}
	json_tokener_free(tokener);
	free(text);
	return tree;
}

long
tree_count_members(json_object *tree)
{
	long		n = 0;

	if (json_object_is_type(tree, json_type_object))
	{
		json_object_object_foreach(tree, key, value)
		{
			(void) key;
			n += 1 + tree_count_members(value);
		}
	}
	else if (json_object_is_type(tree, json_type_array))
	{
		size_t		i;

		for (i = 0; i < json_object_array_length(tree); i++)
			n += tree_count_members(json_object_array_get_idx(tree, i));
	}
	return n;
}

bool
tree_is_number(json_object *value)
{
	return json_object_is_type(value, json_type_int) ||
		json_object_is_type(value, json_type_double);
}

/* Are all members of a in b, with equal values? */
static bool
members_equal(json_object *a, json_object *b)
{
	json_object_object_foreach(a, key, value)
	{
		json_object *other;

		if (!json_object_object_get_ex(b, key, &other) ||
			!tree_equals(value, other))
			return false;
	}
	return true;
}

bool
tree_equals(json_object *a, json_object *b)
{
	size_t		i;

	if (tree_is_number(a) && tree_is_number(b))
		return number_equal(json_object_get_string(a),
							json_object_get_string(b));
	if (json_object_get_type(a) != json_object_get_type(b))
		return false;
	if (json_object_is_type(a, json_type_object))
		return json_object_object_length(a) == json_object_object_length(b) &&
			members_equal(a, b);
	if (json_object_is_type(a, json_type_array))
	{
		if (json_object_array_length(a) != json_object_array_length(b))
			return false;
		for (i = 0; i < json_object_array_length(a); i++)
		{
			if (!tree_equals(json_object_array_get_idx(a, i),
							 json_object_array_get_idx(b, i)))
				return false;
		}
		return true;
	}
	return json_object_equal(a, b) == 1;
}
