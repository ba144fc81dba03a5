"""From produce to visible.

The producer writes the time into each message when it makes it, on the same
clock as ours.  Meanwhile we read the pipeline's positions about every two
milliseconds: a message is visible when an answer shows a position beyond its
offset, because position and row commit together.  So the figures contain the
producer's own queue (linger.ms is 5, as in Kafka's clients since 4.0), Kafka
with its replicas, the ingest, the commit and its flush to disk, and are too
high by up to the time between two looks; never too low.

Three brokers share our cores, and take more than one of two at a thousand
messages a second already; so the same is measured with one broker, too, whose
cost is nearer to that of none on this machine.  In their first minute or so
the compilers of the virtual machines take a core, so there the warm-up is long.
"""

import time
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import replace

from . import process
from .errors import BenchError
from .factorymon import Factorymon, wait_for
from .kafka import Cluster, Topic
from .report import number
from .session import say

FIRST_WARM_UP = 90      # seconds at the beginning that do not count
WARM_UP = 10            # the same at other rates
LINGER = 5              # milliseconds
IDLE = 10               # seconds without messages, before
PAUSE = 0.001
SENSORS = 1000

HEADER = ["produce to visible, ms", "messages/s", "p50", "p95", "p99", "max",
          "worker's CPU, % of a core", "CPU before, idle", "messages"]

POSITIONS = """
SELECT s.kafka_partition, o.position
FROM _factorymon.partition_offset o JOIN _factorymon.stream s USING (stream_id)
"""


class Positions:
    """When which position was seen, by partition."""

    def __init__(self, database):
        self._database = database
        self._seen = {}
        database.run(f"PREPARE positions AS {POSITIONS}")

    def look(self):
        """Ask once; returns how many messages are stored."""
        rows = self._database.rows("EXECUTE positions")
        now = time.time()
        for partition, position in rows:
            positions, times = self._seen.setdefault(partition, ([], []))
            if not positions or position > positions[-1]:
                positions.append(position)
                times.append(now)
        return sum(position for _, position in rows)

    def visible_at(self, partition, offset):
        """When a message was first seen to be stored."""
        positions, times = self._seen[partition]
        return times[bisect_right(positions, offset)]


def percentile(ordered, share):
    """A percentile of an ordered list."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(run, rate, warm_up, load=None):
    """Milliseconds of each message in order, and the worker's CPU share.  A
    load is started before, looked at about every second, and stopped."""
    pipeline = Factorymon(1)
    pipeline.prepare(run)
    pipeline.start(run)
    wait_for(run, "SELECT count(*) = 3 AND bool_and(state = 'running') FROM "
             "factorymon.partition_status()", what="the partitions to run")
    idle = process.cpu_seconds(pipeline.processes(run))
    time.sleep(IDLE)
    idle = process.cpu_seconds(pipeline.processes(run)) - idle
    positions = Positions(run.database)
    if load:
        load.start()
    look_at = 0
    producer = process.Program(
        run.cluster.produce_command(
            run.topic.name, "--sensors", SENSORS, "--rate", rate,
            "--count", run.topic.messages, "--seed", 1, "--linger", LINGER),
        run.log("producer"))
    began = time.time()
    used = process.cpu_seconds(pipeline.processes(run))
    try:
        deadline = time.monotonic() + 3 * run.topic.messages / rate + 60
        while positions.look() < run.topic.messages:
            if time.monotonic() > deadline:
                raise BenchError("the pipeline does not keep up")
            if load and time.monotonic() > look_at:
                load.look()
                look_at = time.monotonic() + 1
            time.sleep(PAUSE)
    finally:
        producer.stop()
        if load:
            load.stop()
    ended = time.time()
    used = process.cpu_seconds(pipeline.processes(run)) - used
    rows = run.database.rows(
        "SELECT kafka_partition, kafka_offset, extract(epoch FROM ts)::float8 "
        "FROM factorymon.sensor_readings WHERE ts > to_timestamp(%s)",
        began + warm_up)
    delays = sorted(1e3 * (positions.visible_at(partition, offset) - made)
                    for partition, offset, made in rows)
    if not delays:
        raise BenchError("no message after the warm-up")
    return {"percentiles": {name: percentile(delays, share)
                            for name, share in (("p50", 0.5), ("p95", 0.95),
                                                ("p99", 0.99))},
            "max": delays[-1], "messages": len(delays),
            "rate": run.topic.messages / (ended - began),
            "cpu": 100 * used / (ended - began), "idle": 100 * idle / IDLE}


def with_cluster(run, cluster, rate, warm_up):
    """On this cluster, in a new topic."""
    cluster.create(run.topic.name)
    return measure(replace(run, cluster=cluster), rate, warm_up)


@contextmanager
def one_broker(session):
    """A cluster of one broker beside the one of the benchmark."""
    cluster = Cluster(session.folder / "one-broker", brokers=1)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def section(session, choice, contenders, report):
    """One worker at each rate, on either cluster."""
    rows, figures = [], {}
    with one_broker(session) as single:
        for cluster, words in ((single, "one broker"),
                               (session.cluster, "three brokers, two replicas")):
            for rate in choice.rates:
                warm_up = FIRST_WARM_UP if rate == choice.rates[0] else WARM_UP
                topic = Topic(rate * (choice.seconds + warm_up), SENSORS,
                              purpose=f"latency-{rate}")
                seen = session.attempt(
                    Factorymon(1), topic,
                    lambda run, on=cluster, at=rate, warm=warm_up:
                    with_cluster(run, on, at, warm))
                marks = [*seen["percentiles"].values(), seen["max"]]
                say(f"{words}, {rate:,}/s: p50, p95, p99, max = " +
                    ", ".join(f"{mark:.1f}" for mark in marks) + " ms")
                figures[f"{words}, {rate}"] = seen
                rows.append([f"{words}, asked for {rate:,}/s",
                             number(seen["rate"]),
                             *(number(mark, 1) for mark in marks),
                             number(seen["cpu"], 1), number(seen["idle"], 1),
                             number(seen["messages"])])
    report.add("Latency, 1 worker", HEADER, rows, "latency", figures)
