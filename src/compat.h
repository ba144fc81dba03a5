/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The only place that tests versions of PostgreSQL or librdkafka.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_COMPAT_H
#define FM_COMPAT_H

#ifdef PG_VERSION_NUM
#if PG_VERSION_NUM < 150000
#error "factorymon needs PostgreSQL 15 or newer"
#endif

/* Wait events: named ones exist from 17 on. */
#define FM_WAIT_EVENT PG_WAIT_EXTENSION

#if PG_VERSION_NUM < 160000
#define fm_database_ownercheck(database, role) \
	pg_database_ownercheck((database), (role))
#else
#define fm_database_ownercheck(database, role) \
	object_ownercheck(DatabaseRelationId, (database), (role))
#endif

#if PG_VERSION_NUM < 160000
#define fm_server_aclcheck(server, role, mode) \
	pg_foreign_server_aclcheck((server), (role), (mode))
#else
#define fm_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, (server), (role), (mode))
#endif

/* The path of a foreign scan that costs nothing in particular. */
#if PG_VERSION_NUM < 170000
#define fm_create_foreignscan_path(root, rel, rows) \
	create_foreignscan_path((root), (rel), NULL, (rows), 0, (rows), NIL, \
							(rel)->lateral_relids, NULL, NIL)
#elif PG_VERSION_NUM < 180000
#define fm_create_foreignscan_path(root, rel, rows) \
	create_foreignscan_path((root), (rel), NULL, (rows), 0, (rows), NIL, \
							(rel)->lateral_relids, NULL, NIL, NIL)
#else
#define fm_create_foreignscan_path(root, rel, rows) \
	create_foreignscan_path((root), (rel), NULL, (rows), 0, 0, (rows), NIL, \
							(rel)->lateral_relids, NULL, NIL, NIL)
#endif

/* Number of a process among all, for its latch. */
#if PG_VERSION_NUM < 170000
#define FM_MY_PROC_NUMBER MyProc->pgprocno
#else
#define FM_MY_PROC_NUMBER MyProcNumber
#endif

/* The caller frees it; after an error its memory or resource owner does. */
#if PG_VERSION_NUM < 170000
#define fm_create_wait_event_set(size) \
	CreateWaitEventSet(CurrentMemoryContext, (size))
#else
#define fm_create_wait_event_set(size) \
	CreateWaitEventSet(CurrentResourceOwner, (size))
#endif

/*
 * Pages of a btree are written by our own code (btree_batch.c) only where its
 * rules were compared with PostgreSQL's of that version.
 */
#define FM_KNOWS_BTREE_PAGES (PG_VERSION_NUM < 190000)

/* A scan of an index for rows of its table. */
#if PG_VERSION_NUM < 180000
#define fm_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), (nkeys), 0)
#else
#define fm_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), NULL, (nkeys), 0)
#endif

/* Let go of what an index keeps between insertions. */
#if PG_VERSION_NUM < 170000
#define fm_index_insert_cleanup(index, info) ((void) 0)
#else
#define fm_index_insert_cleanup(index, info) \
	index_insert_cleanup((index), (info))
#endif

/* A row that is in its table into all the table's indexes. */
#if PG_VERSION_NUM < 160000
#define fm_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, NIL)
#else
#define fm_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, \
						  NIL, false)
#endif

/* Does an updated row have to be put into the indexes? */
#if PG_VERSION_NUM < 160000
typedef bool FmUpdateIndexes;
#define fm_updates_indexes(indexes) (indexes)
#else
#define FmUpdateIndexes TU_UpdateIndexes
#define fm_updates_indexes(indexes) ((indexes) != TU_None)
#endif

/* Down a btree to the leaf page of a key, which is locked for writing. */
#if PG_VERSION_NUM < 160000
#define fm_bt_search_for(index, heap, key, buffer, access) \
	_bt_search((index), (key), (buffer), (access), NULL)
#elif PG_VERSION_NUM < 170000
#define fm_bt_search_for(index, heap, key, buffer, access) \
	_bt_search((index), (heap), (key), (buffer), (access), NULL)
#else
#define fm_bt_search_for(index, heap, key, buffer, access) \
	_bt_search((index), (heap), (key), (buffer), (access))
#endif
#define fm_bt_search(index, heap, key, buffer) \
	fm_bt_search_for((index), (heap), (key), (buffer), BT_WRITE)

/* Goes before "static" and the type. */
#if PG_VERSION_NUM < 180000
#define FM_NORETURN pg_attribute_noreturn()
#else
#define FM_NORETURN pg_noreturn
#endif

/* Bring memory into the processor's caches before it is needed. */
static inline void
fm_prefetch(const void *what, Size size)
{
#if defined(__GNUC__) || defined(__clang__)
	for (Size at = 0; at < size; at += 64)
		__builtin_prefetch((const char *) what + at);
	__builtin_prefetch((const char *) what + size - 1);
#endif
}

#endif							/* PG_VERSION_NUM */

#endif							/* FM_COMPAT_H */
