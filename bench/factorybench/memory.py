"""What a worker holds while it takes in a full backlog with 1 MB messages."""

from . import process
from .factorymon import Factorymon
from .kafka import Topic
from .report import number
from .session import say

MESSAGES = 10000000
BIG_SHARE = 0.0001      # of them padded to 900 kB
STEPS = 10


class Watched(Factorymon):
    """One worker; notes how much it holds beside how much it has stored."""

    def __init__(self):
        super().__init__(1)
        self.looks = []

    def observe(self, run, seen):
        super().observe(run, seen)
        stored = run.database.value(
            "SELECT messages FROM factorymon.message_counters")
        self.looks.append((stored, process.memory(self.processes(run))[0]))


def section(session, choice, contenders, report):
    """The highest figure of each tenth of the messages."""
    messages = max(STEPS, int(MESSAGES * choice.scale))
    topic = Topic(messages, codec="lz4", purpose="memory", big=BIG_SHARE)
    session.fill(topic)
    contender = Watched()
    result = session.attempt(contender, topic)
    session.cluster.forget(topic)
    rows, figures = [], {}
    for step in range(1, STEPS + 1):
        end = messages * step // STEPS
        held = [memory for stored, memory in contender.looks
                if messages * (step - 1) // STEPS < stored <= end]
        if held:
            figures[end] = (min(held), max(held))
            rows.append([f"to {end:,} messages", str(len(held)),
                         *(number(bytes_ / 2 ** 20, 1)
                           for bytes_ in figures[end])])
    say(f"memory: at most {result.memory / 2 ** 20:.0f} MiB")
    report.add(f"Memory: {messages:,} messages, one in "
               f"{1 / BIG_SHARE:,.0f} of 900 kB, 1 worker",
               ["", "looks", "least MiB", "most MiB"], rows, "memory", figures)
