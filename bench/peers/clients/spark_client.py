"""Structured Streaming from Kafka into a table over JDBC.

    spark_client.py BOOTSTRAP TOPIC JDBC_URL USER JARS FOLDER

FOLDER keeps the checkpoint, so that a second start goes on where the first
one ended.
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json

SCHEMA = """
    timestamp timestamp, sensor_id string, sensor_type string,
    location struct<factory_section string, machine_id string, zone string>,
    value double, unit string, alert_level string, quality double,
    metadata struct<reading_count int, warning_threshold double,
        critical_threshold double>
"""


def main():
    """Stream until a signal ends it."""
    bootstrap, topic, url, user, jars, folder = sys.argv[1:]
    spark = (SparkSession.builder.master("local[2]").appName("bench")
             .config("spark.jars", jars)
             .config("spark.driver.memory", "1g")
             .config("spark.ui.enabled", "false")
             .config("spark.local.dir", f"{folder}/spark")
             .config("spark.sql.session.timeZone", "UTC")
             .getOrCreate())
    spark.sparkContext.setLogLevel("WARN")
    messages = (spark.readStream.format("kafka")
                .option("kafka.bootstrap.servers", bootstrap)
                .option("subscribe", topic)
                .option("startingOffsets", "earliest")
                .option("maxOffsetsPerTrigger", 300000)
                .load())
    rows = messages.select(
        from_json(col("value").cast("string"), SCHEMA).alias("m")).select(
            col("m.timestamp").alias("ts"), "m.sensor_id", "m.sensor_type",
            "m.location.*", "m.value", "m.unit", "m.alert_level", "m.quality",
            "m.metadata.*")
    properties = {"user": user, "driver": "org.postgresql.Driver",
                  "reWriteBatchedInserts": "true", "batchsize": "10000"}

    def store(batch, _):
        batch.write.jdbc(url, "reading", mode="append", properties=properties)

    (rows.writeStream.foreachBatch(store)
     .option("checkpointLocation", f"{folder}/checkpoint")
     .start().awaitTermination())


main()
