"""Programs that the benchmark starts, and what /proc says about processes.

Everything is ended by process id.  Each program leads a session of its own,
so that a Ctrl-C in the terminal reaches the benchmark alone, which then ends
what it has started in order.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat after the name, or None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def descendants(pid):
    """The process and all that descend from it, as far as they live."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(entry)
            if fields and fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, []))
    return found


def cpu_seconds(pids):
    """CPU time of processes, of their threads, and of children they reaped."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def thread_seconds(pids, *names):
    """CPU time of those threads of processes whose names begin so."""
    ticks = 0
    for pid in pids:
        for file in Path("/proc").glob(f"{pid}/task/*/stat"):
            try:
                before, _, after = file.read_text().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if before.partition("(")[2].startswith(names):
                ticks += sum(int(field) for field in after.split()[11:13])
    return ticks / TICKS


def machine_seconds():
    """CPU seconds of all cores since the start, as a dictionary: how long
    they had nothing to do ("idle"), were kept by the host ("stolen"), and the
    sum of everything ("all")."""
    fields = [int(field) for field in
              Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return {"idle": (fields[3] + fields[4]) / TICKS,
            "stolen": fields[7] / TICKS, "all": sum(fields) / TICKS}


def memory(pids):
    """(private bytes now, peak of resident bytes) of processes, summed."""
    private = peak = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                private += int(line.split()[1]) * 1024
            elif line.startswith("VmHWM:"):
                peak += int(line.split()[1]) * 1024
    return private, peak


class Program:
    """A program in the background, with its output in a file."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.name = Path(argv[0]).name
        self.log = Path(log)
        self._used = 0.0
        with open(self.log, "ab") as output:
            self._process = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd,
                start_new_session=True)
        self.pid = self._process.pid

    def exit_code(self):
        """Its exit code, or None while it runs."""
        if self._process.returncode is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._used = usage.ru_utime + usage.ru_stime
        return self._process.returncode

    def processes(self):
        """The living processes of the program."""
        return [] if self.exit_code() is not None else descendants(self.pid)

    def cpu_seconds(self):
        """What the program and its children have used so far."""
        living = self.processes()
        return cpu_seconds(living) if living else self._used

    def wait(self, timeout):
        """Wait for its end; true if it came in time."""
        deadline = time.monotonic() + timeout
        while self.exit_code() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self, number=signal.SIGTERM, timeout=30):
        """End it with a signal to the program alone, else with kill()."""
        if self.exit_code() is None:
            os.kill(self.pid, number)
            if not self.wait(timeout):
                self.kill()
        self.kill_rest()

    def kill(self):
        """kill -9 for the program and everything that descends from it."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.wait(10)
        self.kill_rest()

    def kill_rest(self):
        """End what is left of its process group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def last_words(self, lines=15):
        """The end of its output."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])
