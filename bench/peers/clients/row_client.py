"""Consume with kafka-python, INSERT and commit each message by itself.

    row_client.py BOOTSTRAP TOPIC GROUP DSN
"""

import sys

import psycopg2
from kafka import KafkaConsumer

import reading

INSERT = (f"INSERT INTO reading ({', '.join(reading.COLUMNS)}) VALUES "
          f"({', '.join(['%s'] * len(reading.COLUMNS))})")


def main():
    """Consume until a signal ends it."""
    bootstrap, topic, group, dsn = sys.argv[1:]
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap.split(","), group_id=group,
        auto_offset_reset="earliest", enable_auto_commit=True)
    for message in consumer:
        cursor.execute(INSERT, reading.row(message.value))
        connection.commit()


main()
