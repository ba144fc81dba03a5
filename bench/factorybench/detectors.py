"""How many of the anomalies that the producer put in the detectors find.

The producer labels what it injects.  Its readings go through a pipeline with
all detectors on and their defaults; then each label is looked for among what
was found, and each finding among the labels:

* found: a score of the detector within so many readings of the label's first
  one as the kind allows (WINDOWS);
* right: a score within a label of one of the detector's own kinds, or within
  its window;
* a score within a label of another kind is neither right nor wrong: a stuck
  sensor that moves again does change fast.

Detectors are silent for their first 200 readings, so what happens then counts
for nothing.  seasonal is not in it: it takes days to learn.
"""

import calendar
import json
import time
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from .alarming import Detecting
from .kafka import Topic
from .report import number
from .session import say

MESSAGES = 300000
SENSORS = 100
SHARE = 0.003           # of readings, touched by each kind
SETTLED = 250           # readings of a sensor that do not count
AFTERMATH = 200         # readings in which a long episode is forgotten

# The kinds that a detector is there for.
OWN = {
    "anomaly": ("spike", "step", "drift", "noise"),
    "rate": ("spike", "step", "noise"),
    "flat": ("stuck",),
    "sequence": ("gap", "repeat"),
    "time": ("late", "future"),
}

# How many readings after its first one a label may be found; None: within it.
# A gap is known when its last number has left the window of 64, in which there
# may be others, and repeats.
WINDOWS = {"spike": 0, "step": 2, "drift": None, "noise": None, "stuck": None,
           "gap": 72, "repeat": 0, "late": 0, "future": 0}

# Kinds that leave values unusual for a while, once they are over.
LASTING = ("step", "drift", "noise", "stuck")

HEADER = ["defaults of each detector", "own kinds", "prevalence, %", "labels",
          "recall", "precision", "false per sensor-hour"]


class Evaluated(Detecting):
    """Keeps what was stored and what was found, by sensor."""

    def __init__(self):
        super().__init__()
        self.readings = defaultdict(list)   # [(offset, ts)] in order
        self.found = defaultdict(list)      # (sensor, detector): [offset]

    def details(self, run):
        for sensor, offset, moment in run.database.rows(
                "SELECT sensor_id, kafka_offset, "
                "(extract(epoch FROM ts) * 1000000)::bigint "
                "FROM factorymon.sensor_readings ORDER BY 1, 2"):
            self.readings[sensor].append((offset, moment))
        for sensor, detector, offset in run.database.rows(
                "SELECT sensor_id, detector, kafka_offset "
                "FROM factorymon.anomalies ORDER BY 1, 2, 3"):
            self.found[sensor, detector].append(offset)
        return super().details(run)


@dataclass
class Span:
    """A label, in numbers of the sensor's readings."""
    kind: str
    first: int
    last: int
    counts: bool = True     # neither too early nor too late to be found

    @property
    def end(self):
        """Number of the last reading at which it may be found."""
        window = WINDOWS[self.kind]
        return self.last if window is None else self.first + window


@dataclass
class Score:
    """Counts of one detector."""
    labels: int = 0
    found: int = 0
    hits: int = 0
    right: int = 0
    foreign: int = 0
    touched: int = 0
    by_kind: dict = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    @property
    def wrong(self):
        """Findings that nothing was put in for."""
        return self.hits - self.right - self.foreign


def microseconds(text):
    """Of an RFC 3339 timestamp in UTC with six digits, since 1970."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    moment = time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(moment) * 1000000 + int(fraction)


def spans(readings, labels):
    """Labels of a sensor as Spans."""
    places = defaultdict(list)
    for index, (_, moment) in enumerate(readings):
        places[moment].append(index)
    result = []
    for label in labels:
        first = places[microseconds(label["from"])]
        last = places[microseconds(label["to"])]
        if not first or not last:
            continue                    # made, but behind the last one sent
        place = first[-1] if label["kind"] == "repeat" else first[0]
        span = Span(label["kind"], place, max(place, last[0]))
        span.counts = place >= SETTLED and span.end < len(readings)
        result.append(span)
    return result


def judge(score, detector, all_spans, hits):
    """Add what a detector found at one sensor."""
    own = [span for span in all_spans if span.kind in OWN[detector]]
    for span in own:
        if not span.counts:
            continue
        at = bisect_left(hits, span.first)
        seen = at < len(hits) and hits[at] <= span.end
        score.labels += 1
        score.found += seen
        score.by_kind[span.kind][0] += 1
        score.by_kind[span.kind][1] += seen
        score.touched += span.last - span.first + 1
    for hit in hits:
        if hit < SETTLED:
            continue
        score.hits += 1
        if any(span.first <= hit <= max(span.last, span.end) for span in own):
            score.right += 1
        elif any(span.first <= hit <= span.last +
                 (AFTERMATH if span.kind in LASTING else 1)
                 for span in all_spans):
            score.foreign += 1


def evaluate(pipeline, labels):
    """{detector: Score}, readings that count, and sensor-hours of them."""
    by_sensor = defaultdict(list)
    for label in labels:
        by_sensor[label["sensor_id"]].append(label)
    scores = {detector: Score() for detector in OWN}
    counted, hours = 0, 0.0
    for sensor, readings in pipeline.readings.items():
        place = {offset: index for index, (offset, _) in enumerate(readings)}
        all_spans = spans(readings, by_sensor[sensor])
        settled = readings[SETTLED:]
        counted += len(settled)
        if settled:
            hours += (settled[-1][1] - settled[0][1]) / 3.6e9
        for detector, score in scores.items():
            hits = [place[offset]
                    for offset in pipeline.found[sensor, detector]]
            judge(score, detector, all_spans, hits)
    return scores, counted, hours


def share(part, whole):
    """A quotient for people; empty where there is none."""
    return f"{part / whole:.3f}" if whole else ""


def fill(session, topic, labels):
    """Readings with anomalies, and their labels."""
    session.cluster.create(topic.name)
    begin = int(time.time()) - 5 * 86400
    session.cluster.produce(
        topic.name, "--rate", 0, "--count", topic.messages, "--sensors",
        topic.sensors, "--seed", 1, "--start", f"@{begin}", "--record-time",
        "event", "--anomalies", "none", "--inject", SHARE, "--labels", labels)


def section(session, choice, contenders, report):
    """One run; a line for each detector, and one for each of its kinds."""
    messages = max(SENSORS * 1000, int(MESSAGES * choice.scale))
    topic = Topic(messages, SENSORS, purpose="detectors")
    labels = session.folder / "labels"
    fill(session, topic, labels)
    pipeline = Evaluated()
    session.attempt(pipeline, topic)
    session.cluster.delete(topic.name)
    scores, counted, hours = evaluate(
        pipeline, [json.loads(line) for line in labels.open()])
    rows, figures = [], {}
    for detector, score in scores.items():
        say(f"{detector}: {score.found} of {score.labels} found, "
            f"{score.wrong} of {score.hits} wrong")
        rows.append([detector, ", ".join(OWN[detector]),
                     number(100 * score.touched / counted, 2),
                     number(score.labels), share(score.found, score.labels),
                     share(score.right, score.right + score.wrong),
                     number(score.wrong / hours, 4)])
        for kind, (there, found) in sorted(score.by_kind.items()):
            rows.append([f"  {kind}", "", "", number(there),
                         share(found, there), "", ""])
        figures[detector] = {
            "labels": score.labels, "found": score.found, "hits": score.hits,
            "right": score.right, "foreign": score.foreign,
            "touched": score.touched, "readings": counted, "hours": hours,
            "kinds": {kind: list(pair)
                      for kind, pair in score.by_kind.items()}}
    report.add(f"Detectors: {messages:,} labelled readings of {SENSORS} "
               "sensors", HEADER, rows, "detectors", figures)
