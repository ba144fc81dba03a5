"""The limits: what PostgreSQL and librdkafka do when nothing else is to do.

The rows for COPY are those that factorymon stored from the same topic,
exported once; the table is made by the same definitions, with the same index.
Storing made rows without Kafka, in several ways, is in storing.py.
"""

import re
import subprocess
import time
from multiprocessing.pool import ThreadPool

from . import paths, process
from .contender import Contender, Result
from .errors import BenchError
from .factorymon import Factorymon

COLUMNS = ("ts, kafka_offset, value, sensor_id, stream_id, sensor_version_id, "
           "reading_count, quality, pipeline_id, reading_index, level, flags, "
           "extra")


class Export:
    """The rows of a topic as files, in the order in which they are stored."""

    def __init__(self, folder):
        self.folder = folder
        self._done = {}

    def file(self, run, form):
        """Path of the file, text or binary, for the run's topic."""
        if run.topic not in self._done:
            self._make(run)
        return self._done[run.topic][form]

    def _make(self, run):
        """Let one worker ingest the topic in a database of its own."""
        files = {form: self.folder / f"{run.topic.name}.{form}"
                 for form in ("text", "binary")}
        with run.server.database("export") as database:
            inner = run.__class__(
                run.server, database, run.cluster, run.topic,
                f"{run.group}-export", run.folder)
            Factorymon(1).measure(inner)
            for form, path in files.items():
                database.run(f"COPY (SELECT {COLUMNS} FROM "
                             f"_factorymon.reading_1) TO '{path}' "
                             f"(FORMAT {form})")
        self._done[run.topic] = files


class Copy(Contender):
    """Server-side COPY of a file into a table like factorymon's."""
    family = "limit"
    seconds_per_million = 4

    def __init__(self, form):
        self.form = form
        self.name = f"copy-{form}"
        self.title = f"limit: COPY {form} from a file"

    def measure(self, run):
        path = run.exports.file(run, self.form)
        database = run.database
        database.run("CREATE EXTENSION factorymon")
        make_target(database)
        database.run("CREATE INDEX ON target (sensor_id, ts)")
        return measure_storing(
            run, "target", lambda: database.run(
                f"COPY target FROM '{path}' (FORMAT {self.form})"))


def make_target(database):
    """A table like factorymon's, without its index, for days around now."""
    database.run("CREATE TABLE target (LIKE _factorymon.reading "
                 "INCLUDING ALL) PARTITION BY RANGE (ts)")
    for day in range(-2, 3):
        database.run(
            f"CREATE TABLE target_{day + 2} PARTITION OF target FOR "
            f"VALUES FROM (current_date + {day}) TO "
            f"(current_date + {day + 1})")


def measure_storing(run, table, work):
    """The Result of work(), which stores as many rows as the run has
    messages into an empty table."""
    database = run.database
    database.run("CHECKPOINT")
    lsn = database.value("SELECT pg_current_wal_lsn()")
    used = process.cpu_seconds(run.server.processes())
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    used = process.cpu_seconds(run.server.processes()) - used
    rows = run.topic.messages
    wal, heap, index = database.rows(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)::float8, "
        "sum(pg_table_size(relid))::float8, "
        "sum(pg_indexes_size(relid))::float8 "
        "FROM pg_partition_tree(%s)", lsn, table)[0]
    found = database.value(f"SELECT count(*) FROM {table}")
    if found != rows:
        raise BenchError(f"stored {found} rows of {rows}")
    return Result(rows=rows, seconds=seconds, rate=rows / seconds,
                  cpu=used / rows * 1e6, wal_per_row=wal / rows,
                  heap_per_row=heap / rows, index_per_row=index / rows)


def output_of(argv):
    """Standard output of a program that must succeed."""
    answer = subprocess.run([str(word) for word in argv], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)
    if answer.returncode != 0:
        raise BenchError(f"{argv[0]}: {answer.stdout}")
    return answer.stdout


class Consume(Contender):
    """The consumer of factorymon without PostgreSQL and without decoding."""
    name = "consume"
    title = "limit: consuming alone"
    family = "limit"
    seconds_per_million = 6

    PATTERN = re.compile(r"([\d.]+) k msg/s.*polling thread ([\d.]+) us, "
                         r"other threads ([\d.]+) us")

    def measure(self, run):
        # A round begins while fetches at the end of the log, where the one
        # before has left them, still wait: not for the usual second here.
        text = output_of([paths.BENCH_CONSUMER, run.cluster.bootstrap,
                          run.topic.name, f"messages={run.topic.messages}",
                          "queued=32", "fetch.wait.max.ms=10"])
        rounds = self.PATTERN.findall(text)
        if not rounds:
            raise BenchError(f"bench_consumer said: {text}")
        # The first round also waits for the connections.
        rate, polling, others = map(float, rounds[-1])
        return Result(rows=run.topic.messages,
                      seconds=run.topic.messages / rate / 1e3,
                      rate=rate * 1e3, cpu=polling + others)


class Decode(Contender):
    """The decoder alone: pure computing, in one process or in several at
    once, which tells what the machine's cores are worth together."""
    family = "limit"
    seconds_per_million = 1

    def __init__(self, processes=1):
        self.processes = processes
        self.name = "decode" if processes == 1 else f"decode-{processes}"
        self.title = "limit: decoding alone" if processes == 1 else \
            f"limit: decoding alone, {processes} processes"

    def measure(self, run):
        with ThreadPool(self.processes) as pool:
            texts = pool.map(output_of,
                             [[paths.BENCH_READING]] * self.processes)
        costs = []
        for text in texts:
            found = re.search(r"^canonical +([\d.]+) us", text, re.MULTILINE)
            if not found:
                raise BenchError(f"bench_reading said: {text}")
            costs.append(float(found.group(1)))
        rate = sum(1e6 / cost for cost in costs)
        return Result(rows=run.topic.messages,
                      seconds=run.topic.messages / rate,
                      rate=rate, cpu=sum(costs) / len(costs))
