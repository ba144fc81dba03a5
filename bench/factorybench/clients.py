"""Clients of the dashboard, as a program of its own.

    python3 -m factorybench.clients PORT STREAMS RATE

Holds that many streams of events open and asks for the endpoints in turn, RATE
times a second, over connections that stay, until SIGTERM; then prints what it
saw as one line of JSON.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

ENDPOINTS = ("system-status", "consumer-health", "producer-health",
             "partition-assignment", "real-time-metrics", "recent-alerts",
             "alarms")
CONNECTIONS = 20


class Clients:
    """Everything that is counted."""

    def __init__(self, port):
        self._port = port
        self.answers = Counter()    # by status, or name of an exception
        self.events = Counter()     # by kind
        self.broken = 0             # streams that ended
        self.delays = []            # milliseconds

    async def _open(self):
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def stream(self):
        """One stream of events; opened anew when it ends."""
        while True:
            try:
                reader, writer = await self._open()
                writer.write(b"GET /api/stream HTTP/1.1\r\n"
                             b"Host: localhost\r\n\r\n")
                async for line in reader:
                    if line.startswith(b"event: "):
                        self.events[line[7:].strip().decode()] += 1
            except OSError:
                pass
            self.broken += 1
            await asyncio.sleep(1)

    async def _ask(self, reader, writer, path):
        writer.write(f"GET /api/{path} HTTP/1.1\r\n"
                     "Host: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1])
                      for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        return head.split(b" ", 2)[1].decode()

    async def requests(self, number, interval):
        """Requests over one connection, at fixed times."""
        reader = writer = None
        due = time.monotonic() + interval * number / CONNECTIONS
        while True:
            await asyncio.sleep(max(0, due - time.monotonic()))
            try:
                if writer is None:
                    reader, writer = await self._open()
                path = ENDPOINTS[number % len(ENDPOINTS)]
                status = await self._ask(reader, writer, path)
                # from when it was due: a server that stalls is not let off
                self.delays.append(1e3 * (time.monotonic() - due))
            except (OSError, EOFError, StopIteration) as error:
                status = type(error).__name__
                writer = None
            self.answers[status] += 1
            number += 1
            due += interval

    def result(self):
        """As a dictionary."""
        ordered = sorted(self.delays) or [0]
        return {"answers": self.answers, "events": self.events,
                "broken": self.broken,
                "p50": ordered[len(ordered) // 2],
                "p99": ordered[int(0.99 * (len(ordered) - 1))],
                "max": ordered[-1]}


async def run(port, streams, rate):
    """Until SIGTERM."""
    clients = Clients(port)
    tasks = [asyncio.create_task(clients.stream()) for _ in range(streams)]
    tasks += [asyncio.create_task(clients.requests(n, CONNECTIONS / rate))
              for n in range(CONNECTIONS)]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    for task in tasks:
        task.cancel()
    print(json.dumps(clients.result()))


if __name__ == "__main__":
    asyncio.run(run(*map(int, sys.argv[1:4])))
