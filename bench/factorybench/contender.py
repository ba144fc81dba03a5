"""What takes part in the benchmark, and how a run of it is measured.

A contender measures itself in a new, empty database.  Those that bring
messages from Kafka into a table inherit from Ingest, which does the
measuring the same way for all:

* Each row's commit time is known to PostgreSQL (track_commit_timestamp), so
  the rate is computed afterwards from the table itself: rows after the first
  commit, divided by the time from the first commit to the last.  Starting a
  program, joining a consumer group and the first fetch are not in it; they
  are reported apart, as the time to the first commit.  A contender that works
  in one piece (streams = False) counts from its start instead.
* While it runs, only sizes of files and /proc are looked at, ten times a
  second.  Rows are counted when the table has stopped growing.
"""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from . import process
from .errors import BenchError

POLL = 0.1
QUIET = 0.5             # without growth for so long: count the rows
START_PATIENCE = 120
PATIENCE = 75           # longest wait for more; a dead member leaves after 45


@dataclass
class Result:
    """What one run brought to light; None is not known or makes no sense."""
    rows: int
    seconds: float
    rate: float
    first_commit: float = None          # seconds from start to first commit
    cpu: float = None                   # client and PostgreSQL, s/M rows
    cpu_workers: float = None           # ingest processes alone, s/M rows
    wal_per_row: float = None
    heap_per_row: float = None
    index_per_row: float = None
    memory: int = None                  # private bytes of the ingest processes
    memory_peak: int = None             # VmHWM, with shared pages touched
    lost: int = 0
    duplicated: int = 0
    details: dict = field(default_factory=dict)

    def figures(self):
        """As a dictionary, for JSON."""
        return asdict(self)


@dataclass
class Run:
    """What a contender is given for one run."""
    server: object
    database: object
    cluster: object
    topic: object
    group: str
    folder: object
    exports: object = None

    def log(self, name):
        """Path of a log of this run."""
        return self.folder / f"{name}.log"


class Contender:
    """Base of everything that can be measured."""
    name = None             # on the command line
    title = None            # in tables
    family = None           # "limit", "factorymon" or "peer"
    sample = None           # at most so many messages
    seconds_per_million = 15    # a guess, to say how long it will take
    uses_brokers_most = False   # all that others do with them, and more

    def install(self):
        """Fetch or build what it needs, once; raises Unavailable."""

    def measure(self, run):
        """One run; returns a Result."""
        raise NotImplementedError


class Ingest(Contender):
    """Brings all messages of a topic into a table."""
    streams = True
    table = "reading"
    key = "sensor_id, reading_count"    # names a message

    def prepare(self, run):
        """Make tables and whatever else is not measured."""
        raise NotImplementedError

    def start(self, run):
        """Begin to ingest; what has to be waited for is in finished()."""
        raise NotImplementedError

    def stop(self, run):
        """End whatever start() started; also after a failure."""

    def kill(self, run):
        """kill -9 in the middle of the work."""
        raise NotImplementedError

    def restart(self, run):
        """Start again after kill(), as an operator would."""
        self.start(run)

    def processes(self, run):
        """Ids of the processes that ingest, apart from PostgreSQL's backends
        that serve them."""
        raise NotImplementedError

    def client_cpu(self, run):
        """CPU seconds of those that are not children of PostgreSQL."""
        raise NotImplementedError

    def finished(self, run):
        """True if it has ended by itself; streams never do."""
        return False

    def size(self, run):
        """Bytes of the table's heap now."""
        return run.database.value(
            "SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint "
            "FROM pg_partition_tree(to_regclass(%s))", self.table)

    def count(self, run):
        """(rows, different messages) in the table."""
        if run.database.value("SELECT to_regclass(%s)", self.table) is None:
            return 0, 0
        run.database.run("SET work_mem = '1GB'")
        return run.database.rows(
            "SELECT coalesce(sum(n), 0)::bigint, count(*) FROM (SELECT "
            f"count(*) AS n FROM {self.table} GROUP BY {self.key}) AS t")[0]

    def commits(self, run):
        """(when, rows) of each transaction that wrote the table, in order."""
        return run.database.rows(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(x))::float8, "
            f"n FROM (SELECT xmin AS x, count(*) AS n FROM {self.table} "
            "GROUP BY xmin) AS t ORDER BY 1")

    def details(self, run):
        """More figures of a run, by name."""
        return {}

    def observe(self, run, seen):
        """Count what is worth counting, in a Counter, at each look that
        finds the table grown."""

    def check(self, run, result):
        """Raise Wrong if a run must not be; peers are only reported."""

    def measure(self, run):
        self.prepare(run)
        run.database.run("CHECKPOINT")
        watch = Watch(self, run)
        try:
            watch.begin()
            self.start(run)
            watch.until_complete()
        finally:
            self.stop(run)
        return watch.result()


def last_half(commits):
    """Rate of the commits that brought the last half of the rows, if they are
    several."""
    half = sum(rows for _, rows in commits) / 2
    seen = 0
    for number, (_, rows) in enumerate(commits):
        seen += rows
        if seen >= half:
            break
    seconds = commits[-1][0] - commits[number][0]
    rows = sum(rows for _, rows in commits[number + 1:])
    return rows / seconds if seconds > 0 else 0.0


class Watch:
    """Watches one run of an Ingest and makes the Result of it."""

    def __init__(self, contender, run):
        self.contender = contender
        self.run = run
        self.memory = self.memory_peak = 0
        self.began = None
        self.base = None        # (client CPU, server CPU) from which we count
        self.end = None
        self.workers_base = self.workers_end = None
        self.lsn = None
        self.observed = Counter()

    def _cpu(self):
        return (self.contender.client_cpu(self.run),
                process.cpu_seconds(self.run.server.processes()))

    def _set_base(self):
        self.base = self._cpu()
        self.workers_base = process.cpu_seconds(
            self.contender.processes(self.run))

    def begin(self):
        """Note where everything stands."""
        self.lsn = self.run.database.value("SELECT pg_current_wal_lsn()")
        self.base = (0.0, process.cpu_seconds(self.run.server.processes()))
        self.workers_base = 0.0
        self.began = time.time()

    def sample(self):
        """Look at what costs something; returns the table's size."""
        pids = self.contender.processes(self.run)
        private, peak = process.memory(pids)
        self.memory = max(self.memory, private)
        self.memory_peak = max(self.memory_peak, peak)
        used = process.cpu_seconds(pids)
        if used > 0:
            self.workers_end = used
        return self.contender.size(self.run)

    def until(self, enough):
        """Wait until the table has so many different messages; returns
        whether that happened."""
        size = 0
        grown = time.monotonic()
        counted = -1
        patience = START_PATIENCE
        while True:
            now = time.monotonic()
            last, size = size, self.sample()
            if size > 0 and last == 0:
                patience = PATIENCE
                if self.contender.streams:
                    self._set_base()
            if size != last:
                grown = now
                self.contender.observe(self.run, self.observed)
            ended = self.contender.finished(self.run)
            if size != counted and (ended or now - grown >= QUIET):
                counted = size
                self.end = self._cpu()
                if self.contender.count(self.run)[1] >= enough:
                    return True
            if ended or now - grown > patience:
                return False
            time.sleep(POLL)

    def until_complete(self):
        """Wait until everything is there, or nothing more comes."""
        self.until(self.run.topic.messages)

    def result(self):
        """What was seen, as a Result."""
        run, contender = self.run, self.contender
        lsn = run.database.value("SELECT pg_current_wal_lsn()")
        wal = run.database.value("SELECT pg_wal_lsn_diff(%s, %s)::float8",
                                 lsn, self.lsn)
        rows, messages = contender.count(run)
        if rows == 0:
            raise BenchError("no row arrived")
        commits = contender.commits(run)
        first, last = commits[0][0], commits[-1][0]
        if contender.streams and len(commits) > 1:
            counted, seconds = rows - commits[0][1], last - first
        else:
            counted, seconds = rows, last - self.began
        millions = rows / 1e6
        heap, index = run.database.rows(
            "SELECT sum(pg_table_size(relid))::float8, "
            "sum(pg_indexes_size(relid))::float8 "
            "FROM pg_partition_tree(to_regclass(%s))", contender.table)[0]
        client, server = (self.end[i] - self.base[i] for i in (0, 1))
        result = Result(
            rows=rows, seconds=seconds, rate=counted / seconds,
            first_commit=first - self.began,
            cpu=(client + server) / millions,
            cpu_workers=((self.workers_end or 0) - self.workers_base)
            / millions,
            wal_per_row=wal / rows, heap_per_row=heap / rows,
            index_per_row=index / rows, memory=self.memory,
            memory_peak=self.memory_peak,
            lost=run.topic.messages - messages, duplicated=rows - messages,
            details={"last_half": last_half(commits),
                     "observed": dict(self.observed),
                     **contender.details(run)})
        contender.check(run, result)
        return result
