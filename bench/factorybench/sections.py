"""The parts of the benchmark: which contenders on which topics."""

from . import dashboard, detectors, growth, kill, latency, memory
from .kafka import Topic


def throughput(session, choice, contenders, report):
    """Everybody on the first topic; factorymon and COPY on others, too."""
    few = [contender for contender in contenders
           if contender.name in ("copy-text", "factorymon-1", "consume")
           or contender.family == "factorymon" and not choice.quick]
    topics = [Topic(choice.messages, sensors, codec, inject=choice.inject)
              for sensors in choice.sensors for codec in choice.codecs]
    if choice.quick and len(topics) > 3:
        del topics[3:]          # for the sake of time
    for number, topic in enumerate(topics):
        who = few if number > 0 else contenders
        report.add_throughput(
            topic, session.take_turns(who, topic, choice.repeat))


SECTIONS = {
    "throughput": throughput,
    "kill": kill.section,
    "latency": latency.section,
    "growth": growth.section,
    "detectors": detectors.section,
    "memory": memory.section,
    "dashboard": dashboard.section,
}
