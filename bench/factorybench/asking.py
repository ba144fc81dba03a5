#!/usr/bin/env python3
"""asking: run every example of docs/queries.md and look at what it reads.

    asking.py [--repeat N] [--markdown FILE] DOCUMENT CONNECTION

Before each block of SQL the document says what the example may read:

    <!-- reads: rollup_1h 2, reading 1 -->

the kinds of storage and in how many time partitions of each.  Beside these it
may look into the newest partitions of the levels below, for what is not summed
up yet (PENDING).  What was read is what the executor did (auto_explain, also
inside of functions), not what the planner meant to do.

Fails if an example has an error, returns nothing (unless it says "; may be
empty"), or reads more.  Only the standard library and psql are needed; the test
test/t/157_queries.pl calls it, and so does bench/bench queries.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field

KINDS = ("reading", "rollup_1m", "rollup_1h", "rollup_1d")
# What is not summed up yet is read from the levels below: so many of the newest
# time partitions at most (a few minutes may lie on both sides of midnight, and
# there is one for tomorrow), and so many rows.
PENDING = {"reading": 3, "rollup_1m": 2, "rollup_1h": 2}
PENDING_READINGS = 5000
BLOCK = re.compile(r"^### (?P<title>.*?)$|"
                   r"^<!-- reads: (?P<reads>.*?) -->$|"
                   r"^```sql\n(?P<sql>.*?)^```$", re.M | re.S)
LEAF = re.compile(r"^(reading|rollup_1[mhd])_\d+_p")
PLAN = re.compile(r"LOG: +duration: [\d.]+ ms +plan:\n")
EXPLAIN = """LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_format = json;
SET client_min_messages = log;
"""


class Trouble(Exception):
    """An example that does not do what the document says."""


@dataclass
class Example:
    """One block of SQL, and what it may read."""
    title: str
    sql: str
    allowed: dict
    may_be_empty: bool
    rows: int = 0
    times: list = field(default_factory=list)
    with_jit: float = 0
    touched: dict = field(default_factory=dict)
    read: dict = field(default_factory=dict)


def promise(text):
    """{kind: partitions}, and whether no row is an answer, of a comment."""
    kinds, _, rest = text.partition(";")
    allowed = {}
    for part in kinds.split(","):
        kind, _, most = part.strip().partition(" ")
        if kind not in KINDS + ("nothing",) or most and not most.isdigit():
            raise Trouble(f"not understood: {text}")
        if kind != "nothing":
            allowed[kind] = int(most or 1)
    return allowed, rest.strip() == "may be empty"


def examples(path):
    """All examples of the document, in order."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found, title, reads = [], None, None
    for match in BLOCK.finditer(text):
        if match["title"]:
            title, number = match["title"], 0
        elif match["reads"]:
            reads = promise(match["reads"])
        else:
            if reads is None:
                raise Trouble(f"{title}: does not say what it reads")
            number += 1
            found.append(Example(f"{title} ({number})" if number > 1
                                 else title, match["sql"], *reads))
            reads = None
    if not found or len(found) != len(re.findall(r"^```sql$", text, re.M)):
        raise Trouble(f"{path}: blocks of SQL were overlooked")
    return found


def psql(connection, script):
    """Output and messages of a script; an error is one."""
    answer = subprocess.run(
        ["psql", "-X", "-q", "-A", "-v", "ON_ERROR_STOP=1", "-d", connection],
        input=script, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    if answer.returncode != 0:
        raise Trouble(answer.stderr[-2000:].strip())
    return answer.stdout, answer.stderr


def partitions(connection):
    """{kind: how many time partitions there are}."""
    out, _ = psql(connection, "\\t\nSELECT relname FROM pg_class"
                  " WHERE relkind = 'r' AND relnamespace ="
                  " '_factorymon'::regnamespace;")
    kinds = [match[1] for match in map(LEAF.match, out.split()) if match]
    return {kind: kinds.count(kind) for kind in KINDS}


def scans(node):
    """Executed scans of time partitions below a node: table and rows."""
    leaf = LEAF.match(node.get("Relation Name", ""))
    if leaf and node.get("Actual Loops", 0) > 0:
        yield (leaf[1], node["Relation Name"],
               node["Actual Loops"] * node["Actual Rows"])
    for below in node.get("Plans", ()):
        yield from scans(below)


def look(connection, example):
    """What it touched and read, as the executor saw it."""
    _, messages = psql(connection, EXPLAIN + example.sql)
    plans = PLAN.split(messages)[1:]
    if not plans:
        raise Trouble("no plan was seen")
    names = {}
    for text in plans:
        plan, _ = json.JSONDecoder().raw_decode(text)
        for kind, table, rows in scans(plan["Plan"]):
            names.setdefault(kind, set()).add(table)
            example.read[kind] = example.read.get(kind, 0) + rows
    example.touched = {kind: len(tables) for kind, tables in names.items()}


def judge(example):
    """Did it keep to what the document says?"""
    if example.rows == 0 and not example.may_be_empty:
        raise Trouble("returns nothing")
    for kind, most in example.allowed.items():
        if example.touched.get(kind, 0) == 0 and not example.may_be_empty:
            raise Trouble(f"does not read {kind}")
        if most < example.touched.get(kind, 0):
            raise Trouble(f"reads {example.touched[kind]} partitions of "
                          f"{kind}, more than {most}")
    coarsest = max(map(KINDS.index, example.allowed), default=0)
    for kind in set(example.touched) - set(example.allowed):
        if KINDS.index(kind) > coarsest:
            raise Trouble(f"reads {kind}")
        if example.touched[kind] > PENDING[kind] or \
                kind == "reading" and example.read[kind] > PENDING_READINGS:
            raise Trouble(f"reads {example.touched[kind]} partitions of "
                          f"{kind}, {example.read[kind]} rows, beside what "
                          "it says")


def measure(connection, example, times, jit):
    """Milliseconds of each time, in order as it was run."""
    out, _ = psql(connection, f"SET jit = {jit};\n\\timing on\n"
                  + example.sql * times)
    answers = re.findall(r"^\((\d+) rows?\)$", out, re.M)
    marks = re.findall(r"^Time: ([\d.]+) ms", out, re.M)
    if not len(answers) == len(marks) == times:
        raise Trouble("is not one statement with an answer")
    example.rows = int(answers[-1])
    return [float(mark) for mark in marks]


def ask(connection, example, repeat):
    """Time it, look at it, judge it."""
    example.times = sorted(
        measure(connection, example, repeat + 1, "off")[1:])
    [example.with_jit] = measure(connection, example, 1, "on")
    look(connection, example)
    judge(example)


def cells(example, there):
    """One row of the table."""
    middle = len(example.times) // 2
    return [example.title, f"{example.rows:,}",
            f"{example.times[middle]:,.1f}", f"{example.times[-1]:,.1f}",
            f"{example.with_jit:,.1f}",
            *(f"{example.touched[kind]} of {there[kind]}: "
              f"{round(example.read[kind]):,}" if kind in example.touched
              else "" for kind in KINDS)]


HEADER = ["question", "rows", "median, ms", "most, ms",
          "once with jit, ms", "readings", "minutes", "hours", "days"]


def ask_all(path, connection, repeat, say=print):
    """Rows of the table, and how many examples failed."""
    there = partitions(connection)
    rows, failed = [], 0
    for example in examples(path):
        try:
            ask(connection, example, repeat)
            say("ok: " + "; ".join(filter(None, cells(example, there))))
        except Trouble as trouble:
            failed += 1
            say(f"FAILED: {example.title}: {trouble}")
        if example.touched:
            rows.append(cells(example, there))
    return rows, failed


def main():
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("document")
    parser.add_argument("connection", help="as psql -d has it")
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="times each is measured, after one that is not")
    parser.add_argument("--markdown", metavar="FILE",
                        help="write the table there")
    given = parser.parse_args()
    try:
        rows, failed = ask_all(given.document, given.connection, given.repeat)
    except Trouble as trouble:
        print(f"asking: {trouble}", file=sys.stderr)
        return 2
    if given.markdown:
        with open(given.markdown, "w", encoding="utf-8") as file:
            for row in (HEADER, ["---"] + ["---:"] * (len(HEADER) - 1), *rows):
                file.write("| " + " | ".join(row) + " |\n")
    print(f"{len(rows)} examples, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
