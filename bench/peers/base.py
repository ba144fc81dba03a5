"""What peers share: the table they fill, and clients as separate programs."""

import signal
import subprocess
import sys

from factorybench import paths, process
from factorybench.contender import Ingest
from factorybench.errors import BenchError, Unavailable

# What the canonical message holds, in flat columns, as people store it;
# partitioned by time and indexed as factorymon's readings are.
TABLE = """
CREATE TABLE reading (
    ts timestamptz NOT NULL,
    sensor_id text NOT NULL,
    sensor_type text,
    factory_section text,
    machine_id text,
    zone text,
    value double precision NOT NULL,
    unit text,
    alert_level text,
    quality double precision,
    reading_count integer,
    warning_threshold double precision,
    critical_threshold double precision
) PARTITION BY RANGE (ts)
"""

CLIENTS = paths.BENCH / "peers" / "clients"


def make_table(run, definition=TABLE, key="sensor_id, ts", time="ts"):
    """Make the table with partitions of a day around now."""
    run.database.run(definition)
    for day in range(-2, 3):
        run.database.run(
            f"CREATE TABLE reading_{day + 2} PARTITION OF reading FOR VALUES "
            f"FROM (current_date + {day}) TO (current_date + {day + 1})")
    run.database.run(f"CREATE INDEX ON reading ({key})")


def fetch(step, argv, **keywords):
    """Run a step of an installation; Unavailable with its output if it
    fails."""
    try:
        answer = subprocess.run(
            [str(word) for word in argv], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **keywords)
    except OSError as error:
        raise Unavailable(f"{step}: {error}") from error
    if answer.returncode != 0:
        words = " / ".join(answer.stdout.split("\n"))
        raise Unavailable(f"{step} failed: {words[:500]}")


class ClientPeer(Ingest):
    """A peer that is one client program beside PostgreSQL."""
    family = "peer"
    stop_signal = signal.SIGTERM

    def __init__(self):
        self._client = None

    def command(self, run):
        """The command line of the client."""
        raise NotImplementedError

    def environment(self, run):
        """Its environment; None: ours."""
        return None

    def prepare(self, run):
        make_table(run)

    def start(self, run):
        self._client = process.Program(
            self.command(run), run.log(self.name), cwd=run.folder,
            env=self.environment(run))

    def stop(self, run):
        if self._client:
            self._client.stop(self.stop_signal)
            self._client = None

    def kill(self, run):
        self._client.kill()

    def processes(self, run):
        return self._client.processes()

    def client_cpu(self, run):
        return self._client.cpu_seconds()

    def finished(self, run):
        code = self._client.exit_code()
        if code not in (None, 0):
            raise BenchError(f"{self.name} ended with code {code}")
        return code is not None


class PythonPeer(ClientPeer):
    """A client in Python, run by the benchmark's own interpreter."""
    script = None

    def arguments(self):
        """What the script wants to know beside the places."""
        return []

    def command(self, run):
        return [sys.executable, CLIENTS / self.script, run.cluster.bootstrap,
                run.topic.name, run.group, run.database.dsn,
                *self.arguments()]
