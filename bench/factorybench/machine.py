"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from . import paths


def _first_line(argv, pattern=r".*"):
    """What a program says about its version, or None without the program."""
    try:
        answer = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
    except OSError:
        return None
    found = re.search(pattern, answer.stdout)
    return found.group(0) if found else None


def _processor():
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _memory():
    text = Path("/proc/meminfo").read_text()
    kilobytes = int(re.search(r"MemTotal:\s*(\d+)", text).group(1))
    return f"{kilobytes / 1048576:.1f} GiB"


def _commit():
    """The commit, with a + where files differ from it."""
    git = ["git", "-C", str(paths.ROOT)]
    commit = _first_line([*git, "rev-parse", "--short=10", "HEAD"],
                         r"^[0-9a-f]{10}$")
    if not commit:
        return None
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src",
                              "sql"], stderr=subprocess.DEVNULL).returncode
    return commit + ("+" if changed else "")


def describe():
    """Pairs of a name and what is there."""
    kafka = re.search(r"<kafka.version>(.*)</kafka.version>",
                      (paths.KAFKA_CLUSTER.parent / "pom.xml").read_text())
    facts = [
        ("date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", _processor()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        ("memory", _memory()),
        ("kernel", platform.release()),
        ("factorymon", os.environ.get("FACTORYMON_COMMIT") or _commit()),
        ("PostgreSQL", _first_line([paths.postgres_program("postgres"), "-V"],
                                   r"\d.*")),
        ("Kafka", f"{kafka.group(1)}, three brokers on the same machine"),
        ("librdkafka", _first_line(["pkg-config", "--modversion", "rdkafka"])),
        ("Python", platform.python_version()),
        ("load before", "%.2f %.2f %.2f" % os.getloadavg()),
    ]
    return [(name, value) for name, value in facts if value]
