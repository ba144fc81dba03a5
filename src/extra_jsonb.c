/*-------------------------------------------------------------------------
 *
 * extra_jsonb.c
 *	  What the columns do not give back of a message, as jsonb.
 *
 * It is a flat object of one or two texts in each message where there is a
 * unique id, and a parser with its callbacks and states would cost more than
 * the rest of such a row.  So these are put together here, as
 * convertJsonbObject() in PostgreSQL's jsonb_util.c does it; all others are
 * left to jsonb_in().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "reading_internal.h"
#include "row.h"

/* Members: so few that only the first entry has an offset. */
#define MAX_PAIRS	(JB_OFFSET_STRIDE / 2)

/* A key or a value in an object, by its bytes. */
typedef struct Child
{
	JEntry		type;
	FmSlice		text;			/* of a string; else empty */
} Child;

typedef struct Flat
{
	int			n;				/* pairs */
	Child		keys[MAX_PAIRS];
	Child		values[MAX_PAIRS];
} Flat;

/* A string without escapes, or a word; false: anything else. */
static bool
read_child(FmSlice value, Child *child)
{
	child->text.data = value.data;
	child->text.len = 0;
	switch (*value.data)
	{
		case '"':
			child->type = JENTRY_ISSTRING;
			child->text.data++;
			child->text.len = value.len - 2;
			return memchr(value.data, '\\', value.len) == NULL;
		case 't':
			child->type = JENTRY_ISBOOL_TRUE;
			return true;
		case 'f':
			child->type = JENTRY_ISBOOL_FALSE;
			return true;
		case 'n':
			child->type = JENTRY_ISNULL;
			return true;
		default:
			return false;
	}
}

/* As jsonb sorts keys: shorter ones first. */
static int
compare_keys(const Child *a, const Child *b)
{
	if (a->text.len != b->text.len)
		return a->text.len < b->text.len ? -1 : 1;
	return memcmp(a->text.data, b->text.data, a->text.len);
}

/* Sorted by key; false: it is no such object, or has a key twice. */
static bool
read_flat(const char *cursor, Flat *flat)
{
	FmJsonMember member;

	for (flat->n = 0; fm_json_next_member(&cursor, &member); flat->n++)
	{
		Child		key;
		Child		value;
		int			at;

		if (flat->n == MAX_PAIRS || !read_child(member.key, &key) ||
			!read_child(member.value, &value))
			return false;
		for (at = flat->n; at > 0; at--)
		{
			int			order = compare_keys(&key, &flat->keys[at - 1]);

			if (order == 0)
				return false;
			if (order > 0)
				break;
			flat->keys[at] = flat->keys[at - 1];
			flat->values[at] = flat->values[at - 1];
		}
		flat->keys[at] = key;
		flat->values[at] = value;
	}
	return true;
}

/* Append the bytes of some children, and what is said of each. */
static char *
put_children(const Child *children, int n, JEntry *entries, char *data)
{
	for (int i = 0; i < n; i++)
	{
		int			len = children[i].text.len;

		entries[i] = children[i].type | len;
		memcpy(data, children[i].text.data, len);
		data += len;
	}
	return data;
}

static Datum
make_flat(const Flat *flat, int room)
{
	int			entries = 2 * flat->n;
	int			head = offsetof(Jsonb, root.children) +
		entries * sizeof(JEntry);
	Jsonb	   *result = palloc(head + room);
	char	   *end = (char *) result + head;

	result->root.header = flat->n | JB_FOBJECT;
	end = put_children(flat->keys, flat->n, result->root.children, end);
	end = put_children(flat->values, flat->n, result->root.children + flat->n,
					   end);
	/* its end is its length */
	if (entries > 0)
		result->root.children[0] |= JENTRY_HAS_OFF;
	SET_VARSIZE(result, end - (char *) result);
	return JsonbPGetDatum(result);
}

Datum
fm_extra_to_jsonb(FmSlice extra)
{
	char	   *text;
	Datum		result;
	Flat		flat;

	if (read_flat(extra.data, &flat))
		return make_flat(&flat, extra.len);
	text = pnstrdup(extra.data, extra.len);
	result = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	pfree(text);
	return result;
}
