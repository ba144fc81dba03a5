"""rsyslog: imkafka, mmjsonparse, ompgsql.

Debian's packages are only unpacked into the cache folder: no syslog daemon is
installed.
"""

import os
import shutil
import tempfile
from pathlib import Path

from factorybench import paths
from factorybench.errors import Unavailable

from .base import ClientPeer, fetch

PACKAGES = ("rsyslog", "rsyslog-kafka", "rsyslog-pgsql", "libestr0",
            "libfastjson4", "liblognorm5")

# Column and where mmjsonparse puts its value.
COLUMNS = (
    ("ts", "timestamp"),
    ("sensor_id", "sensor_id"),
    ("sensor_type", "sensor_type"),
    ("factory_section", "location!factory_section"),
    ("machine_id", "location!machine_id"),
    ("zone", "location!zone"),
    ("value", "value"),
    ("unit", "unit"),
    ("alert_level", "alert_level"),
    ("quality", "quality"),
    ("reading_count", "metadata!reading_count"),
    ("warning_threshold", "metadata!warning_threshold"),
    ("critical_threshold", "metadata!critical_threshold"),
)

# conninfo is a URI: with blanks only its first word would be taken.
CONFIGURATION = """
global(workDirectory="{folder}" abortOnUncleanConfig="on"
       maxMessageSize="64k")
module(load="imkafka")
module(load="mmjsonparse")
module(load="ompgsql")
template(name="insert" type="list" option.stdsql="on") {{
{template}
}}
ruleset(name="store" queue.type="FixedArray" queue.size="100000"
        queue.dequeueBatchSize="1000" queue.workerThreads="2"
        queue.workerThreadMinimumMessages="1000"
        queue.timeoutEnqueue="600000") {{
  action(type="mmjsonparse" cookie="")
  action(type="ompgsql" conninfo="{uri}" template="insert")
}}
input(type="imkafka" topic="{topic}" broker=[{brokers}]
      consumergroup="{group}" ruleset="store" parseHostname="off"
      confParam=["auto.offset.reset=earliest", "queued.min.messages=100000"])
"""


def template():
    """The statement, as the parts of a list template."""
    names = ", ".join(column for column, _ in COLUMNS)
    parts = [f'  constant(value="INSERT INTO reading ({names}) VALUES (\'")']
    for number, (_, place) in enumerate(COLUMNS):
        if number:
            parts.append("  constant(value=\"','\")")
        parts.append(f'  property(name="$!{place}")')
    parts.append("  constant(value=\"')\")")
    return "\n".join(parts)


class Rsyslog(ClientPeer):
    """Two workers, 1,000 messages a transaction."""
    name = "rsyslog"
    title = "rsyslog, imkafka + ompgsql"
    sample = 1000000
    seconds_per_million = 35

    def __init__(self):
        super().__init__()
        self._root = None

    def install(self):
        self._root = paths.cache() / "rsyslog"
        if self._root.exists():
            return
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Unavailable("its packages are fetched with apt")
        with tempfile.TemporaryDirectory(prefix="factorymon-apt.") as folder:
            fetch("apt-get download (is apt-get update due?)",
                  ["apt-get", "-qq", "download", *PACKAGES], cwd=folder)
            staged = Path(tempfile.mkdtemp(dir=paths.cache()))
            for package in sorted(Path(folder).glob("*.deb")):
                fetch("dpkg", ["dpkg", "-x", package, staged])
            staged.rename(self._root)

    def _library(self):
        return next(self._root.glob("usr/lib/*/rsyslog"))

    def prepare(self, run):
        super().prepare(run)
        brokers = ", ".join(f'"{broker}"'
                            for broker in run.cluster.bootstrap.split(","))
        (run.folder / "rsyslog.conf").write_text(CONFIGURATION.format(
            folder=run.folder, template=template(), uri=run.database.uri,
            topic=run.topic.name, brokers=brokers, group=run.group))

    def start(self, run):
        (run.folder / "rsyslog.pid").unlink(missing_ok=True)
        super().start(run)

    def command(self, run):
        return [self._root / "usr/sbin/rsyslogd", "-n",
                "-i", run.folder / "rsyslog.pid",
                "-f", run.folder / "rsyslog.conf", "-M", self._library()]

    def environment(self, run):
        library = self._library().parent
        return os.environ | {
            "LD_LIBRARY_PATH": f"{library}:{self._root}/lib/{library.name}"}
