"""Telegraf: kafka_consumer to the postgresql output, which uses COPY."""

import os
import shutil
import tempfile

from factorybench import paths
from factorybench.errors import Unavailable

from .base import ClientPeer, fetch, make_table

VERSION = "v1.37.2"
TAGS = "custom,inputs.kafka_consumer,outputs.postgresql,parsers.json"

# Telegraf names columns after the flattened members; its numbers are floats.
TABLE = """
CREATE TABLE reading (
    ts timestamptz NOT NULL,
    sensor_id text NOT NULL,
    sensor_type text,
    location_factory_section text,
    location_machine_id text,
    location_zone text,
    value double precision,
    unit text,
    alert_level text,
    quality double precision,
    metadata_reading_count double precision,
    metadata_warning_threshold double precision,
    metadata_critical_threshold double precision
) PARTITION BY RANGE (ts)
"""

CONFIGURATION = """
[agent]
  interval = "1s"
  flush_interval = "200ms"
  metric_batch_size = 10000
  metric_buffer_limit = 200000
  omit_hostname = true

[[inputs.kafka_consumer]]
  brokers = [{brokers}]
  topics = ["{topic}"]
  consumer_group = "{group}"
  kafka_version = "4.0.0"
  offset = "oldest"
  max_undelivered_messages = 100000
  max_message_len = 1000000
  name_override = "reading"
  topic_tag = ""
  data_format = "json"
  json_time_key = "timestamp"
  json_time_format = "2006-01-02T15:04:05.999999Z07:00"
  json_string_fields = ["sensor_id", "sensor_type",
    "location_factory_section", "location_machine_id", "location_zone",
    "unit", "alert_level"]

[[outputs.postgresql]]
  connection = "{dsn} pool_max_conns=1"
  schema = "public"
  timestamp_column_name = "ts"
  timestamp_column_type = "timestamp with time zone"
"""


class Telegraf(ClientPeer):
    """Built from its Go module, with nothing but what is needed."""
    name = "telegraf"
    title = "Telegraf, kafka_consumer + postgresql"
    key = "sensor_id, metadata_reading_count"
    seconds_per_million = 18

    def __init__(self):
        super().__init__()
        self._binary = None

    def install(self):
        self._binary = paths.cache() / f"telegraf-{VERSION}"
        if self._binary.exists():
            return
        if not shutil.which("go"):
            raise Unavailable("there is no Go to build it with")
        print("bench: building Telegraf (once, some minutes)", flush=True)
        with tempfile.TemporaryDirectory(prefix="factorymon-go.") as folder:
            # -modcacherw: else the folder could not be removed.
            fetch("building Telegraf",
                  ["go", "install", "-modcacherw", "-ldflags", "-s -w",
                   "-tags", TAGS,
                   f"github.com/influxdata/telegraf/cmd/telegraf@{VERSION}"],
                  cwd=folder,
                  env=os.environ | {
                      "GOPATH": f"{folder}/path", "GOBIN": f"{folder}/bin",
                      "GOCACHE": f"{folder}/cache", "CGO_ENABLED": "0",
                      "GOTOOLCHAIN": "local", "GOFLAGS": ""})
            staged = self._binary.with_suffix(".new")
            shutil.copy2(f"{folder}/bin/telegraf", staged)
            staged.rename(self._binary)

    def prepare(self, run):
        make_table(run, TABLE)
        brokers = ", ".join(f'"{broker}"'
                            for broker in run.cluster.bootstrap.split(","))
        (run.folder / "telegraf.conf").write_text(CONFIGURATION.format(
            brokers=brokers, topic=run.topic.name, group=run.group,
            dsn=run.database.dsn))

    def command(self, run):
        return [self._binary, "--config", run.folder / "telegraf.conf"]

    def environment(self, run):
        return os.environ | {"GOGC": "800"}
