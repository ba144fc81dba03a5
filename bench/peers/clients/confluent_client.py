"""Consume with confluent-kafka, store with psycopg2.

    confluent_client.py BOOTSTRAP TOPIC GROUP DSN copy|values BATCH

At least once: a batch is committed to PostgreSQL first, then to Kafka.
"""

import io
import signal
import sys

import psycopg2
from confluent_kafka import Consumer
from psycopg2.extras import execute_values

import reading

ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
INSERT = f"INSERT INTO reading ({', '.join(reading.COLUMNS)}) VALUES %s"
COPY = f"COPY reading ({', '.join(reading.COLUMNS)}) FROM STDIN"


def copy(cursor, rows):
    """Store rows with COPY in text format."""
    lines = "\n".join(
        "\t".join(str(value).translate(ESCAPES) for value in row)
        for row in rows)
    cursor.copy_expert(COPY, io.StringIO(lines + "\n"))


def values(cursor, rows):
    """Store rows with INSERT of many rows a statement."""
    execute_values(cursor, INSERT, rows, page_size=len(rows))


def main():
    """Consume until SIGTERM."""
    bootstrap, topic, group, dsn, method, batch = sys.argv[1:]
    store = {"copy": copy, "values": values}[method]
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "queued.min.messages": 500000,
    })
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    running = [True]
    signal.signal(signal.SIGTERM, lambda number, frame: running.clear())
    consumer.subscribe([topic])
    while running:
        messages = consumer.consume(int(batch), timeout=0.2)
        rows = [reading.row(message.value()) for message in messages
                if message.error() is None]
        if rows:
            store(cursor, rows)
            connection.commit()
            consumer.commit(asynchronous=False)
    consumer.close()


main()
