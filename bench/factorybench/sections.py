"""The parts of the benchmark: which contenders on which topics."""

from . import growth, kill, latency
from .kafka import Topic

MANY_SENSORS = 100000


def throughput(session, choice, contenders, report):
    """Everybody on the same topic; factorymon and COPY on others, too."""
    main = Topic(choice.messages)
    report.add_throughput(
        main, session.take_turns(contenders, main, choice.repeat))
    few = [contender for contender in contenders
           if contender.name in ("copy-text", "factorymon-1", "consume")
           or contender.family == "factorymon" and not choice.quick]
    for topic in (Topic(choice.messages, codec="lz4"),
                  Topic(choice.messages, MANY_SENSORS),
                  Topic(choice.messages, MANY_SENSORS, "lz4")):
        if choice.quick and topic.codec == "lz4" and \
                topic.sensors == MANY_SENSORS:
            continue
        report.add_throughput(
            topic, session.take_turns(few, topic, choice.repeat))


SECTIONS = {
    "throughput": throughput,
    "kill": kill.section,
    "latency": latency.section,
    "growth": growth.section,
}
