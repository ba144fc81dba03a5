/*-------------------------------------------------------------------------
 *
 * fold_alarm.c
 *	  The alarms of a fold: where they are kept, and readings on their way
 *	  through them.
 *
 * What happens to an alarm is decided in lifecycle.c.  Here it is found, what
 * it was is remembered for undoing, and what happened to it becomes
 * transitions with ids.
 *
 * Most sensors have no alarm, and a reading in its normal band with nothing
 * pending touches none: FmFoldSensor.hot says which sensors' alarms must see
 * each of their readings.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"

#include "fold_state.h"

/* ------------------------------------------------------------------------
 * Alarms and their numbers
 * ------------------------------------------------------------------------
 */

typedef struct AlarmKey
{
	int32		sensor_id;
	int32		condition;
} AlarmKey;

typedef struct AlarmNumber
{
	AlarmKey	key;			/* hash key */
	uint32		number:31;
	uint32		status:1;		/* for simplehash */
} AlarmNumber;

#define SH_PREFIX		alarmhash
#define SH_ELEMENT_TYPE	AlarmNumber
#define SH_KEY_TYPE		AlarmKey
#define SH_KEY			key
#define SH_HASH_KEY(tb, key) \
	murmurhash32((uint32) (key).sensor_id * 16 + (key).condition)
#define SH_EQUAL(tb, a, b) \
	((a).sensor_id == (b).sensor_id && (a).condition == (b).condition)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

void
fm_fold_alarms_init(FmFold *fold)
{
	fm_store_init(&fold->stores[FM_FOLD_ALARMS], fold->context,
				  FM_FOLD_ALARMS, sizeof(FmAlarm));
	fold->alarm_numbers = alarmhash_create(fold->context, 64, NULL);
}

int
fm_fold_alarm_number(FmFold *fold, int32 sensor_id, uint8 condition,
					 bool create)
{
	AlarmKey	key = {sensor_id, condition};
	AlarmNumber *entry = alarmhash_lookup(fold->alarm_numbers, key);
	bool		found;

	if (entry != NULL)
		return entry->number;
	if (!create)
		return -1;
	/* or a failure would leave an entry without an element */
	fm_store_reserve(&fold->stores[FM_FOLD_ALARMS]);
	entry = alarmhash_insert(fold->alarm_numbers, key, &found);
	entry->number = fm_store_add(&fold->stores[FM_FOLD_ALARMS]);
	fm_alarm_init(fm_fold_alarm(fold, entry->number), sensor_id, condition);
	return entry->number;
}

/* An alarm, about to be changed: created if need be, and remembered. */
static FmAlarm *
alarm_to_change(FmFold *fold, int32 sensor_id, uint8 condition, int *number)
{
	FmFoldStore *store = &fold->stores[FM_FOLD_ALARMS];
	int			before = store->n;

	fm_store_reserve_undo(store);
	*number = fm_fold_alarm_number(fold, sensor_id, condition, true);
	return fm_store_change(store, *number, *number == before,
						   sizeof(FmAlarm));
}

void
fm_fold_alarms_rollback(FmFold *fold, int length)
{
	FmFoldUndo	undo;
	const void *before;

	while (fm_store_undo(&fold->stores[FM_FOLD_ALARMS], length, &undo,
						 &before))
	{
		const FmAlarm *alarm = before;
		AlarmKey	key = {alarm->sensor_id, alarm->condition};

		if (undo.created)
			(void) alarmhash_delete(fold->alarm_numbers, key);
	}
}

/* ------------------------------------------------------------------------
 * Transitions
 * ------------------------------------------------------------------------
 */

/* What a reading, or a request, and the alarm contribute to transitions. */
typedef struct Cause
{
	const FmFold *fold;
	const FmRow *row;			/* NULL: no reading causes it */
	const FmAlarmAct *act;		/* then this does */
	const FmFoldSensor *state;	/* ... and its sensor is this; or NULL */
	int32		sensor_id;
	int32		sensor_version_id;
	const FmLimits *limits;
	double		score;			/* of a detector; NaN: none */
	int			number;			/* of the alarm */
	int			ordinal;		/* of the last transition so far */
} Cause;

/* The limit that a value of this level and side has reached; NaN for none. */
static double
limit_reached(const FmLimits *limits, FmLevel level, FmSide side)
{
	if (level == FM_LEVEL_CRITICAL)
		return side == FM_SIDE_HIGH ? limits->critical_high :
			limits->critical_low;
	if (level == FM_LEVEL_WARNING)
		return side == FM_SIDE_HIGH ? limits->warning_high :
			limits->warning_low;
	return NAN;
}

static int16
severity_of(const FmLimits *limits, FmLevel level)
{
	return level == FM_LEVEL_NORMAL ? 0 :
		limits->severity[level - FM_LEVEL_WARNING];
}

static void
source_of(const Cause *cause, const FmAlarm *alarm, FmEventSource *source)
{
	const FmFoldStream *stream = &cause->fold->stream;

	source->pipeline = stream->pipeline;
	source->topic = stream->topic;
	source->kafka_partition = stream->kafka_partition;
	source->incarnation = stream->incarnation;
	source->kafka_offset = cause->row->kafka_offset;
	source->reading_index = cause->row->reading_index;
	source->condition = fm_condition_name(alarm->condition);
	source->ordinal = cause->ordinal;
}

/* Set what a transition tells about the reading that caused it. */
static void
describe_reading(const FmRow *row, FmTransition *transition)
{
	transition->kafka_offset = row->kafka_offset;
	transition->reading_index = row->reading_index;
	transition->value = row->reading->value;
	transition->has_quality = row->reading->has_quality;
	transition->quality = row->reading->quality;
	transition->event_time = row->reading->ts;
	transition->message = row->message;
}

/* No reading did: the last one that was judged is what there is to tell. */
static void
describe_act(const Cause *cause, FmTransition *transition)
{
	const FmFoldSensor *state = cause->state;
	bool		known = state != NULL && state->last_ts != DT_NOBEGIN;

	transition->kafka_offset = cause->fold->position;
	transition->reading_index = -1;
	transition->value = known ? state->last_value : NAN;
	transition->has_quality = known && !isnan(state->last_quality);
	transition->quality = transition->has_quality ? state->last_quality : 0;
	transition->event_time = known ? state->last_ts : FM_NEVER;
	transition->cause = cause->act->cause;
	transition->actor = cause->act->actor;
	transition->comment = cause->act->comment;
}

/*
 * Ids of an event and of its alarm.  A late excursion is an alarm of its own,
 * all of it in one event.
 */
static void
name_event(const Cause *cause, FmAlarm *alarm, const FmAlarmEvent *event,
		   FmTransition *transition)
{
	static const uint8 zero[UUID_LEN] = {0};
	FmEventSource source;

	if (cause->row == NULL)
	{
		fm_event_id_random(&transition->event_id);
		if (memcmp(alarm->alarm_id, zero, UUID_LEN) == 0)
		{
			pg_uuid_t	id;

			fm_event_id_random(&id);
			memcpy(alarm->alarm_id, id.data, UUID_LEN);
		}
		memcpy(transition->alarm_id.data, alarm->alarm_id, UUID_LEN);
		if (event->announced)
			memcpy(alarm->announced_id, transition->event_id.data, UUID_LEN);
		return;
	}
	source_of(cause, alarm, &source);
	fm_event_id(&transition->event_id, "event", &source);
	if (event->kind == FM_TRANSITION_LATE_EXCURSION)
	{
		fm_event_id(&transition->alarm_id, "alarm", &source);
		return;
	}
	if (event->begins || memcmp(alarm->alarm_id, zero, UUID_LEN) == 0)
	{
		pg_uuid_t	id;

		fm_event_id(&id, "alarm", &source);
		memcpy(alarm->alarm_id, id.data, UUID_LEN);
		memset(alarm->announced_id, 0, UUID_LEN);
	}
	memcpy(transition->alarm_id.data, alarm->alarm_id, UUID_LEN);
	if (event->announced)
		memcpy(alarm->announced_id, transition->event_id.data, UUID_LEN);
}

static void
add_transition(Cause *cause, FmAlarm *alarm, const FmAlarmEvent *event,
			   FmTransitionList *transitions)
{
	FmTransition *transition = fm_transitions_add(transitions);
	const FmLimits *limits = cause->limits;

	cause->ordinal++;
	if (cause->row != NULL)
		describe_reading(cause->row, transition);
	else
		describe_act(cause, transition);
	transition->stream_id = cause->fold->stream.stream_id;
	transition->sensor_id = cause->sensor_id;
	transition->sensor_version_id = cause->sensor_version_id;
	transition->deadband = limits->deadband;
	transition->limit_version = limits->version;
	name_event(cause, alarm, event, transition);
	transition->alarm_number = cause->number;
	transition->condition = alarm->condition;
	transition->ordinal = cause->ordinal;
	transition->event = *event;
	/* one that returned keeps the severity it had */
	transition->severity = severity_of(limits, event->level != FM_LEVEL_NORMAL ?
									   event->level : event->previous_level);
	transition->limit_value = alarm->condition != FM_CONDITION_LIMIT ? NAN :
		limit_reached(limits, event->level, event->side);
	transition->score = cause->score;
	transition->shelved_until = alarm->shelved_until;
}

/* ------------------------------------------------------------------------
 * Readings
 * ------------------------------------------------------------------------
 */

/* Which readings of the sensor this alarm must see. */
static void
set_hot(FmFoldSensor *state, const FmAlarm *alarm)
{
	if (alarm->condition != FM_CONDITION_LIMIT)
	{
		if (alarm->condition >= FM_CONDITION_ANOMALY)
		{
			int			bit = FM_HOT_DETECTOR(alarm->condition -
											  FM_CONDITION_ANOMALY);

			state->hot &= ~bit;
			if (fm_alarm_is_hot(alarm))
				state->hot |= bit;
		}
		return;
	}
	state->hot &= ~(FM_HOT_JUDGED | FM_HOT_LATE);
	if (fm_alarm_is_hot(alarm))
		state->hot |= FM_HOT_JUDGED;
	if (alarm->late_side != FM_SIDE_NONE)
		state->hot |= FM_HOT_LATE;
	state->retired = (alarm->blocks & FM_BLOCK_RETIRED) != 0;
}

void
fm_fold_set_hot(FmFold *fold, const FmAlarm *alarm)
{
	FmFoldStore *store = &fold->stores[FM_FOLD_SENSORS];
	int			before = store->n;
	int			number = fm_fold_number(fold, alarm->sensor_id, true);

	/* one of which only operators have spoken so far */
	if (number == before)
		fm_store_mark_dirty(store, number);
	set_hot(fm_fold_state(fold, number), alarm);
}

static Cause
cause_of_reading(const FmFold *fold, const FmRow *row,
				 const FmSensor *sensor)
{
	Cause		cause = {
		.fold = fold,
		.row = row,
		.sensor_id = sensor->sensor_id,
		.sensor_version_id = sensor->sensor_version_id,
		.limits = sensor->limits,
		.score = NAN
	};

	return cause;
}

void
fm_fold_judge(FmFold *fold, FmFoldSensor *state, FmRow *row,
			  const FmSensor *sensor, FmLevel level, FmSide side,
			  FmTransitionList *transitions)
{
	FmTarget	target = {FM_LEVEL_NORMAL, FM_SIDE_NONE, false};

	if ((level != FM_LEVEL_NORMAL || (state->hot & FM_HOT_JUDGED) != 0) &&
		!state->retired)
	{
		Cause		cause = cause_of_reading(fold, row, sensor);
		FmAlarmEvents events = {0};
		FmAlarm    *alarm = alarm_to_change(fold, sensor->sensor_id,
											FM_CONDITION_LIMIT,
											&cause.number);
		bool		within = fm_sensor_in_maintenance(sensor,
													  fold->stream.pipeline,
													  row->reading->ts);

		fm_alarm_maintain(alarm, within, row->reading->ts, &events);
		fm_alarm_judge(alarm, sensor->limits, row->reading->value,
					   row->reading->ts,
					   fm_fold_starts_anew(state, row->reading->ts),
					   &target, &events);
		fm_alarm_maintained(alarm);
		for (int i = 0; i < events.n; i++)
			add_transition(&cause, alarm, &events.items[i], transitions);
		set_hot(state, alarm);
	}
	row->level |= FM_TARGET_CODE(target.level, target.side);
}

void
fm_fold_judge_late(FmFold *fold, FmFoldSensor *state, FmRow *row,
				   const FmSensor *sensor, FmLevel level, FmSide side,
				   FmTransitionList *transitions)
{
	Cause		cause = cause_of_reading(fold, row, sensor);
	FmAlarmEvents events = {0};
	FmAlarm    *alarm;

	if ((level == FM_LEVEL_NORMAL && (state->hot & FM_HOT_LATE) == 0) ||
		state->retired)
		return;
	alarm = alarm_to_change(fold, sensor->sensor_id, FM_CONDITION_LIMIT,
							&cause.number);
	fm_alarm_judge_late(alarm, level, side, row->reading->ts, &events);
	for (int i = 0; i < events.n; i++)
		add_transition(&cause, alarm, &events.items[i], transitions);
	set_hot(state, alarm);
}

/*
 * By which a signal is judged.  Where detectors were switched off, what ends
 * now keeps the severity of those that were.
 */
static void
signal_limits(FmFold *fold, const FmSensor *sensor, FmDetectorKind kind,
			  FmLimits *limits)
{
	if (likely(sensor->detectors != NULL))
	{
		fm_detector_limits(sensor->detectors, kind, limits);
		return;
	}
	fm_fold_detector_limits(fold, sensor->sensor_id, kind, limits);
	limits->warning_low = limits->warning_high = NAN;
}

/*
 * Nothing is to be done where the signal is off, or raises no alarm, and the
 * alarm is not waiting for anything.
 */
void
fm_fold_judge_signal(FmFold *fold, FmFoldSensor *state, const FmRow *row,
					 const FmSensor *sensor, FmDetectorKind kind, int signal,
					 double score, TimestampTz at,
					 FmTransitionList *transitions)
{
	Cause		cause = cause_of_reading(fold, row, sensor);
	FmAlarmEvents events = {0};
	FmLimits	limits;
	FmTarget	target;
	FmAlarm    *alarm;

	signal_limits(fold, sensor, kind, &limits);
	if (state->retired || ((state->hot & FM_HOT_DETECTOR(kind)) == 0 &&
						   (signal == 0 || isnan(limits.warning_high))))
		return;
	cause.limits = &limits;
	cause.score = score;
	alarm = alarm_to_change(fold, sensor->sensor_id,
							FM_CONDITION_ANOMALY + kind, &cause.number);
	fm_alarm_maintain(alarm, fm_sensor_in_maintenance(sensor,
													  fold->stream.pipeline,
													  at), at, &events);
	fm_alarm_judge(alarm, &limits, signal, at, false, &target, &events);
	fm_alarm_maintained(alarm);
	for (int i = 0; i < events.n; i++)
		add_transition(&cause, alarm, &events.items[i], transitions);
	set_hot(state, alarm);
}

/*
 * The same for a reading that was judged once already.  What came of it is in
 * the alarm's record, if the record is later than the reading: then there is
 * nothing to do here, and the caller knows.
 */
void
fm_fold_follow(FmFold *fold, FmFoldSensor *state,
			   const FmFoldReading *reading)
{
	bool		late = (reading->flags & FM_FLAG_LATE) != 0;
	FmTarget	target = {
		FM_CODE_TARGET_LEVEL(reading->level),
		FM_CODE_TARGET_SIDE(reading->level),
		fm_fold_starts_anew(state, reading->ts)
	};
	FmLevel		level = late ? FM_CODE_LEVEL(reading->level) : target.level;
	int			number;
	FmAlarm    *alarm;

	if ((reading->flags & (FM_FLAG_FUTURE | FM_FLAG_LOW_QUALITY)) != 0)
		return;
	number = fm_fold_alarm_number(fold, state->sensor_id, FM_CONDITION_LIMIT,
								  level != FM_LEVEL_NORMAL);
	if (number < 0)
		return;
	alarm = fm_fold_alarm(fold, number);
	if (alarm->blocks & FM_BLOCK_RETIRED)
		return;
	if (late)
	{
		FmAlarmEvents events = {0};

		fm_alarm_judge_late(alarm, level, FM_CODE_SIDE(reading->level),
							reading->ts, &events);
	}
	else
		fm_alarm_follow(alarm, &target, reading->ts);
	fm_store_mark_dirty(&fold->stores[FM_FOLD_ALARMS], number);
}

/* ------------------------------------------------------------------------
 * Operators and the clock
 * ------------------------------------------------------------------------
 */

/* Why an act cannot be done to an alarm as it is; NULL: it can. */
static const char *
refusal(const FmAlarm *alarm, const FmAlarmAct *act, const FmLimits *limits)
{
	switch (act->kind)
	{
		case FM_TRANSITION_ACKNOWLEDGED:
			if (memcmp(alarm->announced_id, act->event_id.data,
					   UUID_LEN) != 0)
				return "the alarm was announced again since";
			return fm_alarm_refusal(alarm);
		case FM_TRANSITION_SHELVED:
			if (!limits->shelvable)
				return "its limits do not allow shelving";
			return alarm->shelving != FM_SHELVING_NONE ?
				"the alarm is shelved already" : NULL;
		case FM_TRANSITION_UNSHELVED:
			return alarm->shelving == FM_SHELVING_NONE ?
				"the alarm is not shelved" : NULL;
		case FM_TRANSITION_SUPPRESSED:
			return alarm->blocks & FM_BLOCK_SUPPRESSED ?
				"the alarm is suppressed already" : NULL;
		case FM_TRANSITION_UNSUPPRESSED:
			return alarm->blocks & FM_BLOCK_SUPPRESSED ? NULL :
				"the alarm is not suppressed";
		case FM_TRANSITION_OUT_OF_SERVICE:
			return alarm->blocks & FM_BLOCK_OUT_OF_SERVICE ?
				"the alarm is out of service already" : NULL;
		case FM_TRANSITION_IN_SERVICE:
			return alarm->blocks & FM_BLOCK_OUT_OF_SERVICE ? NULL :
				"the alarm is not out of service";
		case FM_TRANSITION_CLOSED:
			return alarm->blocks & FM_BLOCK_RETIRED ?
				"the sensor is retired already" : NULL;
		case FM_TRANSITION_REINSTATED:
			return alarm->blocks & FM_BLOCK_RETIRED ? NULL :
				"the sensor is not retired";
		case FM_TRANSITION_MOVED:
			return fm_alarm_can_move(alarm) ? NULL :
				"there is nothing of it";
		default:
			return NULL;
	}
}

/* Does it set or lift something that readings still to come will meet? */
static bool
is_lasting(FmTransitionKind kind)
{
	return kind != FM_TRANSITION_ACKNOWLEDGED &&
		kind != FM_TRANSITION_COMMENTED && kind != FM_TRANSITION_MOVED;
}

static void
do_act(FmAlarm *alarm, const FmAlarmAct *act, TimestampTz ts,
	   FmAlarmEvents *events)
{
	switch (act->kind)
	{
		case FM_TRANSITION_ACKNOWLEDGED:
			fm_alarm_acknowledge(alarm, events);
			break;
		case FM_TRANSITION_SHELVED:
			fm_alarm_shelve(alarm, act->shelving, act->until, events);
			break;
		case FM_TRANSITION_UNSHELVED:
			fm_alarm_unshelve(alarm, ts, events);
			break;
		case FM_TRANSITION_SUPPRESSED:
			fm_alarm_block(alarm, FM_BLOCK_SUPPRESSED, events);
			break;
		case FM_TRANSITION_UNSUPPRESSED:
			fm_alarm_unblock(alarm, FM_BLOCK_SUPPRESSED, ts, events);
			break;
		case FM_TRANSITION_OUT_OF_SERVICE:
			fm_alarm_block(alarm, FM_BLOCK_OUT_OF_SERVICE, events);
			break;
		case FM_TRANSITION_IN_SERVICE:
			fm_alarm_unblock(alarm, FM_BLOCK_OUT_OF_SERVICE, ts, events);
			break;
		case FM_TRANSITION_COMMENTED:
			fm_alarm_comment(alarm, events);
			break;
		case FM_TRANSITION_CLOSED:
			fm_alarm_retire(alarm, events);
			break;
		case FM_TRANSITION_REINSTATED:
			fm_alarm_reinstate(alarm, events);
			break;
		case FM_TRANSITION_MOVED:
			fm_alarm_move(alarm, events);
			break;
		default:
			elog(ERROR, "unexpected act %d", (int) act->kind);
	}
	fm_alarm_maintained(alarm);
}

const char *
fm_fold_act(FmFold *fold, int32 sensor_id, int condition,
			const FmAlarmAct *act, const FmLimits *limits,
			FmTransitionList *transitions)
{
	int			sensor = fm_fold_number(fold, sensor_id, false);
	FmFoldSensor *state = sensor < 0 ? NULL : fm_fold_state(fold, sensor);
	Cause		cause = {
		.fold = fold,
		.act = act,
		.state = state,
		.sensor_id = sensor_id,
		.sensor_version_id = state ? state->sensor_version_id : 0,
		.limits = limits,
		.score = NAN
	};
	FmAlarmEvents events = {0};
	FmLimits	of_signal;
	FmAlarm		none;
	FmAlarm    *alarm = &none;
	const char *why;
	int			number;

	if (state == NULL && !is_lasting(act->kind))
		return "the sensor does not come through this partition";
	if (act->kind == FM_TRANSITION_MOVED && act->until != 0 &&
		state->last_ts >= act->until)
		return "a reading of the sensor has come since";
	if (condition >= FM_CONDITION_ANOMALY)
	{
		fm_fold_detector_limits(fold, sensor_id,
								condition - FM_CONDITION_ANOMALY, &of_signal);
		cause.limits = limits = &of_signal;
	}
	/* what is refused does not make it */
	fm_alarm_init(&none, sensor_id, condition);
	number = fm_fold_alarm_number(fold, sensor_id, condition, false);
	if (number >= 0)
		alarm = fm_fold_alarm(fold, number);
	why = refusal(alarm, act, limits);
	if (why != NULL)
		return why;
	fm_store_reserve_undo(&fold->stores[FM_FOLD_SENSORS]);
	alarm = alarm_to_change(fold, sensor_id, condition, &cause.number);
	sensor = fm_fold_number(fold, sensor_id, true);
	state = fm_store_change(&fold->stores[FM_FOLD_SENSORS], sensor,
							cause.state == NULL, sizeof(FmFoldSensor));
	do_act(alarm, act, state->last_ts, &events);
	for (int i = 0; i < events.n; i++)
		add_transition(&cause, alarm, &events.items[i], transitions);
	set_hot(state, alarm);
	return NULL;
}

bool
fm_fold_next_alarm(const FmFold *fold, int *next, int32 *sensor_id,
				   int *condition)
{
	const FmAlarm *alarm;

	if (*next >= fold->stores[FM_FOLD_ALARMS].n)
		return false;
	alarm = fm_fold_alarm(fold, (*next)++);
	*sensor_id = alarm->sensor_id;
	*condition = alarm->condition;
	return true;
}

TimestampTz
fm_fold_next_unshelving(const FmFold *fold)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < fold->stores[FM_FOLD_ALARMS].n; i++)
	{
		const FmAlarm *alarm = fm_fold_alarm(fold, i);

		if (alarm->shelving != FM_SHELVING_NONE)
			next = Min(next, alarm->shelved_until);
	}
	return next;
}

bool
fm_fold_shelved_until(const FmFold *fold, TimestampTz now, int *next,
					  int32 *sensor_id, int *condition)
{
	for (; *next < fold->stores[FM_FOLD_ALARMS].n; (*next)++)
	{
		const FmAlarm *alarm = fm_fold_alarm(fold, *next);

		if (alarm->shelving == FM_SHELVING_NONE ||
			alarm->shelved_until > now)
			continue;
		*sensor_id = alarm->sensor_id;
		*condition = alarm->condition;
		(*next)++;
		return true;
	}
	return false;
}

bool
fm_fold_is_later(const FmFold *fold, int32 sensor_id, int64 n)
{
	return fm_fold_number((FmFold *) fold, sensor_id, false) >= n;
}

int32
fm_fold_sensor_version(const FmFold *fold, int32 sensor_id)
{
	int			number = fm_fold_number((FmFold *) fold, sensor_id, false);

	return number < 0 ? 0 : fm_fold_state(fold, number)->sensor_version_id;
}

/* ------------------------------------------------------------------------
 * Signals that are no readings
 * ------------------------------------------------------------------------
 */

void
fm_fold_signal(FmFold *fold, const FmSignal *signal, int condition,
			   const FmLimits *limits, FmTransitionList *transitions)
{
	FmAlarmAct	act = {.cause = FM_CAUSE_CLOCK, .comment = signal->comment};
	int			sensor = fm_fold_number(fold, signal->sensor_id, true);
	FmFoldSensor *state = fm_fold_state(fold, sensor);
	Cause		cause = {
		.fold = fold,
		.act = &act,
		.state = state,
		.sensor_id = signal->sensor_id,
		.sensor_version_id = signal->sensor_version_id,
		.limits = limits,
		.score = NAN
	};
	FmLimits	on = *limits;
	FmTarget	target = {FM_LEVEL_WARNING, FM_SIDE_HIGH, false};
	FmAlarmEvents events = {0};
	FmAlarm    *alarm = alarm_to_change(fold, signal->sensor_id, condition,
										&cause.number);

	/* nothing of this is undone, and nothing depends on it: it describes */
	state->last_ts = signal->at;
	state->last_value = NAN;
	state->sensor_version_id = signal->sensor_version_id;

	on.warning_high = 0.5;
	if (signal->kind == FM_SIGNAL_CLOSE)
		fm_alarm_end(alarm, FM_TRANSITION_CLOSED, &events);
	else
	{
		if (signal->kind == FM_SIGNAL_ON)
			fm_alarm_follow(alarm, &target, signal->since);
		fm_alarm_judge(alarm, &on, signal->kind == FM_SIGNAL_ON ? 1 : 0,
					   signal->at, false, &target, &events);
	}
	for (int i = 0; i < events.n; i++)
		add_transition(&cause, alarm, &events.items[i], transitions);
}

bool
fm_fold_alarm_is_active(const FmFold *fold, int32 sensor_id, int condition,
						TimestampTz *raised_at)
{
	int			number = fm_fold_alarm_number((FmFold *) fold, sensor_id,
											  condition, false);
	const FmAlarm *alarm;

	if (number < 0)
		return false;
	alarm = fm_fold_alarm(fold, number);
	*raised_at = alarm->raised_at;
	return alarm->level != FM_LEVEL_NORMAL;
}

void
fm_fold_set_sensor_version(FmFold *fold, int32 sensor_id,
						   int32 sensor_version_id, TimestampTz at)
{
	FmFoldSensor *state = fm_fold_state(fold, fm_fold_number(fold, sensor_id,
															 true));

	state->sensor_version_id = sensor_version_id;
	state->last_ts = at;
	state->last_value = NAN;
}
