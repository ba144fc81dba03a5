/*-------------------------------------------------------------------------
 *
 * control.h
 *	  What somebody asks of a pipeline, and whether it can be.
 *
 * The checks raise an error that says what is wrong.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CONTROL_H
#define FM_CONTROL_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What a user asks for; NULL: not given. */
typedef struct FmPipelineRequest
{
	char	   *name;
	char	   *server;
	char	   *topic;
	char	   *consumer_group;
	char	   *format;
	char	   *start;
	char	   *on_data_loss;
	char	   *owner;
	char	   *alert_topic;	/* "": none */
	int32	   *workers;
	TimestampTz *start_at;
	Interval   *accept_past;
	Interval   *accept_future;
	Interval   *retention;		/* 0: for ever */
	Interval   *partition_interval;
	bool	   *rollups;
	char	   *time_zone;
	char	   *deduplicate;
	Interval   *deduplicate_ttl;
} FmPipelineRequest;

/* Everything that can be told from the values alone. */
extern void fm_check_values(const FmPipelineRequest *request);
extern void fm_check_start(const FmPipelineRequest *request);
extern void fm_check_alert_topic(const char *alert_topic, const char *topic);
extern void fm_check_time_zone(const char *name);

/* Can background workers connect to this database as that role? */
extern void fm_check_owner(Oid roleid);

/* Inside SPI, as the extension's owner; "except" is the pipeline itself, or 0. */
extern void fm_check_unshared(const char *server, const char *topic,
							  const char *group, int16 except);
extern void fm_check_name_is_free(const char *name);
extern void fm_warn_of_too_few_workers(void);

extern void fm_require_utf8(void);

#endif							/* FM_CONTROL_H */
