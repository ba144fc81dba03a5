"""factorymon itself, with a number of workers."""

import os
import signal
import time

from . import process
from .contender import Ingest
from .errors import BenchError, Wrong

PIPELINE = "bench"


class Factorymon(Ingest):
    """The pipeline is created paused, with its workers up, then resumed: that
    is the start.  Each run must be exact, or the benchmark fails."""
    family = "factorymon"
    table = "_factorymon.reading_1"
    key = "stream_id, kafka_offset, reading_index"
    seconds_per_million = 8

    def __init__(self, workers, variant="", words="", settings=()):
        """A variant has a name, the same in words, and [(setting, value)]."""
        self.workers = workers
        self.name = f"factorymon-{workers}"
        self.title = "factorymon, 1 worker" if workers == 1 else \
            f"factorymon, {workers} workers"
        if variant:
            self.name += f"-{variant}"
            self.title += f", {words}"
        self.settings = settings
        self._pids = []
        self._cores = []    # cores_now() while all partitions had messages

    # Options of create_pipeline() beside those that are always given.
    options = ""

    def prepare(self, run):
        database = run.database
        self.change_settings(database)
        database.run("CREATE EXTENSION factorymon")
        database.run("CREATE SERVER bench FOREIGN DATA WRAPPER kafka "
                     'OPTIONS ("bootstrap.servers" '
                     f"'{run.cluster.bootstrap}')")
        database.run(
            "SELECT factorymon.create_pipeline(%s, server => 'bench', "
            "name => %s, consumer_group => %s, workers => %s, "
            f"paused => true{self.options})",
            run.topic.name, PIPELINE, run.group, self.workers)
        wait_for(run, "SELECT count(*) = %s FROM factorymon.worker_status() "
                 "WHERE state = 'paused'", self.workers,
                 what="the workers to be up")

    def change_settings(self, database):
        """The whole server's, since workers take no other: so each contender
        sets anew all that any of them changes."""
        database.run("ALTER SYSTEM RESET ALL")
        for name, value in self.settings:
            database.run(f"ALTER SYSTEM SET {name} = {value}")
        database.run("SELECT pg_reload_conf()")

    def start(self, run):
        self._cores = []
        self._pids = [pid for pid, in run.database.rows(
            "SELECT pid FROM factorymon.worker_status()")]
        run.database.run("SELECT factorymon.resume(%s)", PIPELINE)

    def stop(self, run):
        """Nothing: the pipeline goes with its database."""

    def kill(self, run):
        """kill -9 of a worker: PostgreSQL restarts as after a crash."""
        os.kill(self._pids[0], signal.SIGKILL)
        time.sleep(1)
        run.server.wait_ready()
        run.database.reconnect()

    def restart(self, run):
        """It comes back by itself."""

    def processes(self, run):
        return self._pids

    def client_cpu(self, run):
        """Workers are children of PostgreSQL, and counted there."""
        return 0.0

    def observe(self, run, seen):
        """What the workers wait for while all partitions have messages left,
        and what the cores do meanwhile."""
        events = run.database.rows(
            "SELECT coalesce(wait_event_type || ':' || wait_event, 'running') "
            "FROM pg_stat_activity WHERE pid = ANY (%s) AND EXISTS (SELECT "
            "FROM factorymon.partition_status() AS p "
            "WHERE p.pid = pg_stat_activity.pid) AND (SELECT "
            "bool_and(lag_messages > 0) FROM factorymon.partition_status())",
            self._pids)
        seen.update(event for event, in events)
        if events:
            self._cores.append(cores_now(run))

    def cores(self):
        """Shares of all cores while every partition had messages left, by
        who used them, or None if that was too short to be seen."""
        if len(self._cores) < 2:
            return None
        used = {what: self._cores[-1][what] - self._cores[0][what]
                for what in self._cores[0]}
        total = used.pop("all")
        if total <= 0:
            return None
        used["others"] = total - sum(used.values())
        return {what: seconds / total for what, seconds in used.items()}

    def details(self, run):
        """The rate while every partition had messages left: two workers share
        three partitions, and one of them is done sooner."""
        commits = run.database.rows(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(x))::float8, "
            "stream_id, n FROM (SELECT xmin AS x, stream_id, count(*) AS n "
            f"FROM {self.table} GROUP BY xmin, stream_id) AS t ORDER BY 1")
        last = {stream: when for when, stream, _ in commits}
        begin, end = commits[0][0], min(last.values())
        rows = sum(n for when, _, n in commits if begin < when <= end)
        return {"together": rows / (end - begin) if end > begin else None,
                "cores": self.cores()}

    def check(self, run, result):
        self.check_exact(run, run.topic.messages, result.rows,
                         result.rows - result.duplicated)

    def check_exact(self, run, delivered, rows, messages):
        """Everything accounted for, nothing twice, nothing rejected."""
        problems = [str(row) for row in run.database.rows(
            "SELECT problem, kafka_partition, from_offset, to_offset, detail "
            "FROM factorymon.verify_delivery(%s)", PIPELINE)]
        if not rows == messages == delivered or problems:
            raise Wrong(
                f"{self.name}: {delivered} messages delivered, {rows} rows of "
                f"{messages} messages; verify_delivery(): "
                f"{problems or 'no problem'}")


def cores_now(run):
    """CPU seconds so far: of PostgreSQL, of the brokers, of the machine."""
    return {"PostgreSQL": process.cpu_seconds(run.server.processes()),
            "brokers": process.cpu_seconds(run.cluster.processes()),
            **process.machine_seconds()}


def wait_for(run, query, *arguments, what, timeout=60):
    """Wait until a query answers true."""
    deadline = time.monotonic() + timeout
    while not run.database.value(query, *arguments):
        if time.monotonic() > deadline:
            raise BenchError(f"waited {timeout} s for {what}")
        time.sleep(0.05)
