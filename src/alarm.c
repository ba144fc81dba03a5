/*-------------------------------------------------------------------------
 *
 * alarm.c
 *	  Alarm transitions: names, ids, and lists of them.
 *
 * What a transition means is decided in fold.c; here it is only carried.
 *
 * An event's id is computed, so that whoever meets the same event twice (a
 * consumer of published alerts, a replay) can tell.  It is a UUID of version
 * 8 (RFC 9562): the first 16 bytes of a SHA-256, with the six bits of version
 * and variant put over them.  Hashed are, each as four bytes of length (big
 * end first) and then the text itself, numbers in decimal:
 *
 *		kind, pipeline, topic, partition, incarnation, offset,
 *		reading index, condition, ordinal
 *
 * where kind is "event", or "alarm" for the id of the alarm that the event
 * begins.  The lengths keep ("a", "bc") and ("ab", "c") apart.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "alarm.h"
#include "factorymon.h"

/* ------------------------------------------------------------------------
 * Names and figures
 * ------------------------------------------------------------------------
 */

static const char *const state_names[] = {
	[FM_ALARM_NORMAL] = "normal",
	[FM_ALARM_ACTIVE_UNACKNOWLEDGED] = "active_unacknowledged",
	[FM_ALARM_ACTIVE_ACKNOWLEDGED] = "active_acknowledged",
	[FM_ALARM_RETURNED_UNACKNOWLEDGED] = "returned_unacknowledged"
};

static const char *const transition_names[] = {
	[FM_TRANSITION_RAISED] = "raised",
	[FM_TRANSITION_ESCALATED] = "escalated",
	[FM_TRANSITION_DEESCALATED] = "deescalated",
	[FM_TRANSITION_RETURNED] = "returned",
	[FM_TRANSITION_ACKNOWLEDGED] = "acknowledged",
	[FM_TRANSITION_RE_ALARMED] = "re_alarmed",
	[FM_TRANSITION_SHELVED] = "shelved",
	[FM_TRANSITION_UNSHELVED] = "unshelved",
	[FM_TRANSITION_SUPPRESSED] = "suppressed",
	[FM_TRANSITION_UNSUPPRESSED] = "unsuppressed",
	[FM_TRANSITION_OUT_OF_SERVICE] = "out_of_service",
	[FM_TRANSITION_IN_SERVICE] = "in_service",
	[FM_TRANSITION_COMMENTED] = "commented",
	[FM_TRANSITION_DISABLED] = "disabled",
	[FM_TRANSITION_CLOSED] = "closed",
	[FM_TRANSITION_REINSTATED] = "reinstated",
	[FM_TRANSITION_MOVED] = "moved",
	[FM_TRANSITION_CHATTERING] = "chattering",
	[FM_TRANSITION_SETTLED] = "settled",
	[FM_TRANSITION_LATE_EXCURSION] = "late_excursion",
	[FM_TRANSITION_REFUSED] = "refused"
};

static const char *const cause_names[] = {
	[FM_CAUSE_DATA] = "data",
	[FM_CAUSE_OPERATOR] = "operator",
	[FM_CAUSE_CLOCK] = "clock"
};

static const char *const condition_names[FM_CONDITIONS] = {
	[FM_CONDITION_LIMIT] = "limit",
	[FM_CONDITION_SILENT] = "silent",
	[FM_CONDITION_ANOMALY] = "anomaly",
	[FM_CONDITION_RATE] = "rate",
	[FM_CONDITION_FLAT] = "flat",
	[FM_CONDITION_SEQUENCE] = "sequence",
	[FM_CONDITION_TIME] = "time",
	[FM_CONDITION_SEASONAL] = "seasonal"
};

const char *
fm_alarm_state_name(FmAlarmState state)
{
	Assert((int) state >= 0 && (int) state < lengthof(state_names));
	return state_names[state];
}

const char *
fm_transition_name(FmTransitionKind kind)
{
	Assert((int) kind >= 0 && (int) kind < lengthof(transition_names));
	return transition_names[kind];
}

const char *
fm_condition_name(int condition)
{
	Assert(condition >= 0 && condition < lengthof(condition_names));
	return condition_names[condition];
}

int
fm_condition_find(const char *name)
{
	for (int i = 0; i < lengthof(condition_names); i++)
	{
		if (strcmp(name, condition_names[i]) == 0)
			return i;
	}
	return -1;
}

const char *
fm_alarm_blocked_by(const FmAlarmEvent *event)
{
	if (event->blocks & FM_BLOCK_RETIRED)
		return "retired";
	if (event->blocks & FM_BLOCK_OUT_OF_SERVICE)
		return "out_of_service";
	if (event->blocks & FM_BLOCK_SUPPRESSED)
		return "suppressed";
	if (event->blocks & FM_BLOCK_MAINTENANCE)
		return "maintenance";
	return event->shelving != FM_SHELVING_NONE ? "shelved" : NULL;
}

const char *
fm_cause_name(FmCause cause)
{
	Assert((int) cause >= 0 && (int) cause < lengthof(cause_names));
	return cause_names[cause];
}

/* ------------------------------------------------------------------------
 * Ids
 * ------------------------------------------------------------------------
 */

static void
hash_text(pg_cryptohash_ctx *hash, const char *value)
{
	uint32		len = strlen(value);
	uint32		prefix = pg_hton32(len);

	if (pg_cryptohash_update(hash, (const uint8 *) &prefix,
							 sizeof(prefix)) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) value, len) < 0)
		elog(ERROR, "could not compute SHA-256: %s",
			 pg_cryptohash_error(hash));
}

static void
hash_number(pg_cryptohash_ctx *hash, int64 value)
{
	char		buf[MAXINT8LEN + 1];

	pg_lltoa(value, buf);
	hash_text(hash, buf);
}

void
fm_event_id(pg_uuid_t *id, const char *kind, const FmEventSource *source)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	if (pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not initialize SHA-256: %s",
			 pg_cryptohash_error(hash));
	hash_text(hash, kind);
	hash_text(hash, source->pipeline);
	hash_text(hash, source->topic);
	hash_number(hash, source->kafka_partition);
	hash_number(hash, source->incarnation);
	hash_number(hash, source->kafka_offset);
	hash_number(hash, source->reading_index);
	hash_text(hash, source->condition);
	hash_number(hash, source->ordinal);
	if (pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not finalize SHA-256: %s",
			 pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);

	memcpy(id->data, digest, UUID_LEN);
	id->data[6] = (id->data[6] & 0x0f) | 0x80;	/* version 8 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;	/* variant of RFC 9562 */
}

void
fm_event_id_random(pg_uuid_t *id)
{
	if (!pg_strong_random(id->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id->data[6] = (id->data[6] & 0x0f) | 0x40;	/* version 4 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;	/* variant of RFC 9562 */
}

/* ------------------------------------------------------------------------
 * Lists
 * ------------------------------------------------------------------------
 */

void
fm_transitions_init(FmTransitionList *list, MemoryContext context)
{
	list->items = NULL;
	list->length = 0;
	list->allocated = 0;
	list->context = context;
}

/* A new last element, zeroed. */
FmTransition *
fm_transitions_add(FmTransitionList *list)
{
	FmTransition *item;

	if (list->length == list->allocated)
	{
		int			wanted = Max(64, list->allocated * 2);

		if (list->items == NULL)
			list->items = MemoryContextAllocHuge(list->context,
												 wanted * sizeof(FmTransition));
		else
			list->items = repalloc_huge(list->items,
										wanted * sizeof(FmTransition));
		list->allocated = wanted;
	}
	item = &list->items[list->length++];
	memset(item, 0, sizeof(*item));
	return item;
}

void
fm_transitions_truncate(FmTransitionList *list, int length)
{
	Assert(length >= 0 && length <= list->length);
	list->length = length;
}

void
fm_transitions_number(FmTransitionList *list, int n, int32 stream_id,
					  int64 *out_seq)
{
	Assert(n >= 0 && n <= list->length);
	for (int i = 0; i < n; i++)
	{
		FmTransition *item = &list->items[i];

		if (item->stream_id == stream_id && item->event.outgoing)
			item->out_seq = ++*out_seq;
	}
}
