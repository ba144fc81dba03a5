"""Superset's REST API, as much of it as provisioning needs.

A login gives a token for the header Authorization; what changes something needs
a second one against forged requests (CSRF), which is bound to a cookie.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import http.client
import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request

SUCCESS = range(200, 300)


class Failure(Exception):
    """A message for people, and the exit code that goes with it."""

    def __init__(self, message, code=1, status=None):
        super().__init__(message)
        self.code = code
        self.status = status


def explain(content):
    """The reason in an answer that is no success; JSON in several shapes."""
    text = content.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
        errors = answer.get("errors")
        said = ([error.get("message") for error in errors] if errors
                else answer.get("message", answer.get("msg")))
    except (ValueError, AttributeError, TypeError):
        said = text
    said = said if isinstance(said, str) else json.dumps(said)
    return " ".join(said.split())[:400]


def rison(value):
    """A value as the API wants it in addresses: rison, of the kinds we use."""
    if isinstance(value, bool):
        return "!t" if value else "!f"
    if isinstance(value, dict):
        return "(" + ",".join(f"{k}:{rison(v)}" for k, v in value.items()) + ")"
    if isinstance(value, list):
        return "!(" + ",".join(map(rison, value)) + ")"
    if isinstance(value, str):
        return "'" + value.replace("!", "!!").replace("'", "!'") + "'"
    return str(value)


class Superset:
    """One Superset, as one user of it."""

    def __init__(self, url, timeout=120):
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.headers = {"Accept": "application/json", "Referer": self.url}
        self.writes = 0
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def send(self, method, path, body=None):
        """Status and content of the answer; the connection must work."""
        request = urllib.request.Request(
            self.url + path, method=method, headers=dict(self.headers),
            data=None if body is None else json.dumps(body).encode())
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=self.timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"{self.url} does not answer: {error}", 3) from None

    def call(self, method, path, body=None):
        """The answer as JSON; Failure if it is no success."""
        status, content = self.send(method, path, body)
        if status not in SUCCESS:
            raise Failure(f"{method} {path}: Superset answered {status}:"
                          f" {explain(content)}", status=status)
        try:
            return json.loads(content)
        except ValueError:
            raise Failure(f"{method} {path}: the answer is no JSON; is this"
                          " Superset?") from None

    def get(self, path, query=None):
        """GET, with a query in rison."""
        if query is not None:
            path += "?q=" + urllib.parse.quote(rison(query))
        return self.call("GET", path)

    def write(self, method, path, body):
        """POST or PUT of something that stays."""
        self.writes += 1
        return self.call(method, path, body)

    def find(self, kind, **values):
        """The id of the first object with these values, or None."""
        found = self.get(f"/api/v1/{kind}/", {
            "filters": [
                # a database is related to, the others are plain columns
                {"col": column, "value": value,
                 "opr": "rel_o_m" if column == "database" else "eq"}
                for column, value in values.items()],
            "page_size": 100})
        return min((row["id"] for row in found["result"]), default=None)

    def wait(self, seconds):
        """Wait until it is up."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, _ = self.send("GET", "/health")
                reason = f"/health answers {status}"
                if status in SUCCESS:
                    return
            except Failure as failure:
                reason = failure
            if time.monotonic() > deadline:
                raise Failure(f"Superset is not up after {seconds:g} s:"
                              f" {reason}", 3)
            time.sleep(1)

    def log_in(self, user, password):
        """As this user, from now on."""
        status, content = self.send("POST", "/api/v1/security/login", {
            "username": user, "password": password, "provider": "db",
            "refresh": False})
        if status not in SUCCESS:
            raise Failure(f"{user} cannot log in: {explain(content)}", 4)
        token = json.loads(content)["access_token"]
        self.headers["Authorization"] = "Bearer " + token
        self.headers["X-CSRFToken"] = self.get(
            "/api/v1/security/csrf_token/")["result"]
