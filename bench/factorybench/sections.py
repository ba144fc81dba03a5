"""The parts of the benchmark: which contenders on which topics."""

from . import archive, dashboard, dedup, detectors, formats, growth, kill, \
    latency, memory, queries, rollups
from .kafka import Topic


# What the section of alarms compares, the first of them with the others; and
# how many messages more than elsewhere: so many batches that neither the first
# of them nor what brokers still learn tells much.
ALARMS = ("factorymon-1-no-limits", "factorymon-1", "factorymon-1-detectors",
          "factorymon-1-alarms", "factorymon-1-unpublished",
          "factorymon-1-held")
QUICK_ALARMS = ("factorymon-1-no-limits", "factorymon-1-alarms")
ALARM_FACTOR = 3


def throughput(session, choice, contenders, report):
    """Everybody on the first topic; factorymon and COPY on others, too."""
    everybody = contenders
    if "alarms" in choice.sections:
        contenders = [contender for contender in contenders
                      if contender.name not in ALARMS
                      or contender.name == "factorymon-1"]
    few = [contender for contender in contenders
           if contender.name in ("copy-text", "factorymon-1", "consume")
           or contender.family == "factorymon" and not choice.quick]
    topics = [Topic(choice.messages, sensors, codec, inject=choice.inject)
              for sensors in choice.sensors for codec in choice.codecs]
    if choice.quick and len(topics) > 3:
        del topics[3:]          # for the sake of time
    session.warm_up(everybody, topics[0])
    for number, topic in enumerate(topics):
        who = few if number > 0 else contenders
        report.add_throughput(
            topic, session.take_turns(who, topic, choice.repeat))


def alarms(session, choice, contenders, report):
    """What limits, detectors and alarms cost, beside a pipeline without."""
    names = QUICK_ALARMS if choice.quick else ALARMS
    factor = ALARM_FACTOR if choice.quick else 1
    topic = Topic(factor * choice.messages, choice.sensors[0], "lz4",
                  inject=choice.inject)
    report.add_throughput(topic, session.take_turns(
        [contender for contender in contenders if contender.name in names],
        topic, choice.repeat))


SECTIONS = {
    "throughput": throughput,
    "alarms": alarms,
    "kill": kill.section,
    "latency": latency.section,
    "growth": growth.section,
    "detectors": detectors.section,
    "memory": memory.section,
    "rollups": rollups.section,
    "queries": queries.section,
    "dedup": dedup.section,
    "dashboard": dashboard.section,
    "formats": formats.section,
    "archive": archive.section,
}
