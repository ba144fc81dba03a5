"""kcat into COPY, then a projection in SQL: what a shell script does."""

import shlex
import shutil

from factorybench import paths
from factorybench.errors import Unavailable

from .base import ClientPeer

# One column of whole lines: neither delimiter nor quote occurs in JSON.
COPY = r"COPY raw FROM STDIN (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')"

PROJECTION = """
INSERT INTO reading
SELECT (j ->> 'timestamp')::timestamptz, j ->> 'sensor_id',
    j ->> 'sensor_type', l ->> 'factory_section', l ->> 'machine_id',
    l ->> 'zone', (j -> 'value')::float8, j ->> 'unit', j ->> 'alert_level',
    (j -> 'quality')::float8, (m -> 'reading_count')::integer,
    (m -> 'warning_threshold')::float8, (m -> 'critical_threshold')::float8
FROM raw, LATERAL (SELECT j -> 'location' AS l, j -> 'metadata' AS m) AS part
"""


class Kcat(ClientPeer):
    """Works in one piece: what it does is measured from its start."""
    name = "kcat"
    title = "kcat | psql COPY, projection in SQL"
    streams = False
    seconds_per_million = 16

    def install(self):
        if not shutil.which("kcat"):
            raise Unavailable("there is no kcat")

    def prepare(self, run):
        super().prepare(run)
        run.database.run("CREATE UNLOGGED TABLE raw (j jsonb)")

    def command(self, run):
        psql = [paths.postgres_program("psql"), "-X", "-q", "-v",
                "ON_ERROR_STOP=1", "-d", run.database.dsn, "-c"]
        consume = ["kcat", "-C", "-q", "-e", "-o", "beginning",
                   "-b", run.cluster.bootstrap, "-t", run.topic.name,
                   "-X", "queued.min.messages=500000"]
        return ["bash", "-c", "set -e -o pipefail; "
                f"{shlex.join(consume)} | {shlex.join([*psql, COPY])}; "
                f"exec {shlex.join([*psql, PROJECTION])}"]
