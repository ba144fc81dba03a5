/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Every setting of factorymon, alphabetical, with units and meaning.
 *
 * What sizes shared memory is set at server start; everything else may be
 * changed by a reload and is obeyed within one turn of a worker's loop.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "flood.h"
#include "guc.h"

int			fm_alert_retention = 7 * 24 * 60;
int			fm_batch_max_bytes = 16 * 1024;
int			fm_batch_max_delay = 100;
int			fm_batch_max_messages = 10000;
bool		fm_deadman = true;
bool		fm_direct_index_insert = true;
bool		fm_direct_insert = true;
bool		fm_enabled = true;
char	   *fm_archive_directory_setting = NULL;
char	   *fm_archive_command = NULL;
char	   *fm_archive_restore_command = NULL;
int			fm_archive_command_timeout = 10 * 60 * 1000;
int			fm_event_retention = 30 * 24 * 60;
int			fm_flood_end = 5;
int			fm_flood_start = 10;
int			fm_kpi_retention = 5 * 365 * 24 * 60;
int			fm_lock_timeout = 1000;
int			fm_mass_silence_min = 5;
int			fm_mass_silence_percent = 30;
int			fm_max_databases = 8;
int			fm_max_partitions = 1024;
int			fm_max_prefetch = 32 * 1024;
int			fm_max_sensor_versions = 1000;
int			fm_max_sensors = 1000000;
int			fm_max_time_partitions = 1000;
int			fm_max_watched_sensors = 100000;
int			fm_max_workers = 32;
int			fm_proof_interval = 60 * 1000;
int			fm_reject_limit = 10 * 1024;
int			fm_request_retention = 365 * 24 * 60;
int			fm_restart_delay_max = 60 * 1000;
int			fm_restart_delay_min = 1000;
int			fm_silent_after_intervals = 5;
int			fm_silent_after_min = 30 * 1000;
int			fm_snapshot_interval = 10 * 1000;

/* Integers that a reload may change. */
typedef struct FmIntSetting
{
	const char *name;
	const char *description;
	int		   *variable;
	int			min;
	int			max;
	int			flags;
} FmIntSetting;

static const FmIntSetting reloadable[] = {
	{"factorymon.alert_retention",
		"Age after which published alarm events are deleted.",
	&fm_alert_retention, 60, INT_MAX, GUC_UNIT_MIN},
	{"factorymon.archive_command_timeout",
		"Time after which archive_command and restore_command are ended.",
	&fm_archive_command_timeout, 1000, INT_MAX, GUC_UNIT_MS},
	{"factorymon.batch_max_bytes",
		"Payload bytes after which a batch is committed.",
	&fm_batch_max_bytes, 64, 1024 * 1024, GUC_UNIT_KB},
	{"factorymon.batch_max_delay",
		"Longest time a batch collects messages before it is committed.",
	&fm_batch_max_delay, 1, 60 * 1000, GUC_UNIT_MS},
	{"factorymon.batch_max_messages",
		"Messages after which a batch is committed.",
	&fm_batch_max_messages, 1, 100000, 0},
	{"factorymon.event_retention",
		"Age after which rebalancing events are deleted.",
	&fm_event_retention, 60, INT_MAX, GUC_UNIT_MIN},
	{"factorymon.flood_end",
		"Announcements in ten minutes below which a flood is over.",
	&fm_flood_end, 1, FM_FLOOD_MEMORY, 0},
	{"factorymon.flood_start",
		"Announcements in ten minutes that are a flood.",
	&fm_flood_start, 1, FM_FLOOD_MEMORY, 0},
	{"factorymon.kpi_retention",
		"Age after which what key figures are made of is deleted.",
	&fm_kpi_retention, 24 * 60, INT_MAX, GUC_UNIT_MIN},
	{"factorymon.lock_timeout",
		"Longest wait for a stream's row before saying who holds it.",
	&fm_lock_timeout, 10, 10 * 60 * 1000, GUC_UNIT_MS},
	{"factorymon.mass_silence_min",
		"So many sensors silent at once are the silence of the pipeline.",
	&fm_mass_silence_min, 2, INT_MAX, 0},
	{"factorymon.mass_silence_percent",
		"... if they are more than this share of those watched.",
	&fm_mass_silence_percent, 1, 100, 0},
	{"factorymon.max_prefetch",
		"Bytes that the Kafka client of one worker may fetch ahead.",
	&fm_max_prefetch, 1024, 1024 * 1024, GUC_UNIT_KB},
	{"factorymon.max_sensor_versions",
		"Descriptions kept of one sensor; more make its messages rejects.",
	&fm_max_sensor_versions, 1, INT_MAX, 0},
	{"factorymon.max_sensors",
		"Sensors of one pipeline; messages of more are rejects.",
	&fm_max_sensors, 1, INT_MAX, 0},
	{"factorymon.max_time_partitions",
		"Time partitions of one table; messages that need more are rejects.",
	&fm_max_time_partitions, 1, INT_MAX, 0},
	{"factorymon.proof_interval",
		"Time between two proofs that a partition is still the same log.",
	&fm_proof_interval, 100, INT_MAX, GUC_UNIT_MS},
	{"factorymon.reject_limit",
		"Bytes of rejects per pipeline and hour beyond which it pauses.",
	&fm_reject_limit, 1, INT_MAX, GUC_UNIT_MB},
	{"factorymon.request_retention",
		"Age after which answered requests of operators are deleted.",
	&fm_request_retention, 60, INT_MAX, GUC_UNIT_MIN},
	{"factorymon.restart_delay_max",
		"Longest back-off before a failed process is started again.",
	&fm_restart_delay_max, 100, 60 * 60 * 1000, GUC_UNIT_MS},
	{"factorymon.restart_delay_min",
		"First back-off before a failed process is started again.",
	&fm_restart_delay_min, 10, 60 * 60 * 1000, GUC_UNIT_MS},
	{"factorymon.silent_after_intervals",
		"Intervals that a sensor may miss before it is silent.",
	&fm_silent_after_intervals, 2, 1000, 0},
	{"factorymon.silent_after_min",
		"Time before which no sensor is silent, however often it reports.",
	&fm_silent_after_min, 1000, 24 * 60 * 60 * 1000, GUC_UNIT_MS},
	{"factorymon.snapshot_interval",
		"Time between two snapshots of per-sensor state.",
	&fm_snapshot_interval, 100, 60 * 60 * 1000, GUC_UNIT_MS},
};

/* Integers that size shared memory. */
static const FmIntSetting fixed[] = {
	{"factorymon.max_databases",
		"Databases of this server that may have pipelines.",
	&fm_max_databases, 1, 1024, 0},
	{"factorymon.max_partitions",
		"Kafka partitions whose status is kept in shared memory.",
	&fm_max_partitions, 16, 1024 * 1024, 0},
	{"factorymon.max_watched_sensors",
		"Sensors of all pipelines that are missed when they fall silent.",
	&fm_max_watched_sensors, 1000, 10 * 1000 * 1000, 0},
	{"factorymon.max_workers",
		"Ingest workers of all databases of this server.",
	&fm_max_workers, 1, 1024, 0},
};

static void
define_integers(const FmIntSetting *settings, int n, GucContext context)
{
	for (int i = 0; i < n; i++)
		DefineCustomIntVariable(settings[i].name, settings[i].description,
								NULL, settings[i].variable,
								*settings[i].variable,
								settings[i].min, settings[i].max,
								context, settings[i].flags,
								NULL, NULL, NULL);
}

/*
 * Define all settings; those that size shared memory only while the library
 * is being preloaded, because they mean nothing later.
 */
void
fm_guc_define(bool preloaded)
{
	DefineCustomBoolVariable("factorymon.deadman",
							 "Whether sensors that fall silent raise an alarm.",
							 NULL,
							 &fm_deadman, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("factorymon.direct_index_insert",
							 "Fill the index of readings a page at a time, if they go past the executor.",
							 NULL,
							 &fm_direct_index_insert, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("factorymon.direct_insert",
							 "Whether readings go past the executor into tables that allow it.",
							 "worker_status() says which way is taken, and why.",
							 &fm_direct_insert, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("factorymon.enabled",
							 "Whether background workers run at all.",
							 "Off keeps a clone of a server quiet.",
							 &fm_enabled, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("factorymon.archive_directory",
							   "Folder that history files are written to.",
							   "An absolute path; who runs the server must be able to write there.",
							   &fm_archive_directory_setting, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("factorymon.archive_command",
							   "Shell command that keeps a history file elsewhere.",
							   "%p is its path, %f its name, %% a percent sign. Where it succeeds the file is removed from archive_directory. Empty: files stay there.",
							   &fm_archive_command, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("factorymon.restore_command",
							   "Shell command that brings a history file back from where archive_command keeps it.",
							   "%f is its name, %p the path to write it to, %% a percent sign. What is stored is compared through it, too.",
							   &fm_archive_restore_command, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	define_integers(reloadable, lengthof(reloadable), PGC_SIGHUP);
	if (preloaded)
		define_integers(fixed, lengthof(fixed), PGC_POSTMASTER);
	MarkGUCPrefixReserved("factorymon");
}
