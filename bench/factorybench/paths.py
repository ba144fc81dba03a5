"""Where things are: the source folder, the cache, PostgreSQL's programs."""

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
QUERIES = ROOT / "docs" / "queries.md"
KAFKA_CLUSTER = ROOT / "test" / "kafka" / "kafka-cluster"
PRODUCER = ROOT / "producer" / "factorymon-producer"
BENCH_CONSUMER = ROOT / "test" / "unit-kafka" / "bench_consumer"
DASHBOARD = ROOT / "dashboard" / "factorymon-dashboard"
STORE_BENCH = BENCH / "store" / "store_bench.so"
BENCH_READING = ROOT / "test" / "unit" / "bench_reading"


def cache():
    """The folder that keeps what is fetched or built once; made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "factorymon" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def postgres_program(name):
    """Path of one of PostgreSQL's programs, of the PostgreSQL of PG_CONFIG."""
    pg_config = os.environ.get("PG_CONFIG", "pg_config")
    answer = subprocess.run([pg_config, "--bindir"], check=True, text=True,
                            stdout=subprocess.PIPE)
    return str(Path(answer.stdout.strip()) / name)


def temporary_folder():
    """A new folder for one run of the benchmark; the caller removes it."""
    return Path(tempfile.mkdtemp(prefix="factorymon-bench."))
