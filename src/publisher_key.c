/*-------------------------------------------------------------------------
 *
 * publisher_key.c
 *	  The keys of messages on their way to Kafka.
 *
 * The window has thousands of messages of some hundreds of keys, and is walked
 * many times a second to see which key has which message first.  So a key is
 * looked up once, when its message comes, and after that told by its address.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "publisher.h"

typedef struct KeyEntry
{
	const char *text;			/* the key's own */
	FmMailKey  *key;
	uint32		hash;
	char		status;			/* of simplehash */
} KeyEntry;

#define SH_PREFIX mailkeys
#define SH_ELEMENT_TYPE KeyEntry
#define SH_KEY_TYPE const char *
#define SH_KEY text
#define SH_HASH_KEY(tb, text) \
	hash_bytes((const unsigned char *) (text), (int) strlen(text))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

static mailkeys_hash *mail_keys = NULL;

FmMailKey *
fm_publisher_key_take(FmPublisher *publisher, const char *text, int len)
{
	FmMailKey  *key;
	KeyEntry   *entry;
	bool		found;

	if (mail_keys == NULL)
		mail_keys = mailkeys_create(publisher->context, 1024, NULL);
	entry = mailkeys_insert(mail_keys, text, &found);
	if (!found)
	{
		key = MemoryContextAllocZero(publisher->context,
									 offsetof(FmMailKey, text) + len + 1);
		memcpy(key->text, text, len);
		entry->key = key;
		entry->text = key->text;
	}
	entry->key->nmail++;
	return entry->key;
}

void
fm_publisher_key_release(FmMailKey *key)
{
	if (--key->nmail > 0)
		return;
	(void) mailkeys_delete(mail_keys, key->text);
	pfree(key);
}
