"""Medians, spread and ratios: as text, as Markdown, as JSON."""

import json
from collections import Counter
from statistics import median

from . import machine

# What the tables compare with, where it took part.
REFERENCES = (("copy-text", "vs COPY text"),
              ("factorymon-1", "vs factorymon, 1 worker"),
              ("factorymon-1-no-limits", "vs no limits"))


def number(value, digits=0):
    """A number for people; empty for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def middle(results, name):
    """Median of a figure over the runs, or None if it is not known."""
    values = [getattr(result, name) for result in results]
    values = [value for value in values if value is not None]
    return median(values) if values else None


def ratio(results, reference, name="rate"):
    """Median of the ratios of runs of the same turn, or None: the machine is
    not as fast in one turn as in another."""
    ratios = [getattr(run, name) / getattr(other, name)
              for run, other in zip(results, reference)]
    return median(ratios) if ratios else None


def scaled(value, factor, digits=1):
    """A number in another unit, for people."""
    return "" if value is None else number(value / factor, digits)


def throughput_rows(results):
    """Rows of the table of one topic: {contender: [Result, ...]}."""
    by_name = {contender.name: runs for contender, runs in results.items()}
    rows = []
    for contender, runs in results.items():
        rate = middle(runs, "rate")
        spread = [run.rate for run in runs]
        row = [contender.title, number(rate / 1e3, 1),
               f"{min(spread) / 1e3:,.1f}-{max(spread) / 1e3:,.1f}"]
        for name, _ in REFERENCES:
            row.append(number(ratio(runs, by_name.get(name, [])), 2))
        together = [run.details.get("together") for run in runs]
        row.append(scaled(median(together), 1e3) if all(together) else "")
        row += [scaled(middle(runs, "cpu"), 1, 2),
                scaled(middle(runs, "cpu_workers"), 1, 2),
                number(middle(runs, "wal_per_row")),
                number(middle(runs, "heap_per_row")),
                number(middle(runs, "index_per_row")),
                scaled(middle(runs, "memory"), 2 ** 20, 0),
                scaled(middle(runs, "first_commit"), 1, 2),
                number(runs[0].rows), str(len(runs))]
        rows.append(row)
    return rows


def shares(runs):
    """What was observed at how many looks, if anything, in words."""
    seen = sum((Counter(run.details.get("observed", {})) for run in runs),
               Counter())
    total = sum(seen.values())
    return ", ".join(f"{what} {100 * count / total:.0f} %"
                     for what, count in seen.most_common(6))


def core_shares(runs):
    """Medians of the shares of the cores, in words, where they are known."""
    known = [run.details["cores"] for run in runs if run.details.get("cores")]
    if not known:
        return ""
    return ", ".join(
        f"{what} {100 * median(shares[what] for shares in known):.0f} %"
        for what in known[0])


THROUGHPUT_HEADER = [
    "", "k rows/s", "spread", *(title for _, title in REFERENCES),
    "k rows/s, all busy", "CPU s/M rows, all", "CPU s/M rows, ingest", "WAL B/row", "heap B/row",
    "index B/row", "memory MiB", "first commit s", "rows", "runs"]


def as_text(header, rows):
    """A table for a terminal, with a two-line header if it is wide."""
    table = [header, *rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    lines = []
    for line in table:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(header, rows):
    """The same table in Markdown."""
    lines = ["| " + " | ".join(header) + " |",
             "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
              for row in rows]
    return "\n".join(lines)


class Report:
    """Collects sections, each a table with a title, and notes."""

    def __init__(self, settings):
        self.settings = settings
        self.machine = machine.describe()
        self.sections = []
        self.notes = []
        self.raw = {}

    def add(self, title, header, rows, name, figures):
        """A table, and the figures behind it under a name for JSON."""
        self.sections.append((title, header, rows))
        self.raw[name] = figures

    def add_throughput(self, topic, results):
        """The table of one topic."""
        if results:
            self.add(
                f"Throughput: {topic.messages:,} messages, {topic.title}",
                THROUGHPUT_HEADER, throughput_rows(results),
                f"throughput {topic.name}",
                {contender.name: [run.figures() for run in runs]
                 for contender, runs in results.items()})
        for contender, runs in results.items():
            waits = shares(runs)
            if waits:
                self.note(f"{contender.title}, {topic.title}: {waits}")
            cores = core_shares(runs)
            if cores:
                self.note(f"{contender.title}, {topic.title}, the cores' "
                          f"time: {cores}")

            for text in {run.details["alarms"] for run in runs
                         if "alarms" in run.details}:
                self.note(f"{contender.title}, {topic.title}: {text}")

    def note(self, text):
        """Something that the reader of the tables must know."""
        self.notes.append(text)

    def text(self):
        """For the terminal."""
        parts = ["\n".join(f"{name}: {value}" for name, value in
                           [*self.machine, *self.settings])]
        parts += [f"{title}\n\n{as_text(header, rows)}"
                  for title, header, rows in self.sections]
        if self.notes:
            parts.append("\n".join(f"* {note}" for note in self.notes))
        return "\n\n".join(parts)

    def markdown(self):
        """For docs/performance.md."""
        parts = [as_markdown(["machine", ""], [
            [name, value] for name, value in
            [*self.machine, *self.settings]])]
        parts += [f"### {title}\n\n{as_markdown(header, rows)}"
                  for title, header, rows in self.sections]
        if self.notes:
            parts.append("\n".join(f"* {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"

    def json(self):
        """Every single figure."""
        return json.dumps({"machine": dict(self.machine),
                           "settings": dict(self.settings),
                           "figures": self.raw, "notes": self.notes},
                          indent=1, default=str) + "\n"
