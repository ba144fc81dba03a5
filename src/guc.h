/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Every setting, alphabetical.  Meanings and units: guc.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_GUC_H
#define FM_GUC_H

#include "postgres.h"

extern int	fm_alert_retention;			/* min */
extern char *fm_archive_directory_setting;
extern char *fm_archive_command;
extern char *fm_archive_restore_command;
extern int	fm_archive_command_timeout; /* ms */
extern int	fm_batch_max_bytes;			/* kB */
extern int	fm_batch_max_delay;			/* ms */
extern int	fm_batch_max_messages;
extern bool fm_deadman;
extern bool fm_direct_index_insert;
extern bool fm_direct_insert;
extern bool fm_enabled;
extern int	fm_event_retention;			/* min */
extern int	fm_flood_end;
extern int	fm_flood_start;
extern int	fm_kpi_retention;			/* min */
extern int	fm_lock_timeout;			/* ms */
extern int	fm_mass_silence_min;		/* sensors */
extern int	fm_mass_silence_percent;
extern int	fm_max_databases;
extern int	fm_max_partitions;
extern int	fm_max_prefetch;			/* kB */
extern int	fm_max_sensor_versions;		/* per sensor */
extern int	fm_max_sensors;				/* per pipeline */
extern int	fm_max_time_partitions;		/* per pipeline */
extern int	fm_max_watched_sensors;
extern int	fm_max_workers;
extern int	fm_proof_interval;			/* ms */
extern int	fm_reject_limit;			/* MB per pipeline and hour */
extern int	fm_request_retention;		/* min */
extern int	fm_restart_delay_max;		/* ms */
extern int	fm_restart_delay_min;		/* ms */
extern int	fm_silent_after_intervals;
extern int	fm_silent_after_min;		/* ms */
extern int	fm_snapshot_interval;		/* ms */

extern void fm_guc_define(bool preloaded);

#endif							/* FM_GUC_H */
