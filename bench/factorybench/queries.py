"""What the examples of docs/queries.md take, and read, at 50 million readings.

1,000 sensors over 31 days, every twelfth with a reading in 5 seconds and the
others with one in 5 minutes, made by SQL straight in the tables; hours and days
are computed by the extension.  Kafka has no part in it.
"""

from . import asking, paths
from .errors import Wrong
from .kafka import Topic
from .factorymon import Factorymon
from .report import number
from .session import say

SENSORS = 1000
DAYS = 31
FAST, SLOW = "5 s", "5 min"
REPEAT = 5


def fill(database, sensors, days):
    """The plant of bench/queries.sql; returns how many readings it has."""
    database.run((paths.BENCH / "queries.sql").read_text(encoding="utf-8"))
    database.run("CALL question.plant(%s, %s)", sensors, days)
    for day in range(1, days + 1):
        database.run("CALL question.day(%s, %s, %s, %s)", day, days, FAST,
                     SLOW)
        if day % 5 == 0:
            say(f"{day} of {days} days are made")
    database.run("CALL question.done(%s)", days)
    database.run("SELECT _factorymon.merge_rollups('sensor-data')")
    database.run("VACUUM ANALYZE")
    return database.value("SELECT count(*) FROM _factorymon.reading")


def answers(run, choice, report):
    """Make the plant, and ask."""
    readings = fill(run.database, max(100, int(SENSORS * choice.scale)), DAYS)
    title = f"Questions: {number(readings)} readings, {DAYS} days"
    rows, failed = asking.ask_all(paths.QUERIES, run.database.dsn, REPEAT, say)
    report.add(title, asking.HEADER, rows, "questions", rows)
    if failed:
        raise Wrong(f"{failed} examples of docs/queries.md do not answer, or "
                    "read more than they say")


def section(session, choice, contenders, report):
    """Every question."""
    session.attempt(Factorymon(1), Topic(1, 1, purpose="queries"),
                    lambda run: answers(run, choice, report))
