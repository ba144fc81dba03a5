"""Ingest while yesterday's readings of another pipeline become history files.

Both contenders have these readings in their database; one has them archived
as soon as ingest begins.  There are so many that the archiver is at work until
the last message is stored, which is checked.
"""

from .errors import BenchError
from .factorymon import Factorymon, wait_for
from .kafka import Topic
from .report import number

FACTOR = 3              # readings of yesterday, for each message
SENSORS = 1000

HEADER = ["the archiver", "readings in files when ingest ended",
          "of", "s until all were", "MB"]

HISTORY_SQL = (
    "INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name) "
    "SELECT 1000000 + i, 2, 'old-' || i FROM generate_series(1, {sensors}) i",
    "INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id, "
    "sensor_type, factory_section, machine_id, zone, unit) SELECT "
    "1000000 + i, 1000000 + i, 'temperature', 'production', 'machine-1', "
    "'zone-1', 'C' FROM generate_series(1, {sensors}) i",
    "INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, "
    "kafka_partition, incarnation) VALUES (1000000, 2, 'history', 0, 1)",
    "SELECT _factorymon.ensure_partition('history', 'reading', "
    "date_trunc('day', now()) - interval '1 minute')",
    "INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, "
    "stream_id, sensor_version_id, pipeline_id, reading_index, level, flags) "
    "SELECT date_trunc('day', now()) - interval '1 day' + i * interval '1 day'"
    " / {rows}, i, 20 + i % 977 * 0.013, 1000001 + i % {sensors}, "
    "1000000, 1000001 + i % {sensors}, 2, 0, 0, 0 "
    "FROM generate_series(0, {rows} - 1) i",
    "VACUUM ANALYZE _factorymon.reading_2",
)


class Beside(Factorymon):
    """With a day of another pipeline in its database."""

    def __init__(self, archives):
        self.archives = archives
        super().__init__(1, *(("archive", "archive running beside")
                              if archives else ("history", "readings of "
                                                "yesterday in the database")))

    def prepare(self, run):
        folder = run.folder / "archive"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        self.settings = [("factorymon.archive_directory", f"'{folder}'")]
        super().prepare(run)
        database = run.database
        database.run(
            "SELECT factorymon.create_pipeline('history', server => 'bench', "
            "paused => true, time_zone => 'UTC', rollups => false)")
        for statement in HISTORY_SQL:
            database.run(statement.format(
                rows=FACTOR * run.topic.messages, sensors=SENSORS))

    def start(self, run):
        super().start(run)
        if self.archives:
            run.database.run("SELECT factorymon.set_archive('history', true, "
                             "at => '0', time_zone => 'UTC')")

    def details(self, run):
        result = super().details(run)
        if self.archives:
            result["archive"] = self.archived(run)
        return result

    def archived(self, run):
        """What the archiver had done when ingest ended, and when it was
        done."""
        rows = FACTOR * run.topic.messages
        files = ("FROM factorymon.archives WHERE pipeline = 'history' "
                 "AND state = 'archived'")
        done = run.database.value(
            f"SELECT coalesce(sum(rows), 0)::bigint {files} AND written_at < "
            "(SELECT max(pg_xact_commit_timestamp(xmin)) FROM "
            f"{self.table})")
        wait_for(run, f"SELECT coalesce(sum(rows), 0) = {rows} {files}",
                 what="the archive", timeout=600)
        if done == rows:
            raise BenchError("the archive was done before ingest was: with "
                             "more messages it would tell more")
        seconds, size = run.database.rows(
            "SELECT extract(epoch FROM max(written_at) - (SELECT "
            "min(pg_xact_commit_timestamp(xmin)) FROM "
            f"{self.table}))::float8, sum(bytes)::bigint {files}")[0]
        return {"done": done, "rows": rows, "seconds": seconds,
                "bytes": size}


def section(session, choice, contenders, report):
    """In turns, and what the archiver did meanwhile."""
    topic = Topic(choice.messages, choice.sensors[0], "lz4")
    pair = [Beside(False), Beside(True)]
    results = session.take_turns(pair, topic, choice.repeat)
    report.add_throughput(topic, results)
    work = [run.details["archive"] for run in results[pair[1]]]
    report.add("Archive beside ingest", HEADER,
               [[str(turn), number(one["done"]), number(one["rows"]),
                 number(one["seconds"], 1), number(one["bytes"] / 1e6, 1)]
                for turn, one in enumerate(work, 1)], "archive", work)
