"""How the rate changes with more rows, more sensors, more time partitions."""

import time

from .errors import BenchError
from .factorymon import PIPELINE, Factorymon
from .kafka import Topic
from .report import number
from .session import say

ROWS = (1000000, 10000000, 50000000)
WINDOW = 1000000        # rows whose rate is measured on top of these
SENSORS = (1000, 10000, 100000, 1000000)
PARTITIONS = (1, 10, 100, 1000)

RUN_HEADER = ["", "k rows/s", "k rows/s, last half",
              "CPU s/M rows, ingest", "WAL B/row", "memory MiB", "rows"]


class Hourly(Factorymon):
    """With a time partition an hour, for messages of a long time.  A thousand
    of them, and those that are made ahead, are more than the usual limit."""
    def __init__(self):
        super().__init__(1, settings=[
            ("factorymon.max_time_partitions", "2000")])

    options = (", partition_interval => interval '1 hour', "
               "accept_past => interval '90 days'")


def run_row(title, result):
    """The row of a table for one run."""
    return [title, number(result.rate / 1e3, 1),
            number(result.details["last_half"] / 1e3, 1),
            number(result.cpu_workers, 2), number(result.wal_per_row),
            number(result.memory / 2 ** 20), number(result.rows)]


def by_sensors(session, choice, report):
    """A topic for each number of sensors; the first reading of a sensor
    registers it, so the last half is nearer to what goes on for ever."""
    rows, figures = [], {}
    for count in SENSORS:
        sensors = max(10, int(count * choice.scale))
        topic = Topic(choice.messages, sensors, purpose="growth")
        session.fill(topic)
        result = session.attempt(Factorymon(1), topic)
        session.cluster.forget(topic)
        say(f"{sensors:,} sensors: {result.rate / 1e3:.1f} k rows/s")
        figures[sensors] = result.figures()
        rows.append(run_row(f"{sensors:,} sensors", result))
    report.add("More sensors, 1 worker", RUN_HEADER, rows, "sensors", figures)


def by_partitions(session, choice, report):
    """Messages in the order of their time, over so many hours."""
    rows, figures = [], {}
    for count in PARTITIONS:
        hours = max(1, int(count * choice.scale))
        topic = Topic(choice.messages, hours=hours, purpose="growth")
        session.fill(topic)
        result = session.attempt(Hourly(), topic)
        session.cluster.forget(topic)
        say(f"{hours:,} time partitions: {result.rate / 1e3:.1f} k rows/s")
        figures[hours] = result.figures()
        rows.append(run_row(f"{hours:,} time partitions", result))
    report.add("More time partitions, 1 worker", RUN_HEADER, rows,
               "partitions", figures)


class Growing(Factorymon):
    """One pipeline and one topic that grow step by step."""

    def __init__(self, sizes, window):
        super().__init__(1)
        self._sizes = sizes
        self._window = window
        self._sent = 0

    def _stored(self, run):
        return run.database.value(
            "SELECT messages FROM factorymon.message_counters")

    def _take_in(self, run, messages):
        """Let the pipeline store so many more; returns rows per second from
        the first commit that was seen to the last."""
        run.database.run("SELECT factorymon.pause(%s)", PIPELINE)
        run.cluster.produce(
            run.topic.name, "--rate", 0, "--count", messages, "--sensors",
            run.topic.sensors, "--seed", 1, "--compression", run.topic.codec)
        before = self._sent
        self._sent += messages
        run.database.run("SELECT factorymon.resume(%s)", PIPELINE)
        first = None
        moved = time.monotonic()
        stored = last = before
        while stored < self._sent:
            time.sleep(0.01)
            stored = self._stored(run)
            now = time.monotonic()
            if stored > before and first is None:
                first = (now, stored)
            if stored > last:
                last, moved = stored, now
            elif now - moved > 120:
                raise BenchError(f"stuck at {stored} messages")
        return (self._sent - first[1]) / (now - first[0])

    def measure(self, run):
        """{rows in the table: rate of the window on top}."""
        self.prepare(run)
        rates = {}
        for size in self._sizes:
            if size > self._sent:
                self._take_in(run, size - self._sent)
            rates[size] = self._take_in(run, self._window)
            say(f"table of {size:,} rows: {rates[size] / 1e3:.1f} k rows/s")
        self.check_exact(run, self._sent, *self.count(run))
        return rates


def by_rows(session, choice, report):
    """The same table again and again."""
    sizes = [int(size * choice.scale) for size in ROWS]
    window = int(WINDOW * choice.scale)
    topic = Topic(sizes[-1], codec="lz4", purpose="growth-rows")
    session.cluster.create(topic.name)
    rates = session.attempt(Growing(sizes, window), topic)
    session.cluster.delete(topic.name)
    rows = [[f"{size:,} rows in the table", number(rate / 1e3, 1),
             f"{rate / rates[sizes[0]]:.2f}"] for size, rate in rates.items()]
    report.add(f"More rows, 1 worker: the next {window:,} rows",
               ["", "k rows/s", f"vs {sizes[0]:,} rows"], rows, "rows", rates)


PARTS = {"sensors": by_sensors, "partitions": by_partitions, "rows": by_rows}


def section(session, choice, contenders, report):
    """All three, or those that were asked for."""
    for name in choice.growth:
        PARTS[name](session, choice, report)
