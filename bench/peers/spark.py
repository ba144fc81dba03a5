"""Spark Structured Streaming with the JDBC sink."""

import subprocess
import sys

from factorybench import paths, venv
from factorybench.errors import BenchError, Unavailable

from . import maven
from .base import CLIENTS, ClientPeer

VERSION = "4.2.0"

# What pyspark brings itself.
PROVIDED = ("scala-", "slf4j-", "hadoop-", "spark-tags")


class Spark(ClientPeer):
    """Two cores, 300,000 messages a micro-batch, rewritten inserts."""
    name = "spark"
    title = "Spark Structured Streaming, JDBC sink"
    sample = 1500000
    seconds_per_million = 40

    def __init__(self):
        super().__init__()
        self._python = self._jars = None

    def install(self):
        # The token provider is the newest one that is published.
        self._jars = maven.jars(
            f"spark-kafka-{VERSION}",
            f"org.apache.spark:spark-sql-kafka-0-10_2.13:{VERSION}",
            "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.0.0",
            "org.postgresql:postgresql:42.7.14")
        folder = paths.cache() / f"spark-{VERSION}"
        stamp = folder / "complete"
        self._python = folder / "bin" / "python"
        if stamp.exists():
            return
        print(f"bench: fetching Spark {VERSION} (once, 450 MB)", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder],
                           check=True)
            venv.pip_install(self._python, f"pyspark=={VERSION}")
        except (BenchError, subprocess.CalledProcessError) as error:
            raise Unavailable(str(error)) from error
        stamp.touch()

    def command(self, run):
        jars = [str(jar) for jar in self._jars.glob("*.jar")
                if not jar.name.startswith(PROVIDED)]
        return [self._python, CLIENTS / "spark_client.py",
                run.cluster.bootstrap, run.topic.name, run.database.jdbc,
                run.database.user, ",".join(jars), run.folder]
