"""What clients of the dashboard do to ingest, and the dashboard to itself.

Messages at a steady rate on one broker, from produce to visible, without the
dashboard and beside it: a hundred streams of events, and two hundred requests
a second over all endpoints.
"""

import json
import sys
import time

from . import paths, process
from .errors import BenchError
from .factorymon import Factorymon
from .kafka import Topic
from .latency import FIRST_WARM_UP, SENSORS, WARM_UP, measure, one_broker
from .report import number
from .session import say

RATE = 10000
STREAMS = 100
REQUESTS = 200
SECONDS = 300

HEADER = ["produce to visible, ms", "messages/s", "p50", "p95", "p99", "max",
          "worker's CPU, % of a core", "messages"]


class Load:
    """The dashboard and its clients, while they run."""

    def __init__(self):
        self._run = self._dashboard = self._clients = None
        self._used = self._began = None
        self.memory = []        # private bytes, every look
        self.clients = None     # what they saw
        self.cpu = None         # of the dashboard, % of a core
        self.seconds = None

    def beside(self, run):
        """Which run it is for."""
        self._run = run

    def start(self):
        """Both programs; returns when the dashboard listens."""
        file = self._run.folder / "port"
        self._dashboard = process.Program(
            [paths.DASHBOARD, "--port", 0, "--port-file", file, "--database",
             self._run.database.dsn],
            self._run.log("dashboard"))
        deadline = time.monotonic() + 30
        while not (file.exists() and file.read_text()):
            if time.monotonic() > deadline:
                raise BenchError("the dashboard does not start")
            time.sleep(0.02)
        self._clients = process.Program(
            [sys.executable, "-m", "factorybench.clients",
             file.read_text().strip(), STREAMS, REQUESTS],
            self._run.log("clients"), cwd=paths.BENCH)
        self._began = time.monotonic()
        self._used = self._dashboard.cpu_seconds()

    def look(self):
        """Note the dashboard's memory."""
        self.memory.append(process.memory(self._dashboard.processes())[0])

    def stop(self):
        """End both, the clients first."""
        self.seconds = time.monotonic() - self._began
        self._clients.stop()
        self.cpu = 100 * (self._dashboard.cpu_seconds() - self._used) / \
            self.seconds
        self._dashboard.stop()
        lines = self._clients.log.read_text().splitlines()
        self.clients = json.loads(lines[-1]) if lines else None


def describe(load):
    """What the dashboard and its clients had to say, in words."""
    seen = load.clients
    minute = max(1, int(len(load.memory) * 60 / load.seconds))
    first, last = (max(part) / 2 ** 20 for part in
                   (load.memory[:minute], load.memory[-minute:]))
    return (f"{load.seconds:.0f} s, answers by status "
            f"{dict(seen['answers'])}, p50 {seen['p50']:.1f} ms, p99 "
            f"{seen['p99']:.1f} ms, at most {seen['max']:.0f} ms; "
            f"{STREAMS} streams, {seen['broken']} of them broke, events "
            f"{dict(seen['events'])}; the dashboard used {load.cpu:.1f} % of "
            f"a core, and at most {first:.1f} MiB in its first minute, "
            f"{last:.1f} MiB in its last")


def section(session, choice, contenders, report):
    """Without, then with."""
    rows, figures = [], {}
    seconds = max(10, int(SECONDS * choice.scale))
    with one_broker(session) as cluster:
        for words in ("without the dashboard", "beside its clients"):
            warm_up = WARM_UP if rows else FIRST_WARM_UP
            load = Load() if rows else None

            def attempt(run, warm_up=warm_up, load=load):
                cluster.create(run.topic.name)
                run.cluster = cluster
                if load:
                    load.beside(run)
                return measure(run, RATE, warm_up, load)

            topic = Topic(RATE * (seconds + warm_up), SENSORS,
                          purpose=f"dashboard-{len(rows)}")
            seen = session.attempt(Factorymon(1), topic, attempt)
            marks = [*seen["percentiles"].values(), seen["max"]]
            say(f"{words}: p50, p95, p99, max = " +
                ", ".join(f"{mark:.1f}" for mark in marks) + " ms")
            if load:
                say(describe(load))
                report.note(describe(load))
                seen["clients"] = load.clients
            figures[words] = seen
            rows.append([words, number(seen["rate"]),
                         *(number(mark, 1) for mark in marks),
                         number(seen["cpu"], 1), number(seen["messages"])])
    report.add(f"Clients of the dashboard: {REQUESTS} requests/s, {STREAMS} "
               "streams", HEADER, rows, "dashboard", figures)
