"""What deduplication costs: readings with unique ids, a share of them sent twice,
read without it, by id and by sensor and time in turns, by one worker.

They are compared by messages read: with deduplication less is stored.
"""

import re
import statistics

from .errors import BenchError
from .factorymon import Factorymon
from .formats import FormatTopic
from .report import number
from .session import say

SHARES = (0, 0.05)
MODES = ("id", "sensor_time")
HEADER = ["repeated", "deduplicate", "messages", "dropped", "k messages/s without", "spread",
          "k messages/s with", "spread", "with / without",
          "CPU with / without", "WAL with / without"]


class Reading(Factorymon):
    """One worker, of the format that has ids."""

    def __init__(self, mode):
        super().__init__(1, f"dedup-{mode}", f"deduplicate {mode}")
        self.options = (f", format => 'reading', deduplicate => '{mode}'")


def fill(session, choice, share):
    """Make a topic; returns how many of its messages are repetitions."""
    name = f"dedup-{share}"
    session.cluster.create(name)
    said = session.cluster.produce(
        name, "--rate", 0, "--count", choice.messages, "--sensors",
        choice.sensors[0], "--seed", 1, "--format", "reading",
        "--duplicates", share)
    found = re.search(r"\bduplicates=(\d+)", said)
    if not found:
        raise BenchError("the producer did not say how many duplicates it sent")
    say(f"filled {name}: {choice.messages:,} messages, {found[1]} repeated")
    return int(found[1])


def topics_of(session, choice, share):
    """The topic as it is, and as one that deduplicates sees it."""
    repeated = fill(session, choice, share)
    topics = [FormatTopic(messages, choice.sensors[0],
                          purpose=f"dedup-{share}")
              for messages in (choice.messages, choice.messages - repeated)]
    for topic in topics:
        session.cluster.adopt(topic)
    return topics


def measure(session, choice, topics):
    """{mode: the results of all turns}, by messages read; "none" is without."""
    contenders = {mode: Reading(mode) for mode in ("none", *MODES)}
    session.warm_up([contenders["none"]], topics[0])
    results = {mode: [] for mode in contenders}
    for turn in range(1, choice.repeat + 1):
        for mode, contender in contenders.items():
            topic = topics[0 if mode == "none" else 1]
            result = session.attempt(contender, topic)
            result.rate *= topics[0].messages / topic.messages
            results[mode].append(result)
            say(f"dedup, turn {turn} of {choice.repeat}: {contender.title}: "
                f"{result.rate / 1e3:,.1f} k messages/s")
    return results


def ratio(others, mine, value):
    """Median of the ratios of mine to others, turn by turn."""
    return statistics.median(value(one) / value(other)
                             for other, one in zip(others, mine))


def compare(others, mine):
    """(cells, figures) of results without and with."""
    rates = [[result.rate / 1e3 for result in runs] for runs in (others, mine)]
    ratios = [ratio(others, mine, lambda result: result.rate),
              ratio(others, mine, lambda result: result.cpu * result.rows),
              ratio(others, mine,
                    lambda result: result.wal_per_row * result.rows)]
    cells = [cell for runs in rates
             for cell in (number(statistics.median(runs), 1),
                          f"{min(runs):,.1f}-{max(runs):,.1f}")]
    return (cells + [number(value, 2) for value in ratios],
            {"rates": rates, "ratios": ratios})


def section(session, choice, contenders, report):
    """With and without, of each share."""
    rows, figures = [], {}
    for share in SHARES[1:] if choice.quick else SHARES:
        topics = topics_of(session, choice, share)
        results = measure(session, choice, topics)
        for mode in MODES:
            cells, found = compare(results["none"], results[mode])
            rows.append([f"{share:.0%}", mode, number(topics[0].messages),
                         number(topics[0].messages - topics[1].messages),
                         *cells])
            figures[f"{share} {mode}"] = found
        for topic in topics[:1]:
            session.cluster.forget(topic)
    report.add(f"Deduplication: one worker, {choice.sensors[0]:,} sensors",
               HEADER, rows, "dedup", figures)
