"""A real Kafka of three brokers, and topics filled with canonical messages."""

import os
import subprocess
import time
from dataclasses import dataclass

from . import paths, process
from .errors import BenchError

PARTITIONS = 3
# Where factorymon's pipelines send alarms if nothing else is said.
ALERTS = "alerts"
REPLICATION = 2

# Brokers that live for minutes under load profit from the second compiler,
# which kafka-cluster switches off for short tests.
BROKER_ENVIRONMENT = {
    "KAFKA_HEAP_OPTS": "-Xms512m -Xmx1g",
    "KAFKA_OPTS": "-XX:TieredStopAtLevel=4",
}


@dataclass(frozen=True)
class Topic:
    """What a topic holds: that many messages, from that many sensors."""
    messages: int
    sensors: int = 1000
    codec: str = "none"
    hours: int = 0          # simulated time that they cover; 0: the clock
    purpose: str = "sensor-data"
    big: float = 0          # share of messages that are padded to 900 kB
    inject: float = 0       # share touched by anomalies of each kind

    @property
    def name(self):
        """Its name in Kafka."""
        return "-".join(map(str, (self.purpose, self.messages, self.sensors,
                                  self.hours, self.codec,
                                  *([self.inject] if self.inject else []))))

    def time_options(self):
        """Options of the producer for the messages' time."""
        if not self.hours:
            return []
        begin = (int(time.time()) // 3600 - self.hours) * 3600
        interval = 3600 * self.hours * self.sensors / self.messages
        return ["--start", f"@{begin}", "--sampling-interval",
                f"{0.999 * interval:.6f}"]

    @property
    def title(self):
        """Its description for people."""
        codec = "uncompressed" if self.codec == "none" else self.codec
        words = f", anomalies {self.inject:g}" if self.inject else ""
        return f"{self.sensors:,} sensors, {codec}{words}"


class Cluster:
    """A cluster below a folder, for as long as the benchmark runs."""

    def __init__(self, folder, brokers=3):
        self.folder = folder
        self.brokers = brokers
        self.bootstrap = None
        self._filled = set()

    def _cluster(self, command, *arguments):
        """Run a command of kafka-cluster; returns its output."""
        child = subprocess.Popen(
            [paths.KAFKA_CLUSTER, command, *map(str, arguments)], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=os.environ | BROKER_ENVIRONMENT,
            start_new_session=True)
        try:
            output, errors = child.communicate()
        except BaseException:
            # It takes back what it has started, which kill -9 would prevent.
            child.terminate()
            child.wait()
            raise
        if child.returncode != 0:
            raise BenchError(f"kafka-cluster {command}: {errors}")
        return output

    def start(self):
        """Start it, with a topic for alarms, and none for readings."""
        answer = self._cluster("start", "--no-default-topics", "--dir",
                               self.folder, "--owner", os.getpid(),
                               "--brokers", self.brokers)
        for line in answer.splitlines():
            name, _, value = line.partition("=")
            if name == "bootstrap.servers":
                self.bootstrap = value
        self.create(ALERTS)

    def stop(self):
        """End it and remove its files."""
        if (self.folder / "env").exists():
            self._cluster("stop", self.folder)

    def processes(self):
        """Ids of the brokers' processes."""
        return [int(file.read_text())
                for file in self.folder.glob("broker-*/pid")]

    def create(self, name, partitions=PARTITIONS):
        """Make an empty topic."""
        self._cluster("create-topic", self.folder, name, partitions,
                      min(REPLICATION, self.brokers))

    def delete(self, name):
        """Remove a topic."""
        self._cluster("delete-topic", self.folder, name)

    def produce_command(self, name, *options):
        """The command line of a producer for a topic."""
        return [paths.PRODUCER, "-b", self.bootstrap, "-t", name,
                "--heartbeat", "0", *map(str, options)]

    def produce(self, name, *options):
        """Run a producer to its end; returns what it said."""
        answer = subprocess.run(
            self.produce_command(name, *options), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True)
        if answer.returncode != 0:
            raise BenchError(f"the producer failed: {answer.stderr}")
        return answer.stderr

    def fill(self, topic):
        """Create and fill a topic, unless that was done already."""
        if topic in self._filled:
            return
        self.create(topic.name)
        self.produce(topic.name, "--rate", 0, "--count", topic.messages,
                     "--sensors", topic.sensors, "--seed", 1,
                     "--compression", topic.codec, "--big", topic.big,
                     "--inject", topic.inject,
                     *topic.time_options())
        self._filled.add(topic)

    def compiler_seconds(self):
        """CPU time of the compilers of the brokers' virtual machines."""
        return process.thread_seconds(self.processes(), "C1 Comp", "C2 Comp")

    def adopt(self, topic):
        """A topic that somebody else has created and filled."""
        self._filled.add(topic)

    def forget(self, topic):
        """Remove a filled topic."""
        self._filled.discard(topic)
        self.delete(topic.name)
