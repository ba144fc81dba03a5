"""The benchmark proper, inside its Python environment; see ../bench --help."""

import signal
import sys

from . import options, sections
from .errors import BenchError, Wrong
from .report import Report
from .session import Session, install, say


def _end(number, _frame):
    """The first signal ends the benchmark; later ones do not disturb that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def write(path, text):
    """Write a report to a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    say(f"written: {path}")


def run(choice):
    """Run what was chosen; returns the exit code."""
    report = Report(choice.settings())
    contenders, missing = install(choice.contenders)
    for reason in missing:
        report.note(reason)
    code = 0
    try:
        with Session() as session:
            for name in choice.sections:
                sections.SECTIONS[name](session, choice, contenders, report)
    except Wrong as error:
        say(f"WRONG RESULT: {error}")
        report.note(f"FAILED: {error}")
        code = 1
    print("\n" + report.text(), flush=True)
    if choice.markdown:
        write(choice.markdown, report.markdown())
    if choice.json:
        write(choice.json, report.json())
    return code


def main():
    """Entry point; returns the exit code."""
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    try:
        return run(options.parse(sys.argv[1:]))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        print("\n".join(getattr(error, "__notes__", [])), file=sys.stderr)
        return 2


sys.exit(main())
