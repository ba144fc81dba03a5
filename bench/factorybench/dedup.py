"""What deduplication costs: readings with unique ids, a share of them sent twice,
read with and without it in turns, by one worker.

Both are compared by messages read: with deduplication less is stored.
"""

import re
import statistics

from .errors import BenchError
from .factorymon import Factorymon
from .formats import FormatTopic
from .report import number
from .session import say

SHARES = (0, 0.05)
HEADER = ["repeated", "messages", "dropped", "k messages/s without", "spread",
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
    """[without, with]: the results of all turns, by messages read."""
    pair = [Reading("none"), Reading("id")]
    session.warm_up(pair[:1], topics[0])
    results = [[], []]
    for turn in range(1, choice.repeat + 1):
        for which, contender in enumerate(pair):
            result = session.attempt(contender, topics[which])
            result.rate *= topics[0].messages / topics[which].messages
            results[which].append(result)
            say(f"dedup, turn {turn} of {choice.repeat}: {contender.title}: "
                f"{result.rate / 1e3:,.1f} k messages/s")
    return results


def ratio(results, value):
    """Median of the ratios of with to without, turn by turn."""
    return statistics.median(value(mine) / value(other)
                             for other, mine in zip(*results))


def section(session, choice, contenders, report):
    """With and without, of each share."""
    rows, figures = [], {}
    for share in SHARES[1:] if choice.quick else SHARES:
        topics = topics_of(session, choice, share)
        results = measure(session, choice, topics)
        rates = [[result.rate / 1e3 for result in runs] for runs in results]
        spreads = [f"{min(runs):,.1f}-{max(runs):,.1f}" for runs in rates]
        ratios = [ratio(results, lambda result: result.rate),
                  ratio(results, lambda result: result.cpu * result.rows),
                  ratio(results, lambda result: result.wal_per_row * result.rows)]
        rows.append([f"{share:.0%}", number(topics[0].messages),
                     number(topics[0].messages - topics[1].messages),
                     number(statistics.median(rates[0]), 1), spreads[0],
                     number(statistics.median(rates[1]), 1), spreads[1],
                     *(number(value, 2) for value in ratios)])
        figures[str(share)] = {"rates": rates, "ratios": ratios}
        for topic in topics[:1]:
            session.cluster.forget(topic)
    report.add(f"Deduplication: one worker, {choice.sensors[0]:,} sensors",
               HEADER, rows, "dedup", figures)
