"""What mapped formats cost: the same readings as canonical messages and in each
of the other built-in formats.

The canonical topic is filled by the producer and read once for each of the other
formats; its messages are written anew, two of them as one where a format has two
readings a message.  So all topics hold the same number of readings, and a Topic's
messages are readings here, which is what is counted in the table.
"""

import json
import statistics
import uuid

from .errors import BenchError
from .factorymon import Factorymon
from .kafka import PARTITIONS, Topic
from .report import number
from .session import say

GOAL = 0.5              # of the canonical rate, in readings
HEADER = ["format", "readings a message", "bytes a message", "k readings/s",
          "spread", "k messages/s", "vs canonical, readings",
          "vs canonical, messages", "runs"]


def as_reading(messages):
    """Of format "reading"."""
    message, = messages
    return {"unique_reading_id": str(uuid.UUID(int=as_reading.count)),
            "sensor_id": message["sensor_id"],
            "sensor_type": message["sensor_type"],
            "value": message["value"], "timestamp": message["timestamp"]}


def as_city(messages):
    """Of format "city"; values are brought into the range it demands."""
    first, second = messages
    return {"city": first["sensor_id"],
            "temperature": round(first["value"] % 100, 2),
            "humidity": round(second["value"] % 100, 2),
            "status": first["alert_level"], "timestamp": first["timestamp"]}


def as_sensores(messages):
    """Of format "sensores"."""
    first, second = messages
    return {"sensor_id": str(uuid.uuid5(uuid.NAMESPACE_OID,
                                        first["sensor_id"])),
            "timestamp": first["timestamp"].rstrip("Z"),
            "temperatura": first["value"],
            "umidade": round(second["value"] % 100, 2)}


as_reading.count = 0

# name: (readings a message, how to make one)
FORMATS = {"reading": (1, as_reading), "city": (2, as_city),
           "sensores": (2, as_sensores)}


class Formatted(Factorymon):
    """One worker, with a format."""

    def __init__(self, name):
        super().__init__(1, name, f"format {name}")
        self.options = f", format => '{name}'"


def read_all(session, topic):
    """Yield (partition, payload) of every message of a topic."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": session.cluster.bootstrap,
                         "group.id": "bench-formats",
                         "enable.partition.eof": True,
                         "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic.name, partition, 0)
                     for partition in range(PARTITIONS)])
    ends = 0
    try:
        while ends < PARTITIONS:
            batch = consumer.consume(10000, 30)
            if not batch:
                raise BenchError(f"no message of {topic.name} came for 30 s")
            for message in batch:
                if message.error() is None:
                    yield message.partition(), message.value()
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ends += 1
                else:
                    raise BenchError(str(message.error()))
    finally:
        consumer.close()


def convert(session, source, name):
    """Write a topic anew in a format; returns its Topic and its messages'
    average length."""
    from confluent_kafka import Producer

    readings, make = FORMATS[name]
    target = f"format-{name}"
    session.cluster.create(target)
    producer = Producer({"bootstrap.servers": session.cluster.bootstrap,
                         "linger.ms": 20, "acks": "all",
                         "queue.buffering.max.messages": 200000})
    waiting = {partition: [] for partition in range(PARTITIONS)}
    count = size = 0
    for partition, payload in read_all(session, source):
        waiting[partition].append(json.loads(payload))
        if len(waiting[partition]) < readings:
            continue
        as_reading.count += 1
        value = json.dumps(make(waiting[partition]), ensure_ascii=False,
                           separators=(",", ":")).encode()
        waiting[partition] = []
        while True:
            try:
                producer.produce(target, value, partition=partition)
                break
            except BufferError:
                producer.poll(1)
        count += 1
        size += len(value)
    if producer.flush(60) != 0:
        raise BenchError(f"not all messages of {target} were delivered")
    say(f"filled {target}: {count:,} messages of {readings} readings")
    topic = FormatTopic(count * readings, source.sensors, purpose=target)
    session.cluster.adopt(topic)
    return topic, size / count


class FormatTopic(Topic):
    """A topic that was filled in another way."""

    @property
    def name(self):
        return self.purpose


def rates_of(session, choice, topics):
    """{format: [rate in readings/s]}, taken in turns."""
    contenders = {name: Factorymon(1) if name == "factory" else Formatted(name)
                  for name in topics}
    session.warm_up([contenders["factory"]], topics["factory"])
    rates = {name: [] for name in topics}
    for turn in range(1, choice.repeat + 1):
        for name, topic in topics.items():
            result = session.attempt(contenders[name], topic)
            rates[name].append(result.rate)
            say(f"formats, turn {turn} of {choice.repeat}: {name}: "
                f"{result.rate / 1e3:,.1f} k readings/s")
    return rates


def section(session, choice, contenders, report):
    """All formats in turns, and what each is beside the canonical one."""
    canonical = Topic(choice.messages, choice.sensors[0], purpose="canonical")
    session.fill(canonical)
    topics = {"factory": canonical}
    lengths = {"factory": statistics.mean(
        len(payload) for _, payload in read_all(session, canonical))}
    for name in FORMATS:
        topics[name], lengths[name] = convert(session, canonical, name)
    rates = rates_of(session, choice, topics)
    rows, figures = [], {}
    for name, runs in rates.items():
        readings = FORMATS[name][0] if name in FORMATS else 1
        ratio = statistics.median(
            mine / other for mine, other in zip(runs, rates["factory"]))
        rate = statistics.median(runs)
        rows.append([name, number(readings), number(lengths[name]),
                     number(rate / 1e3, 1),
                     f"{min(runs) / 1e3:,.1f}-{max(runs) / 1e3:,.1f}",
                     number(rate / readings / 1e3, 1), number(ratio, 2),
                     number(ratio / readings, 2), number(len(runs))])
        figures[name] = {"rates": runs, "readings": readings,
                         "bytes": lengths[name], "ratio": ratio}
        if ratio < GOAL:
            report.note(f"format {name} is below {GOAL} of the canonical rate")
    for topic in list(topics.values())[1:]:
        session.cluster.forget(topic)
    report.add(f"Formats: {choice.messages:,} readings, {canonical.title}",
               HEADER, rows, "formats", figures)
