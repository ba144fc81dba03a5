/*-------------------------------------------------------------------------
 *
 * mapping_internal.h
 *	  A compiled mapping, and what the files that make and use it share.
 *
 * mapping_compile.c, mapping_source.c and mapping_pointer.c read a mapping.
 * mapping_time.c, mapping_word.c and mapping_pattern.c know timestamps, words of
 * levels and patterns, both in mappings and in messages.  mapping_decode.c walks
 * messages, mapping_field.c judges what it finds there, mapping_extra.c keeps the
 * rest, mapping_message.c puts messages together again from both, and
 * mapping_drift.c looks for what was not expected.  Nobody else includes
 * this, but for the tests.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MAPPING_INTERNAL_H
#define FM_MAPPING_INTERNAL_H

#include "mapping.h"
#include "reading_internal.h"

/* Nodes of one trie: as many as a word has bits. */
#define FM_MAX_NODES		64
#define FM_MAX_POINTER		16	/* names in a pointer */
#define FM_MAX_PLACES		8	/* alternatives of one source */
#define FM_MAX_PARTS		8	/* of a composed text */
#define FM_MAX_WORDS		64
#define FM_MAX_PER_ELEMENT	64	/* readings of one element */
#define FM_MAX_ITEMS		255	/* of a pattern, repetitions written out */

#define FM_NODE_BIT(node)	(UINT64_C(1) << (node))

/* What a mapping can say about a reading, in the order of judgement. */
typedef enum FmField
{
	FM_FIELD_TIMESTAMP,
	FM_FIELD_SENSOR_ID,
	FM_FIELD_SENSOR_TYPE,
	FM_FIELD_FACTORY_SECTION,
	FM_FIELD_MACHINE_ID,
	FM_FIELD_ZONE,
	FM_FIELD_VALUE,
	FM_FIELD_UNIT,
	FM_FIELD_REPORTED_LEVEL,
	FM_FIELD_QUALITY,
	FM_FIELD_READING_COUNT,
	FM_FIELD_WARNING_THRESHOLD,
	FM_FIELD_CRITICAL_THRESHOLD,
	FM_FIELD_UNIQUE_ID,
	FM_NUM_FIELDS
} FmField;

typedef struct FmFieldRule
{
	const char *name;
	FmJsonType	type;			/* string or number; of timestamps: either */
	bool		needed;			/* no reading without */
	int			min_length;
	int			max_length;
} FmFieldRule;

extern const FmFieldRule fm_field_rules[FM_NUM_FIELDS];

/*
 * The names that a mapping uses, as a tree; node 0 is the message, or the
 * element.  Children of an array are named by their index.
 */
typedef struct FmNode
{
	FmSlice		name;
	int			parent;			/* -1: the root */
	int			first_child;	/* -1: none */
	int			next_sibling;	/* -1: none */
	bool		place;			/* something is taken from here */
	unsigned	types;			/* of a place: bits 1 << FmJsonType */
	long		index;			/* name as an index, or -1 */
	const char *path;			/* as people read it, NUL-terminated */
} FmNode;

typedef struct FmTrie
{
	FmNode		nodes[FM_MAX_NODES];
	int			nnodes;
} FmTrie;

/* A place in the message, or in the element. */
typedef struct FmPlace
{
	bool		element;
	int			node;
} FmPlace;

/* Part of a composed text: a constant, or what stands at a place. */
typedef struct FmPart
{
	bool		constant;
	FmSlice		text;
	FmPlace		place;
} FmPart;

/* One position of a pattern. */
typedef struct FmPatternItem
{
	uint32_t	ascii[4];		/* which ASCII characters match */
	bool		others;			/* and do all the other ones? */
	uint32_t	character;		/* one of the others that matches; 0: none */
	bool		optional;
	bool		repeated;
} FmPatternItem;

typedef struct FmPattern
{
	FmSlice		text;			/* as written, for people */
	int			nitems;
	FmPatternItem *items;
} FmPattern;

typedef struct FmWord
{
	FmSlice		exact;			/* as written */
	FmReported	level;
	bool		first;			/* of its level: it comes back from the column */
} FmWord;

/* How a timestamp may be written. */
#define FM_AS_RFC3339		0x01
#define FM_AS_LOCAL			0x02
#define FM_AS_EPOCH_S		0x04
#define FM_AS_EPOCH_MS		0x08
#define FM_AS_EPOCH_US		0x10
#define FM_AS_EPOCH			(FM_AS_EPOCH_S | FM_AS_EPOCH_MS | FM_AS_EPOCH_US)

/* Where one field comes from. */
typedef struct FmSource
{
	FmField		field;
	int			nplaces;		/* the first one that is there counts */
	FmPlace		places[FM_MAX_PLACES];
	int			nparts;			/* of a composed text */
	FmPart	   *parts;
	bool		constant;		/* fallback is the field */
	bool		has_fallback;	/* if nothing is there */
	FmSlice		text;			/* constant or fallback ... */
	double		number;			/* ... of either type */
	FmReported	level;
	bool		required;
	bool		gives;			/* its first place can be told from its column */
	bool		nullable;		/* null means that it is not there */
	bool		has_min;
	bool		has_max;
	double		min;
	double		max;
	const FmPattern *pattern;
	int			nwords;
	FmWord	   *words;
	unsigned	as;				/* FM_AS_* */
	unsigned	first_as;		/* the one that the column gives back */
	void	   *zone;			/* NULL: UTC */
	FmSlice		zone_name;
} FmSource;

/* What is to be judged for each message, element or reading, in order. */
typedef struct FmSourceList
{
	int			n;
	FmSource   *sources[FM_NUM_FIELDS];
} FmSourceList;

struct FmFormat
{
	bool		factory;		/* fm_decode_factory() does it */
	FmTrie		message;
	FmTrie		element;
	bool		has_each;
	int			each;			/* node of the array of readings */
	FmSourceList common;		/* of the whole message */
	FmSourceList per_element;
	int			nreadings;		/* of an element, or of the message */
	FmSourceList *readings;
	FmZones		zones;
};

/*
 * The character at *p of well-formed UTF-8, where a backslash is one as any
 * other; *p goes past it.
 */
static inline uint32_t
fm_utf8_next(const char **p)
{
	unsigned char c = (unsigned char) **p;

	if (c >= 0x80)
		return fm_json_long_character(p);
	*p += 1;
	return c;
}

/* ---- what stands in one message or element ---- */

typedef struct FmScope
{
	const FmTrie *trie;
	uint64_t	present;		/* nodes that are there ... */
	uint64_t	given;			/* ... and which of them columns give back */
	uint64_t	inexact;		/* ... and could not: they are in an object where
								 * the name in the pointer is an index, too */
	bool		unknown;		/* there is something that no node stands for */
	FmSlice		values[FM_MAX_NODES];	/* of the nodes that are there */
} FmScope;

/* What is kept of an element until extra is written. */
typedef struct FmElementMarks
{
	uint64_t	given;
	bool		kept;			/* something of it goes into extra */
} FmElementMarks;

/* One message on its way to readings. */
typedef struct FmMapped
{
	const FmFormat *format;
	FmArena    *arena;
	FmDecoded  *result;
	FmScope		message;
	FmScope		element;
	FmElementMarks *marks;		/* of all elements; NULL: not an array */
	bool		elements_kept;	/* of any element */
	bool		strange;		/* any element has what is not known */
} FmMapped;

/* ---- mapping_pointer.c ---- */

typedef struct FmCompile
{
	FmFormat   *format;
	const FmZones *zones;
	FmArena    *arena;
	FmMappingError *error;
	char		place[FM_MAPPING_PLACE];		/* where in the mapping we are */
} FmCompile;

/* Note an error at a member (NULL: here); returns false. */
extern bool fm_compile_fail(FmCompile *compile, const char *member,
							const char *format, ...) fm_printf_like(3, 4);

/* Go into a member of the mapping, and come back by cutting to the length. */
extern int	fm_compile_enter(FmCompile *compile, FmSlice key);
extern int	fm_compile_enter_index(FmCompile *compile, int index);
extern void fm_compile_leave(FmCompile *compile, int length);

extern bool fm_compile_no_memory(FmCompile *compile);

extern bool fm_compile_pointer(FmCompile *compile, FmSlice text,
							   FmPlace *place);

/* ---- mapping_source.c ---- */

extern bool fm_compile_string(FmCompile *compile, FmSlice value,
							  FmSlice *string);
extern bool fm_compile_source(FmCompile *compile, FmField field,
							  FmSlice value, FmSource **source);

/* ---- mapping_time.c ---- */

extern bool fm_compile_time(FmCompile *compile, FmSource *source, FmSlice as,
							FmSlice zone);
extern bool fm_take_time(FmMapped *mapped, const FmSource *source,
						 const char *path, FmSlice written,
						 FmReading *reading, bool *exact);

/*
 * Write a timestamp as JSON in the first way that the source accepts; false: it
 * is not in the years 0001 to 9999.  buf has FM_TIME_BUFFER bytes.
 */
#define FM_TIME_BUFFER		40
extern bool fm_write_time(const FmFormat *format, const FmSource *source,
						  const FmReading *reading, char *buf, int *len);

/* ---- mapping_word.c ---- */

extern bool fm_compile_words(FmCompile *compile, FmSource *source,
							 FmSlice words);

/* The level that a word stands for, or FM_REPORTED_OTHER. */
extern FmReported fm_word_level(const FmSource *source, FmSlice word,
								bool *exact);

/* The first word of a level, which its column stands for; data NULL: none. */
extern FmSlice fm_word_of_level(const FmSource *source, FmReported level);

/* ---- mapping_pattern.c ---- */

/* NULL: *fault says what is wrong. */
extern FmPattern *fm_pattern_compile(FmSlice text, FmArena *arena,
									 const char **fault);
extern bool fm_pattern_matches(const FmPattern *pattern, FmSlice text);

/* ---- mapping_decode.c ---- */

extern void fm_scope_walk(FmScope *scope, const FmTrie *trie, FmSlice value);

/* The child of a node for a member, or for an element; -1: none. */
extern int	fm_trie_child(const FmTrie *trie, int node, FmSlice key);
extern int	fm_trie_element(const FmTrie *trie, int node, long index);

/* ---- mapping_column.c ---- */

extern void fm_set_text(FmReading *reading, FmField field, FmSlice text);
extern FmSlice fm_get_text(const FmReading *reading, FmField field);
extern void fm_set_number(FmReading *reading, FmField field, double number);

/* False: the reading has none. */
extern bool fm_get_number(const FmReading *reading, FmField field,
						  double *number);
extern bool fm_slice_equal(FmSlice a, FmSlice b);

/* Is this what the reading had if nothing stood at the places of the source? */
extern bool fm_is_default(const FmSource *source, const FmReading *reading);

/* ---- mapping_field.c ---- */

/* Judge all of the list; *left_out: an optional value is not there. */
extern bool fm_take_sources(FmMapped *mapped, const FmSourceList *list,
							FmReading *reading, bool *left_out);
extern bool fm_mapped_no_memory(FmMapped *mapped);

/* ---- mapping_message.c ---- */

/* Find out what columns can give back, once all sources are known. */
extern void fm_mark_giving(FmFormat *format);

/* ---- mapping_extra.c ---- */

/* Does anything of this scope go into extra? */
extern bool fm_scope_kept(const FmScope *scope);
extern bool fm_make_extra(FmMapped *mapped, FmSlice text, FmSlice *extra);

#endif							/* FM_MAPPING_INTERNAL_H */
