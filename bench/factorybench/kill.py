"""Rows lost and rows stored twice after kill -9 in the middle and a restart.

The client of a peer is killed with everything that it started, and started
again at once, with the same group and the same files: as a service manager
would.  Of factorymon a worker is killed, which PostgreSQL answers with a
restart of the whole server from its log.  Then as long is waited as a dead
member of a group may hold its partitions.
"""

import time

from .contender import Ingest, Result, Watch
from .errors import BenchError
from .kafka import Topic
from .report import number
from .session import say

MESSAGES = 500000       # enough to be in the middle of something
SHARE = 0.4             # killed when so much is stored
QUIET = 6               # seconds without a new row at the end

HEADER = ["killed with -9, restarted", "messages", "stored when killed",
          "lost", "twice", "s until complete"]


def until_share(contender, run):
    """Wait until a part of the rows is there; returns how many."""
    deadline = time.monotonic() + 180
    while True:
        rows = contender.count(run)[0]
        if rows >= SHARE * run.topic.messages:
            return rows
        if time.monotonic() > deadline or contender.finished(run):
            raise BenchError(f"{contender.name}: {rows} rows, too few to kill")
        time.sleep(0.05)


def until_quiet(contender, run):
    """Wait until the number of rows stays the same: repeated ones may follow
    the last missing one."""
    rows = None
    while rows != contender.count(run)[0]:
        rows = contender.count(run)[0]
        time.sleep(QUIET)


def measure(contender, run):
    """One run with a kill; returns a Result."""
    contender.prepare(run)
    watch = Watch(contender, run)
    try:
        watch.begin()
        contender.start(run)
        stored = until_share(contender, run)
        contender.kill(run)
        began = time.monotonic()
        contender.restart(run)
        complete = watch.until(run.topic.messages)
        seconds = time.monotonic() - began
        until_quiet(contender, run)
    finally:
        contender.stop(run)
    rows, messages = contender.count(run)
    result = Result(rows=rows, seconds=seconds, rate=0.0,
                    lost=run.topic.messages - messages,
                    duplicated=rows - messages,
                    details={"stored": stored, "complete": complete})
    contender.check(run, result)
    return result


def section(session, choice, contenders, report):
    """Each stream among the contenders, once."""
    rows, figures = [], {}
    for contender in contenders:
        if not isinstance(contender, Ingest) or not contender.streams:
            continue
        topic = Topic(min(choice.messages, MESSAGES,
                          contender.sample or MESSAGES))
        session.fill(topic)
        try:
            result = session.attempt(
                contender, topic, lambda run, one=contender: measure(one, run))
        except BenchError as error:
            if contender.family != "peer":
                raise
            say(f"{contender.name}: {error}")
            report.note(f"kill -9 of {contender.title}: {error}")
            continue
        say(f"{contender.name} killed: {result.lost:,} lost, "
            f"{result.duplicated:,} twice")
        figures[contender.name] = result.figures()
        rows.append([contender.title, number(topic.messages),
                     number(result.details["stored"]), number(result.lost),
                     number(result.duplicated),
                     number(result.seconds, 1)
                     if result.details["complete"] else "never"])
    report.add("kill -9 in the middle", HEADER, rows, "kill", figures)
