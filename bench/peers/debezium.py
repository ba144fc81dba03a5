"""Debezium's JDBC sink on Kafka Connect, standalone."""

import json
import re
import shutil

from factorybench import paths
from factorybench.ports import free_port

from . import maven
from .base import ClientPeer

CONNECTOR_VERSION = "3.6.0.Final"
KAFKA_VERSION = re.search(
    r"<kafka.version>(.*)</kafka.version>",
    (paths.KAFKA_CLUSTER.parent / "pom.xml").read_text()).group(1)


def field(name, kind, logical=None):
    """A member of the messages, for the converter."""
    described = {"field": name, "type": kind, "optional": True}
    return described | ({"name": logical} if logical else {})


def struct(name, *fields):
    """An object of the messages, for the converter."""
    return {"field": name, "type": "struct", "optional": True,
            "fields": list(fields)}


# The messages carry no schema; since Kafka 4.2 the converter can be given one.
SCHEMA = {"type": "struct", "fields": [
    field("timestamp", "string", "io.debezium.time.ZonedTimestamp"),
    field("sensor_id", "string"),
    field("sensor_type", "string"),
    struct("location", field("factory_section", "string"),
           field("machine_id", "string"), field("zone", "string")),
    field("value", "double"),
    field("unit", "string"),
    field("alert_level", "string"),
    field("quality", "double"),
    struct("metadata", field("reading_count", "int32"),
           field("warning_threshold", "double"),
           field("critical_threshold", "double")),
]}

RENAMES = ("timestamp:ts,location_factory_section:factory_section,"
           "location_machine_id:machine_id,location_zone:zone,"
           "metadata_reading_count:reading_count,"
           "metadata_warning_threshold:warning_threshold,"
           "metadata_critical_threshold:critical_threshold")


class Debezium(ClientPeer):
    """Two tasks, unnest inserts, 5,000 records a batch."""
    name = "debezium"
    title = "Kafka Connect + Debezium JDBC sink"
    sample = 1500000
    seconds_per_million = 40

    def __init__(self):
        super().__init__()
        self._runtime = self._plugins = None

    def install(self):
        self._runtime = maven.jars(
            f"connect-{KAFKA_VERSION}",
            f"org.apache.kafka:connect-runtime:{KAFKA_VERSION}",
            f"org.apache.kafka:connect-transforms:{KAFKA_VERSION}",
            f"org.apache.kafka:connect-json:{KAFKA_VERSION}",
            "org.slf4j:slf4j-simple:1.7.36")
        # Not everything that the connector's own pom asks for is published:
        # the nearest versions that are.
        self._plugins = maven.jars(
            f"debezium-jdbc-{CONNECTOR_VERSION}",
            f"io.debezium:debezium-connector-jdbc:{CONNECTOR_VERSION}",
            "io.debezium:debezium-sink:3.6.1.Final",
            "org.hibernate.orm:hibernate-core:7.2.19.Final",
            "org.hibernate.orm:hibernate-agroal:7.2.19.Final",
            "org.postgresql:postgresql:42.7.14",
            without=("org.hibernate:hibernate-agroal",))

    def prepare(self, run):
        super().prepare(run)
        # Jars that Connect has, too, break the connector's class loader.
        plugin = run.folder / "plugins" / "debezium"
        plugin.mkdir(parents=True)
        for jar in self._plugins.glob("*.jar"):
            if not re.match(r"jackson-|kafka-|connect-|slf4j-", jar.name):
                (plugin / jar.name).symlink_to(jar)
        self._write(run.folder / "worker.properties", {
            "bootstrap.servers": run.cluster.bootstrap,
            "listeners": f"HTTP://127.0.0.1:{free_port()}",
            "plugin.path": plugin.parent,
            "plugin.discovery": "hybrid_warn",
            "offset.storage.file.filename": run.folder / "offsets",
            "offset.flush.interval.ms": 10000,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            "value.converter.schema.content": json.dumps(SCHEMA),
        })
        self._write(run.folder / "sink.properties", {
            "name": run.group,
            "connector.class":
                "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": 2,
            "topics": run.topic.name,
            "connection.url": run.database.jdbc,
            "connection.username": run.database.user,
            "connection.password": "unused",
            "insert.mode": "insert",
            "primary.key.mode": "none",
            "schema.evolution": "none",
            "collection.name.format": "reading",
            "batch.size": 5000,
            "dialect.postgres.unnest.insert.enabled": "true",
            "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.max.poll.records": 5000,
            "transforms": "flatten,rename",
            "transforms.flatten.type":
                "org.apache.kafka.connect.transforms.Flatten$Value",
            "transforms.flatten.delimiter": "_",
            "transforms.rename.type":
                "org.apache.kafka.connect.transforms.ReplaceField$Value",
            "transforms.rename.renames": RENAMES,
        })

    @staticmethod
    def _write(path, properties):
        path.write_text("".join(f"{name}={value}\n"
                                for name, value in properties.items()))

    def command(self, run):
        return [shutil.which("java"), "-Xms512m", "-Xmx1g",
                "-XX:+UseParallelGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", f"{self._runtime}/*",
                "org.apache.kafka.connect.cli.ConnectStandalone",
                run.folder / "worker.properties",
                run.folder / "sink.properties"]
