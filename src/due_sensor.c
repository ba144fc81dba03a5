/*-------------------------------------------------------------------------
 *
 * due_sensor.c
 *	  What messages say of sensors, remembered.
 *
 * The events of a minute come from the same sensors as those of the minute
 * before.  A sensor keeps its name for good, and what a version of it says is
 * never changed: it gets another version.  They go when the pipeline goes, and
 * with it this process.  So what was once read from committed rows holds; what
 * was not found is asked for again.
 *
 * When it is full all of it is forgotten, and read anew as it is needed.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/memutils.h"

#include "due.h"
#include "pipeline_internal.h"

/* Versions of sensors that are remembered; more only if a single call needs
 * them.  About 300 bytes each. */
#define MAX_KNOWN 16384

typedef struct SensorKey
{
	int32		sensor_id;
	int32		version_id;		/* 0: none */
} SensorKey;

/* In the order in which the query names them. */
typedef enum SensorText
{
	SENSOR_NAME,
	SENSOR_TYPE,
	SENSOR_FACTORY_SECTION,
	SENSOR_MACHINE_ID,
	SENSOR_ZONE,
	SENSOR_UNIT,
	SENSOR_TEXTS
} SensorText;

typedef struct KnownSensor
{
	SensorKey	key;
	bool		complete;		/* nothing can be added to it */
	const char *texts[SENSOR_TEXTS];	/* NULL: not known */
	char		status;			/* of simplehash */
} KnownSensor;

#define SH_PREFIX sensors
#define SH_ELEMENT_TYPE KnownSensor
#define SH_KEY_TYPE SensorKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) \
	hash_combine(murmurhash32((uint32) (key).sensor_id), \
				 murmurhash32((uint32) (key).version_id))
#define SH_EQUAL(tb, a, b) \
	((a).sensor_id == (b).sensor_id && (a).version_id == (b).version_id)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

/* All of it, and the context that it is in. */
static sensors_hash *known = NULL;
static MemoryContext known_context = NULL;

/* Room for n more. */
static void
make_room(int n)
{
	if (known != NULL && known->members + n > MAX_KNOWN)
	{
		known = NULL;
		MemoryContextReset(known_context);
	}
	if (known_context == NULL)
		known_context = AllocSetContextCreate(TopMemoryContext,
											  "factorymon published sensors",
											  ALLOCSET_DEFAULT_SIZES);
	if (known == NULL)
		known = sensors_create(known_context, 1024, NULL);
}

static SensorKey
key_of(const FmDue *due)
{
	SensorKey	key = {due->sensor_id, due->sensor_version_id};

	return key;
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

#define READ_SENSORS \
	"SELECT u.sensor_id, u.version_id, s.name, v.sensor_type," \
	" v.factory_section, v.machine_id, v.zone, v.unit" \
	" FROM unnest($1, $2) AS u(sensor_id, version_id)" \
	" LEFT JOIN _factorymon.sensor s ON s.sensor_id = u.sensor_id" \
	" LEFT JOIN _factorymon.sensor_version v" \
	" ON v.sensor_version_id = u.version_id"

/* What is not all there is not to be remembered: it stays where we are. */
static void
read_row(uint64 row)
{
	SensorKey	key = {fm_spi_int4(row, 1), fm_spi_int4(row, 2)};
	KnownSensor *sensor = sensors_lookup(known, key);

	for (int i = 0; i < SENSOR_TEXTS; i++)
		sensor->texts[i] = fm_spi_text(row, 3 + i);
	sensor->complete = sensor->texts[SENSOR_NAME] != NULL &&
		(key.version_id == 0 || sensor->texts[SENSOR_TYPE] != NULL);
	for (int i = 0; i < SENSOR_TEXTS && sensor->complete; i++)
	{
		if (sensor->texts[i] != NULL)
			sensor->texts[i] = MemoryContextStrdup(known_context,
												   sensor->texts[i]);
	}
}

static void
read_sensors(const SensorKey *keys, int n)
{
	static void *plan = NULL;
	static const FmArrayColumn column = {"id", INT4OID, INT4ARRAYOID};
	Datum	   *sensors = palloc(n * sizeof(Datum));
	Datum	   *versions = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc0(n * sizeof(bool));
	FmArgs		args = {0};
	uint64		rows;

	for (int i = 0; i < n; i++)
	{
		sensors[i] = Int32GetDatum(keys[i].sensor_id);
		versions[i] = Int32GetDatum(keys[i].version_id);
	}
	fm_args_add(&args, INT4ARRAYOID,
				fm_column_array(&column, sensors, nulls, n), false);
	fm_args_add(&args, INT4ARRAYOID,
				fm_column_array(&column, versions, nulls, n), false);
	rows = fm_args_run_kept(&args, &plan, READ_SENSORS, SPI_OK_SELECT);
	for (uint64 i = 0; i < rows; i++)
		read_row(i);
}

/* An entry for each that has none yet, and what it says; how many.  (An error
 * on the way ends the process.) */
static int
add_missing(FmDue *const *items, int n, SensorKey *missing)
{
	int			nmissing = 0;

	for (int i = 0; i < n; i++)
	{
		bool		found;
		KnownSensor *sensor = sensors_insert(known, key_of(items[i]), &found);

		if (found)
			continue;
		memset(sensor->texts, 0, sizeof(sensor->texts));
		sensor->complete = false;
		missing[nmissing++] = sensor->key;
	}
	if (nmissing > 0)
		read_sensors(missing, nmissing);
	return nmissing;
}

/* Ask again the next time for what was not there. */
static void
drop_incomplete(const SensorKey *added, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (!sensors_lookup(known, added[i])->complete)
			(void) sensors_delete(known, added[i]);
	}
}

/* ----------------------------------------------------------------------
 * Telling
 * ------------------------------------------------------------------- */

static void
describe(const KnownSensor *sensor, FmAlertMessage *message)
{
	message->sensor_id = sensor->texts[SENSOR_NAME];
	message->sensor_type = sensor->texts[SENSOR_TYPE];
	message->factory_section = sensor->texts[SENSOR_FACTORY_SECTION];
	message->machine_id = sensor->texts[SENSOR_MACHINE_ID];
	message->zone = sensor->texts[SENSOR_ZONE];
	message->unit = sensor->texts[SENSOR_UNIT];
}

void
fm_due_describe_sensors(FmDue *const *items, int n)
{
	SensorKey  *added = palloc(n * sizeof(SensorKey));
	int			nadded;

	make_room(n);
	nadded = add_missing(items, n, added);
	for (int i = 0; i < n; i++)
		describe(sensors_lookup(known, key_of(items[i])),
				 &items[i]->message);
	drop_incomplete(added, nadded);
	pfree(added);
}
