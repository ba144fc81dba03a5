"""The command line.  Without PostgreSQL and packages: bench --help needs it."""

import argparse
from dataclasses import dataclass, field

DESCRIPTION = """\
Measures factorymon on a real Kafka of three brokers and a private PostgreSQL,
both in a temporary folder, beside its limits and beside what people use
instead.  See bench/README.md for what is measured and how."""

EPILOG = """\
commands:
  quick        throughput of factorymon, the limits and the fastest peers, and
               what each of alarms, detectors, formats, deduplication, rollups
               and the archive costs, in less than half an hour
  full         everything: throughput of all, alarms, kill, latency,
                growth, memory, detectors, rollups, queries, dedup,
                dashboard, formats, archive
  throughput   rows per second, CPU, WAL, memory of all contenders
  alarms       what limits, detectors and alarms cost, beside none
  kill         rows lost and duplicated after kill -9 in the middle
  latency      from produce to visible, at 1 k, 10 k and 50 k messages/s
  growth       with more rows, more sensors, more time partitions
  detectors    how many labelled anomalies each detector finds
  memory       10 M messages, some of 900 kB, through one worker
  rollups      what minutes, hours and days cost, and answer
  queries      docs/queries.md at 50 million readings: time, and what is read
  dedup        what deduplication costs, of few and of many repetitions
  dashboard    ingest at 10 k messages/s beside many clients of the dashboard
  formats      the same readings in each built-in format
  archive      ingest while history files are written
  list         the contenders, by name

Exit codes: 0 measured; 1 a run of factorymon was not exact; 2 something could
not be started or measured, or wrong usage; 128 + N ended by signal N."""

COMMANDS = {
    "quick": ("throughput", "alarms", "detectors", "formats", "dedup",
              "rollups", "archive"),
    "full": ("throughput", "alarms", "kill", "latency", "growth", "memory",
             "detectors", "rollups", "queries", "dedup", "dashboard", "formats",
             "archive"),
    "throughput": ("throughput",),
    "alarms": ("alarms",),
    "kill": ("kill",),
    "latency": ("latency",),
    "growth": ("growth",),
    "memory": ("memory",),
    "detectors": ("detectors",),
    "rollups": ("rollups",),
    "queries": ("queries",),
    "dedup": ("dedup",),
    "dashboard": ("dashboard",),
    "formats": ("formats",),
    "archive": ("archive",),
}


@dataclass
class Choice:
    """What shall be measured."""
    command: str
    sections: tuple
    messages: int
    repeat: int
    contenders: list = field(default_factory=list)
    markdown: str = None
    json: str = None
    rates: tuple = (1000, 10000, 50000)
    seconds: int = 20
    scale: float = 1.0
    sensors: tuple = (1000, 100000)
    codecs: tuple = ("none", "lz4")
    growth: tuple = ("sensors", "partitions", "rows")
    inject: float = 0

    @property
    def quick(self):
        """Whether the user waits for it."""
        return self.command == "quick"

    def settings(self):
        """Pairs of a name and a value, for the report."""
        return [("command", self.command),
                ("messages", f"{self.messages:,}"),
                ("runs each", str(self.repeat))]


def parser():
    """The parser of the command line."""
    result = argparse.ArgumentParser(
        prog="bench", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("command", choices=[*COMMANDS, "list"])
    result.add_argument("--messages", type=int, metavar="N",
                        help="in the prefilled topics (quick: 1000000, "
                        "else 3000000)")
    result.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="runs of each contender, in turns (3)")
    result.add_argument("--only", metavar="NAME,...",
                        help="these contenders (bench list)")
    result.add_argument("--sensors", default="1000,100000", metavar="N,...",
                        help="topics of the throughput section")
    result.add_argument("--codecs", default="none,lz4", metavar="NAME,...",
                        help="how their messages are compressed")
    result.add_argument("--inject", type=float, default=0, metavar="P",
                        help="share of their readings touched by anomalies "
                        "of each kind (0)")
    result.add_argument("--rates", default="1000,10000,50000", metavar="R,...",
                        help="messages/s of the latency section")
    result.add_argument("--seconds", type=int, default=20, metavar="S",
                        help="how long each of these is produced (20)")
    result.add_argument("--scale", type=float, default=1.0, metavar="F",
                        help="factor for the sizes of the growth, memory, "
                        "detectors and dashboard sections, to try them out "
                        "(1)")
    result.add_argument("--growth", default="sensors,partitions,rows",
                        metavar="PART,...",
                        help="what grows in the growth section")
    result.add_argument("--markdown", metavar="FILE",
                        help="write the tables as Markdown")
    result.add_argument("--json", metavar="FILE",
                        help="write every single figure")
    result.add_argument("--no-build", action="store_true",
                        help="use what is built and installed already")
    return result


def parse(arguments):
    """A Choice; ends the program on wrong usage."""
    from peers import REGISTRY, QUICK

    commandline = parser()
    given = commandline.parse_args(arguments)
    if given.command == "list":
        for contender in REGISTRY.values():
            print(f"{contender.name:18} {contender.title}")
        raise SystemExit(0)
    names = QUICK if given.command == "quick" else list(REGISTRY)
    if given.only:
        names = given.only.split(",")
        for name in names:
            if name not in REGISTRY:
                commandline.error(f"there is no contender \"{name}\"")
    for part in given.growth.split(","):
        if part not in ("sensors", "partitions", "rows"):
            commandline.error(f"nothing grows that is called \"{part}\"")
    messages = given.messages or (
        1000000 if given.command == "quick" else 3000000)
    if messages < 1000 or given.repeat < 1:
        commandline.error("--messages is at least 1000, --repeat at least 1")
    return Choice(given.command, COMMANDS[given.command], messages,
                  given.repeat, [REGISTRY[name] for name in names],
                  given.markdown, given.json,
                  tuple(int(rate) for rate in given.rates.split(",")),
                  given.seconds, given.scale,
                  tuple(int(n) for n in given.sensors.split(",")),
                  tuple(given.codecs.split(",")),
                  tuple(given.growth.split(",")), given.inject)
