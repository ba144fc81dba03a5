"""One benchmark: server and brokers for its duration, runs in turns."""

import itertools
import shutil
import time

from . import kafka, paths, server
from .contender import Run
from .errors import BenchError, Unavailable, Wrong
from .limits import Export


RUN_OVERHEAD = 8        # seconds for databases, tables, checks
WARM = 0.1              # share of a core for compilers, from which on
WARM_UP_SECONDS = 200   # at most, but for the run that is under way


def say(text):
    """Progress, for people."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Session:
    """Everything that was started is ended when the session is left."""

    def __init__(self):
        self.folder = paths.temporary_folder()
        self.server = server.Server(self.folder)
        self.cluster = kafka.Cluster(self.folder / "kafka")
        self.exports = Export(self.folder)
        self._numbers = itertools.count(1)
        self._warm = False

    def __enter__(self):
        try:
            say("starting PostgreSQL and three Kafka brokers")
            self.server.start()
            self.cluster.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for end in (self.cluster.stop, self.server.stop):
            try:
                end()
            except (BenchError, OSError) as error:
                say(f"at the end: {error}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def fill(self, topic):
        """Make sure that a topic is there, filled."""
        began = time.monotonic()
        self.cluster.fill(topic)
        seconds = time.monotonic() - began
        if seconds > 0.5:
            say(f"filled {topic.name}: {seconds:.1f} s, "
                f"{topic.messages / seconds / 1e3:.0f} k messages/s")

    def attempt(self, contender, topic, measure=None):
        """One run of a contender, in a new database and a new folder."""
        number = next(self._numbers)
        folder = self.folder / f"run-{number}"
        folder.mkdir()
        with self.server.database(f"run_{number}") as database:
            run = Run(self.server, database, self.cluster, topic,
                      f"bench-{number}", folder, exports=self.exports)
            try:
                return (measure or contender.measure)(run)
            except BenchError as error:
                for log in sorted(folder.glob("*.log")):
                    words = log.read_text(errors="replace").splitlines()
                    error.add_note(f"--- {log.name}\n" +
                                   "\n".join(words[-15:]))
                raise
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def warm_up(self, contenders, topic):
        """Once: runs that do not count, until the compilers of the brokers'
        virtual machines have little to do.  In a plant they have seen it all
        long ago; here they would take most of a core from the first runs."""
        for contender in contenders:
            if self._warm or not contender.uses_brokers_most:
                continue
            self._warm = True
            self.fill(topic)
            ends = time.monotonic() + WARM_UP_SECONDS
            while time.monotonic() < ends:
                began = time.monotonic()
                before = self.cluster.compiler_seconds()
                self.attempt(contender, topic)
                share = (self.cluster.compiler_seconds() - before) / \
                    (time.monotonic() - began)
                say(f"warming up with {contender.name}: the brokers' "
                    f"compilers took {share:.2f} cores")
                if share < WARM:
                    break

    def take_turns(self, contenders, topic, repeat):
        """A B C, A B C, ...; returns {contender: [Result, ...]}.  A peer that
        fails is left out from then on, with its reason in the output; a run
        of factorymon that is not exact ends everything (Wrong)."""
        results = {}
        out = set()
        seconds = sum(
            RUN_OVERHEAD + contender.seconds_per_million / 1e6 *
            min(topic.messages, contender.sample or topic.messages)
            for contender in contenders)
        say(f"{topic.title}: {len(contenders)} contenders, {repeat} turns, "
            f"about {repeat * seconds / 60:.0f} minutes")
        self.warm_up(contenders, topic)
        for turn in range(1, repeat + 1):
            for contender in contenders:
                if contender in out:
                    continue
                part = topic
                if contender.sample and contender.sample < topic.messages:
                    part = kafka.Topic(contender.sample, topic.sensors,
                                       topic.codec, inject=topic.inject)
                self.fill(part)
                try:
                    result = self.attempt(contender, part)
                except Wrong:
                    raise
                except BenchError as error:
                    out.add(contender)
                    say(f"{contender.name}: {error}")
                    print("\n".join(getattr(error, "__notes__", [])))
                    if contender.family != "peer":
                        raise
                    continue
                results.setdefault(contender, []).append(result)
                lost = f"; {result.lost:,} LOST" if result.lost else ""
                twice = f"; {result.duplicated:,} TWICE" \
                    if result.duplicated else ""
                say(f"{topic.title}, turn {turn} of {repeat}: "
                    f"{contender.name}: {result.rate / 1e3:,.1f} k/s"
                    f"{lost}{twice}")
        return results


def install(contenders):
    """Fetch and build what the contenders need; returns those that can be
    tried, and the reasons of the others."""
    ready, missing = [], []
    for contender in contenders:
        try:
            contender.install()
            ready.append(contender)
        except Unavailable as error:
            say(f"{contender.name} is left out: {error}")
            missing.append(f"{contender.title}: left out, {error}")
    return ready, missing
