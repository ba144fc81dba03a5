"""What rollups cost ingest, and how fast they answer.

Ingest with and without, in turns: readings of the present moment (hundreds of
readings in each minute of a sensor), and one reading in ten seconds of each
sensor (six).  Then a year of hours of 1,000 sensors, made by SQL straight in
the tables, and what is asked of it.
"""

import statistics
import time

from .factorymon import PIPELINE, Factorymon
from .kafka import Topic
from .report import number
from .session import say

HOURS = 3               # of a million messages of 1,000 sensors
SENSORS = 1000
DAYS = 365
REPEAT = 11

HEADER = ["a year of hours of 1,000 sensors", "rows", "median, ms",
          "most, ms", "median with jit, ms"]

QUERIES = (
    ("one sensor over a year, by day",
     "SELECT bucket, avg, min, max FROM factorymon.readings_1d "
     "WHERE sensor_id = 'sensor-0042' ORDER BY bucket"),
    ("all sensors of a zone last week, by hour",
     "SELECT bucket, sensor_id, avg FROM factorymon.readings_1h "
     "WHERE zone = 'zone-07' "
     "AND bucket >= date_trunc('day', now()) - interval '7 days' "
     "AND bucket < date_trunc('day', now())"),
    ("that zone last week, by hour",
     "SELECT bucket, sensor_type, avg, max FROM factorymon.zone_1h "
     "WHERE zone = 'zone-07' "
     "AND bucket >= date_trunc('day', now()) - interval '7 days' "
     "AND bucket < date_trunc('day', now())"),
    ("the ten highest of yesterday",
     "SELECT sensor_id, max FROM factorymon.readings_1d "
     "WHERE bucket >= date_trunc('day', now()) - interval '1 day' "
     "AND bucket < date_trunc('day', now()) ORDER BY max DESC LIMIT 10"),
)

# Sensors, ten to a machine and twenty to a zone, with hours and days.
SENSORS_SQL = """
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
SELECT i, 1, 'sensor-' || to_char(i, 'FM0000') FROM generate_series(1, %s) i;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT i, i, 'temperature', 'production', 'machine-' || i / 10,
	'zone-' || to_char(i / 20, 'FM00'), 'C' FROM generate_series(1, %s) i"""
PARTITIONS_SQL = """
SELECT _factorymon.ensure_partition(%s, %s, d)
FROM generate_series(now() - %s * interval '1 day', now(), '1 day') d"""
BUCKETS_SQL = """
INSERT INTO _factorymon.{table} (bucket, first_ts, last_ts, first_offset,
	last_offset, mean, m2, min, max, first, last, sensor_id,
	sensor_version_id, n, n_bad, n_warning, n_critical, first_stream,
	last_stream, pipeline_id, first_index, last_index)
SELECT b, b, b + {step} - interval '1 second', 1, 2, v, 5, v - 5, v + 5, v, v,
	s, s, {n}, 0, 0, 0, 1, 1, 1, 0, 0
FROM generate_series(date_trunc('day', now()) - %s * interval '1 day',
		(SELECT {until} FROM _factorymon.rollup_progress) - {step}, {step}) b,
	generate_series(1, %s) s,
	LATERAL (SELECT 50 + s %% 97 + 10 * sin(extract(epoch FROM b) / 40000)
		AS v) x"""


class Unsummed(Factorymon):
    """Keeps no rollups."""
    options = ", rollups => false"

    def __init__(self):
        super().__init__(1, "no-rollups", "no rollups")


def fill(database, pipeline, sensors, days):
    """A year of hours and days of a pipeline that never ran."""
    database.run(SENSORS_SQL, sensors, sensors)
    for table, step, readings, until in (
            ("rollup_1h", "interval '1 hour'", 3600, "hours_until"),
            ("rollup_1d", "interval '1 day'", 86400, "days_until")):
        database.rows(PARTITIONS_SQL, pipeline, table, days)
        database.run(BUCKETS_SQL.format(table=table, step=step, n=readings,
                                        until=until), days, sensors)
        database.run(f"VACUUM ANALYZE _factorymon.{table}_1")
    database.run("ANALYZE _factorymon.sensor, _factorymon.sensor_version")


def ask(database, query):
    """Rows of the answer, and milliseconds of each time it was asked."""
    marks = []
    for _ in range(REPEAT):
        began = time.perf_counter()
        answer = database.rows(query)
        marks.append(1000 * (time.perf_counter() - began))
    return len(answer), sorted(marks[1:])


def answers(run, choice, report):
    """Make the year, and ask."""
    run.database.run("CREATE EXTENSION factorymon")
    run.database.run("CREATE SERVER bench FOREIGN DATA WRAPPER kafka OPTIONS "
                     f"(\"bootstrap.servers\" '{run.cluster.bootstrap}')")
    run.database.run("SELECT factorymon.create_pipeline(%s, server => 'bench',"
                     " paused => true)", PIPELINE)
    sensors = max(40, int(SENSORS * choice.scale))
    fill(run.database, PIPELINE, sensors, DAYS)
    rows, figures = [], {}
    for words, query in QUERIES:
        run.database.run("SET jit = off")
        found, marks = ask(run.database, query)
        run.database.run("RESET jit")
        _, compiled = ask(run.database, query)
        middle = marks[len(marks) // 2]
        compiled_middle = compiled[len(compiled) // 2]
        say(f"{words}: {found} rows, {middle:.1f} ms, with jit "
            f"{compiled_middle:.1f} ms")
        rows.append([words, number(found), number(middle, 1),
                     number(marks[-1], 1), number(compiled_middle, 1)])
        figures[words] = {"rows": found, "ms": marks, "jit": compiled}
    report.add("Rollups: queries", HEADER, rows, "rollup queries", figures)


def compare(topic, pair, results, report):
    """With beside without: the rates of neighbouring runs, and the CPU time
    of a row, which a busy machine changes less than the rate."""
    ours, theirs = (results[contender] for contender in pair)
    rates = [a.rate / b.rate for a, b in zip(ours, theirs)]
    cpu = [a.cpu / b.cpu for a, b in zip(ours, theirs)]
    words = (f"{topic.title}, {'six' if topic.hours else 'hundreds of'} "
             "readings in a minute of a sensor: with rollups "
             f"{statistics.median(rates):.2f} of the rate without "
             f"({min(rates):.2f} to {max(rates):.2f}), "
             f"{statistics.median(cpu):.2f} times the CPU time of a row "
             f"({min(cpu):.2f} to {max(cpu):.2f})")
    say(words)
    report.note(words)


def section(session, choice, contenders, report):
    """What they cost, and what they are worth."""
    pair = [Factorymon(1), Unsummed()]
    topics = [Topic(choice.messages, SENSORS, "lz4"),
              Topic(choice.messages, SENSORS, "lz4", hours=HOURS)]
    for topic in topics:
        results = session.take_turns(pair, topic, choice.repeat)
        report.add_throughput(topic, results)
        compare(topic, pair, results, report)
    if choice.quick:
        return
    session.attempt(pair[0], Topic(1, 1, purpose="rollups"),
                    lambda run: answers(run, choice, report))
