/*
 * subject.c - what can be exported: views, their columns, their filters
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Rows come by time, then by sensor; what follows in an order only makes it
 * the same each time.  Names are sorted by their bytes, which is quicker than
 * any language's order, and does not change with the database's collation.
 */
#include "subject.h"

#include <string.h>

static const FmColumn reading_columns[] = {
	{"ts", NULL, "Time", FM_TIME, 24, true, false},
	{"sensor_id", NULL, "Sensor", FM_TEXT, 24, true, false},
	{"sensor_type", NULL, "Type", FM_TEXT, 13, true, false},
	{"value", NULL, "Value", FM_NUMBER, 12, true, false},
	{"unit", NULL, "Unit", FM_TEXT, 7, true, false},
	{"level", NULL, "Level", FM_TEXT, 9, true, false},
	{"factory_section", NULL, "Section", FM_TEXT, 16, true, false},
	{"machine_id", NULL, "Machine", FM_TEXT, 16, true, false},
	{"zone", NULL, "Zone", FM_TEXT, 12, true, false},
	{"quality", NULL, "Quality (0-1)", FM_NUMBER, 14, true, false},
	{"ts_utc", "ts AT TIME ZONE 'UTC'", "Time", FM_TIME, 24, false, true},
	{"side", NULL, "Side", FM_TEXT, 7, false, false},
	{"reported_level", NULL, "Reported level", FM_TEXT, 15, false, false},
	{"reading_count", NULL, "Reading count", FM_NUMBER, 15, false, false},
	{"metadata", NULL, "Metadata", FM_TEXT, 40, false, false},
	{"pipeline", NULL, "Pipeline", FM_TEXT, 16, false, false},
	{"topic", NULL, "Topic", FM_TEXT, 16, false, false},
	{"kafka_partition", NULL, "Partition", FM_NUMBER, 10, false, false},
	{"kafka_offset", NULL, "Offset", FM_NUMBER, 12, false, false},
	{"reading_index", NULL, "Reading of message", FM_NUMBER, 19, false, false},
	{"incarnation", NULL, "Incarnation", FM_NUMBER, 12, false, false},
	{"extra", NULL, "Extra", FM_TEXT, 40, false, false},
};

static const FmColumn alarm_columns[] = {
	{"recorded_at", NULL, "Recorded", FM_TIME, 24, true, false},
	{"event_time", NULL, "Reading's time", FM_TIME, 24, true, false},
	{"sensor_id", NULL, "Sensor", FM_TEXT, 24, true, false},
	{"sensor_type", NULL, "Type", FM_TEXT, 13, true, false},
	{"condition", NULL, "Condition", FM_TEXT, 12, true, false},
	{"transition", NULL, "Transition", FM_TEXT, 16, true, false},
	{"state", NULL, "State", FM_TEXT, 24, true, false},
	{"level", NULL, "Level", FM_TEXT, 9, true, false},
	{"side", NULL, "Side", FM_TEXT, 7, true, false},
	{"severity", NULL, "Severity (1-1000)", FM_NUMBER, 18, true, false},
	{"value", NULL, "Value", FM_NUMBER, 12, true, false},
	{"limit", NULL, "Limit", FM_NUMBER, 12, true, false},
	{"unit", NULL, "Unit", FM_TEXT, 7, true, false},
	{"factory_section", NULL, "Section", FM_TEXT, 16, true, false},
	{"machine_id", NULL, "Machine", FM_TEXT, 16, true, false},
	{"zone", NULL, "Zone", FM_TEXT, 12, true, false},
	{"announced", NULL, "Announced", FM_TRUTH, 11, true, false},
	{"by", NULL, "By", FM_TEXT, 12, true, false},
	{"comment", NULL, "Comment", FM_TEXT, 30, true, false},
	{"recorded_at_utc", "recorded_at AT TIME ZONE 'UTC'", "Recorded", FM_TIME,
	24, false, true},
	{"event_id", NULL, "Event id", FM_TEXT, 38, false, false},
	{"alarm_id", NULL, "Alarm id", FM_TEXT, 38, false, false},
	{"seq", NULL, "Number in alarm", FM_NUMBER, 16, false, false},
	{"previous_state", NULL, "Previous state", FM_TEXT, 24, false, false},
	{"previous_level", NULL, "Previous level", FM_TEXT, 15, false, false},
	{"deadband", NULL, "Deadband", FM_NUMBER, 10, false, false},
	{"quality", NULL, "Quality (0-1)", FM_NUMBER, 14, false, false},
	{"score", NULL, "Score", FM_NUMBER, 10, false, false},
	{"since", NULL, "Since", FM_TIME, 24, false, false},
	{"raised_at", NULL, "Raised", FM_TIME, 24, false, false},
	{"cause", NULL, "Cause", FM_TEXT, 12, false, false},
	{"blocked_by", NULL, "Blocked by", FM_TEXT, 16, false, false},
	{"limit_version", NULL, "Version of limit", FM_NUMBER, 16, false, false},
	{"pipeline", NULL, "Pipeline", FM_TEXT, 16, false, false},
	{"topic", NULL, "Topic", FM_TEXT, 16, false, false},
	{"kafka_partition", NULL, "Partition", FM_NUMBER, 10, false, false},
	{"kafka_offset", NULL, "Offset", FM_NUMBER, 12, false, false},
	{"reading_index", NULL, "Reading of message", FM_NUMBER, 19, false, false},
	{"incarnation", NULL, "Incarnation", FM_NUMBER, 12, false, false},
	{"ordinal", NULL, "Of the reading", FM_NUMBER, 15, false, false},
};

static const FmColumn reject_columns[] = {
	{"rejected_at", NULL, "Rejected", FM_TIME, 24, true, false},
	{"pipeline", NULL, "Pipeline", FM_TEXT, 16, true, false},
	{"topic", NULL, "Topic", FM_TEXT, 16, true, false},
	{"kafka_partition", NULL, "Partition", FM_NUMBER, 10, true, false},
	{"kafka_offset", NULL, "Offset", FM_NUMBER, 12, true, false},
	{"message_at", NULL, "Message's time", FM_TIME, 24, true, false},
	{"reason", NULL, "Reason", FM_TEXT, 24, true, false},
	{"detail", NULL, "Detail", FM_TEXT, 40, true, false},
	{"attempts", NULL, "Attempts", FM_NUMBER, 9, true, false},
	{"value", "pg_catalog.encode(value, 'escape')", "Message", FM_TEXT, 60,
	true, false},
	{"rejected_at_utc", "rejected_at AT TIME ZONE 'UTC'", "Rejected", FM_TIME,
	24, false, true},
	{"sqlstate", NULL, "SQLSTATE", FM_TEXT, 10, false, false},
	{"key", "pg_catalog.encode(key, 'escape')", "Key", FM_TEXT, 24, false,
	false},
	{"headers", NULL, "Headers", FM_TEXT, 40, false, false},
	{"incarnation", NULL, "Incarnation", FM_NUMBER, 12, false, false},
};

#define COLUMNS(table) table, (int) (sizeof(table) / sizeof(table[0]))

static const FmSubject subjects[] = {
	{"readings", "Readings", "factorymon.sensor_readings", "ts", "reading",
		"ts, sensor_id COLLATE \"C\", pipeline COLLATE \"C\","
		" kafka_partition, incarnation, kafka_offset, reading_index",
		{"sensor_id", "sensor_type", "factory_section", "zone", "machine_id",
		"pipeline", "level"},
	COLUMNS(reading_columns)},
	{"alarms", "Alarms", "factorymon.alerts", "recorded_at", "transition",
		"recorded_at, sensor_id COLLATE \"C\", pipeline COLLATE \"C\","
		" kafka_partition, incarnation, kafka_offset, reading_index,"
		" ordinal, condition COLLATE \"C\", seq",
		{"sensor_id", "sensor_type", "factory_section", "zone", "machine_id",
		"pipeline", "level"},
	COLUMNS(alarm_columns)},
	{"rejects", "Rejects", "factorymon.rejects", "rejected_at", "reject",
		"rejected_at, pipeline COLLATE \"C\", topic COLLATE \"C\","
		" kafka_partition, incarnation, kafka_offset",
		{NULL, NULL, NULL, NULL, NULL, "pipeline", NULL},
	COLUMNS(reject_columns)},
};

#define NSUBJECTS ((int) (sizeof(subjects) / sizeof(subjects[0])))

const FmSubject *
fm_subjects(int *count)
{
	*count = NSUBJECTS;
	return subjects;
}

const FmSubject *
fm_subject_of(const char *name)
{
	for (int i = 0; i < NSUBJECTS; i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}

const FmColumn *
fm_subject_column(const FmSubject *subject, const char *name, int len)
{
	for (int i = 0; i < subject->ncolumns; i++)
	{
		const FmColumn *column = &subject->columns[i];

		if ((int) strlen(column->name) == len &&
			strncmp(column->name, name, (size_t) len) == 0)
			return column;
	}
	return NULL;
}
