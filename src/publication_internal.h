/*-------------------------------------------------------------------------
 *
 * publication_internal.h
 *	  What the files behind publication.h share: publication.c, delivery.c,
 *	  notice.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PUBLICATION_INTERNAL_H
#define FM_PUBLICATION_INTERNAL_H

#include "publication.h"

/* Columns of _factorymon.publication, from 1. */
enum
{
	PUBLICATION_PIPELINE_ID = 1,
	PUBLICATION_PUB_SEQ,
	PUBLICATION_EVENT_ID,
	PUBLICATION_STREAM_ID,
	PUBLICATION_OUT_SEQ,
	PUBLICATION_RECORDED_AT,
	PUBLICATION_NUMBERED_AT,
	PUBLICATION_MESSAGE_KEY,
	PUBLICATION_PAYLOAD,
	PUBLICATION_ALARM_ID,
	PUBLICATION_TRANSITION,
	PUBLICATION_SEVERITY,
	PUBLICATION_ANNOUNCED,
	PUBLICATION_SOURCE_TOPIC,
	PUBLICATION_SOURCE_PARTITION,
	PUBLICATION_SOURCE_OFFSET,
	PUBLICATION_TO_KAFKA,
	PUBLICATION_COLUMNS = PUBLICATION_TO_KAFKA
};

/* Columns of _factorymon.delivery, from 1. */
enum
{
	DELIVERY_PIPELINE_ID = 1,
	DELIVERY_PUB_SEQ,
	DELIVERY_DELIVERED_AT,
	DELIVERY_ATTEMPTS,
	DELIVERY_ATTEMPTED_AT,
	DELIVERY_LAST_ERROR,
	DELIVERY_COLUMNS = DELIVERY_LAST_ERROR
};

/*
 * A row, its columns from 0, as what is sent of it.  Both those who just wrote
 * the row and those who read it from the table come here: what is sent again is
 * the same.
 */
extern void fm_publication_make(const Datum *values, const bool *nulls,
								FmPublication *publication);

/* Likewise, as what listeners are told of it; palloc'ed. */
extern char *fm_publication_notice(const FmPipeline *pipeline,
								   const Datum *values, const bool *nulls);

#endif							/* FM_PUBLICATION_INTERNAL_H */
