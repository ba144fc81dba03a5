"""Metabase's REST API, as much of it as provisioning needs.

A session sends its id in the header X-Metabase-Session.  Bodies carry only the
members that the API names: newer versions refuse others, so nothing that was
read is ever sent back as it came.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

# Metabase says why it refuses, but not always briefly.
LONGEST_REASON = 500


class ProvisionError(Exception):
    """What ends the program: a message, and the exit code that goes with it."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


class Refused(ProvisionError):
    """Metabase answered, with another status than success."""

    def __init__(self, what, status, reason):
        super().__init__(f"{what}: Metabase answered {status}: {reason}")
        self.status = status
        self.reason = reason


def reason_of(body):
    """What an answer that is no success says, in one line.

    It is plain text, or JSON with "message", or with "errors" by field.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict):
        fields = value.get("errors")
        parts = [value.get("message")]
        if isinstance(fields, dict):
            parts += [f"{name}: {said}" for name, said in fields.items()]
        value = "; ".join(str(part) for part in parts if part) or text
    return " ".join(str(value).split())[:LONGEST_REASON] or "nothing"


class Client:
    """One Metabase; `session` is set once logged in."""

    def __init__(self, url, timeout=60):
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.session = None

    def open(self, method, path, body=None, query=None):
        """Status and body of an answer; OSError if there is none."""
        address = self.url + path
        if query:
            address += "?" + urllib.parse.urlencode(query, doseq=True)
        request = urllib.request.Request(address, method=method)
        request.add_header("Accept", "application/json")
        if self.session:
            request.add_header("X-Metabase-Session", self.session)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def call(self, method, path, body=None, query=None):
        """The value of a successful answer; Refused otherwise."""
        what = f"{method} {path}"
        try:
            status, answer = self.open(method, path, body, query)
        except OSError as error:
            raise ProvisionError(f"{what}: no answer from {self.url}: {error}", 3)
        if not 200 <= status < 300:
            raise Refused(what, status, reason_of(answer))
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            raise ProvisionError(f"{what}: the answer is not JSON:"
                                 f" {reason_of(answer)}")

    def get(self, path, **query):
        return self.call("GET", path, query=query)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def put(self, path, body):
        return self.call("PUT", path, body)


def wait_until(done, seconds, pause=1.0):
    """Ask until there is a true answer, which is returned, or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= deadline
        value = done()
        if value or late:
            return value
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))


def wait_for_health(client, seconds, say):
    """Until Metabase is up; its first start takes minutes."""
    last = None

    def healthy():
        nonlocal last
        try:
            status, answer = client.open("GET", "/api/health")
        except OSError as error:
            now = f"no answer: {error}"
        else:
            if status == 200:
                return True
            now = f"{status}: {reason_of(answer)}"
        if now != last:
            say(f"waiting for {client.url}: {now}")
        last = now
        return False

    if not wait_until(healthy, seconds):
        raise ProvisionError(f"{client.url} did not come up within {seconds:g} s;"
                             f" last: {last}", 3)
