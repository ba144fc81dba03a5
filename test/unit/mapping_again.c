/*-------------------------------------------------------------------------
 *
 * mapping_again.c
 *	  Is a message that has become readings what these make again?
 *
 * Compared are the values, as trees that json-c made of both.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "mapping_test.h"
#include "oracle_internal.h"

bool
compose_again(const FmFormat *format, FmSlice message,
			  const FmDecoded *decoded, FmArena *arena, int *told)
{
	FmSlice		again;
	json_object *was;
	json_object *is;
	bool		equal;

	if (decoded->reason != FM_REJECT_NONE || decoded->nreadings == 0 ||
		!fm_compose(format, decoded->readings, decoded->nreadings,
					decoded->readings[0].extra, arena, &again))
		return true;
	was = tree_parse(message.data, (size_t) message.len);
	is = tree_parse(again.data, (size_t) again.len);
	equal = tree_equals(was, is);
	*told += equal;
	if (!equal)
	{
		printf("# was: %.*s\n# is: %.*s\n", message.len, message.data,
			   again.len, again.data);
		fflush(stdout);
	}
	json_object_put(was);
	json_object_put(is);
	return equal;
}
