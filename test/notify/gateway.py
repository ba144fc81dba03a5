#!/usr/bin/env python3
#
# gateway.py: takes for a gateway of text messages whoever does not look closely.
#
#	gateway.py --port-file FILE --record FILE --answer FILE
#
# Keeps each request, and what it got, as a line of JSON; answers with the status
# that the file --answer has at that time (200 where there is none), which may
# be one for each number, as a JSON object, with "" for all others.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

"""A gateway of text messages, for tests."""

import argparse
import http.server
import json
import os
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    """Records what it is asked to send."""

    def log_message(self, *_):
        """The record is enough."""

    def do_POST(self):
        """A message"""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        kind = self.headers["Content-Type"]
        if kind == "application/json":
            fields = json.loads(body)
        else:
            fields = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        status = self.server.status_for(str(fields.get("to")))
        self.server.record({"path": self.path, "kind": kind, "fields": fields,
                            "authorization": self.headers["Authorization"],
                            "status": status})
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        """What a redirected message would become"""
        self.server.record({"path": self.path, "status": "GET"})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Gateway(http.server.ThreadingHTTPServer):
    """Listens at a free port; requests is what came, status what they get."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.status = {}

    def status_for(self, number):
        """The status that a request for a number gets now."""
        return self.status.get(number, self.status.get("", 200))

    def record(self, request):
        """Keep a request."""
        self.requests.append(request)


class Program(Gateway):
    """The same, in files."""

    def __init__(self, options):
        super().__init__()
        self.options = options

    def status_for(self, number):
        try:
            with open(self.options.answer, encoding="utf-8") as file:
                self.status = json.load(file)
        except FileNotFoundError:
            self.status = {}
        return super().status_for(number)

    def record(self, request):
        append(self.options.record, request)


def append(path, record):
    """A line to a record, at once: whoever reads it sees all of it or nothing."""
    with open(path, "ab", buffering=0) as file:
        file.write(json.dumps(record).encode() + b"\n")


def announce(port_file, port):
    """Tell the port, when there is something to connect to."""
    with open(port_file + ".new", "w", encoding="utf-8") as file:
        file.write(f"{port}\n")
    os.rename(port_file + ".new", port_file)


def main():
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--port-file", "--record", "--answer"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    with Program(options) as server:
        announce(options.port_file, server.server_address[1])
        server.serve_forever()


if __name__ == "__main__":
    main()
