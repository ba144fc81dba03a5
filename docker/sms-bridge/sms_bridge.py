#!/usr/bin/env python3
#
# sms_bridge.py: from Alertmanager's webhook to a gateway for text messages.
#
# Alertmanager posts a group of alerts as JSON of its own; a gateway wants a
# number and a text.  Each notification becomes one text of one message (160
# characters, 70 where an alphabet needs it), and one request for each number.
#
# Nothing is lost: while a number is not served, Alertmanager is told so (502),
# and it comes again, with growing pauses.  Nothing is sent twice meanwhile:
# which numbers were served is remembered, in memory, so after a restart amid an
# outage of the gateway some may get a text twice; also one that the gateway
# took without saying so in time.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

"""Passes alerts of Prometheus' Alertmanager on to an SMS gateway.

Settings are environment variables; secrets are only read from files, again for
each message, so that they can be changed without a restart.

  SMS_GATEWAY_URL     where to POST a message (http or https); required
  SMS_NUMBERS         who gets it: +4912345,+5511987654321; required
  SMS_FORMAT          json, or form for application/x-www-form-urlencoded [json]
  SMS_NUMBER_FIELD    name of the field with the number; in JSON a name that
                      ends in [] makes it a list of one [to]
  SMS_TEXT_FIELD      name of the field with the text [text]
  SMS_EXTRA           more fields, as a JSON object: {"from": "plant"} [{}]
  SMS_TOKEN_FILE      file with the gateway's secret, sent as a Bearer token
  SMS_USER            user's name: the secret is a password (Basic), no token
  SMS_TIMEOUT         seconds that the gateway may take for one number [10]
  SMS_LISTEN          address and port to listen on [127.0.0.1:9095]
  SMS_INBOUND_TOKEN_FILE
                      file with a Bearer token that Alertmanager has to send
  SMS_REMEMBER        seconds for which a notification that everybody has is not
                      sent again; less than Alertmanager's repeat_interval [300]

Alertmanager's webhook is http://ADDRESS:PORT/alertmanager; GET /healthz tells
that the program is alive, and counts.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import unicodedata
import urllib.error
import urllib.parse
import urllib.request

MAX_BODY = 4 * 1024 * 1024

# What was not finished is forgotten after a day without another try.
FORGET_UNFINISHED = 86400

# A gateway's objections to this number or this text; whatever else it says may
# be over later: an outage, a wrong token, no credit.
REFUSED = (400, 422)


# ---------------------------------------------------------------- settings

class SettingError(Exception):
    """A setting is missing or makes no sense; the text says which and why."""


def _number(env, name, default, least):
    """A setting in seconds."""
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < float("inf"):
        raise SettingError(f"{name} must be a number from {least} on, not {text!r}")
    return value


def read_secret(path, name):
    """The content of a file with a secret, without the end of its line."""
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}: {error}") from None
    if not secret or "\n" in secret:
        raise SettingError(f"{name}: {path} must hold one line, the secret")
    return secret


class Settings:
    """Settings from the environment, checked."""

    def __init__(self, env):
        self.url = self._url(env.get("SMS_GATEWAY_URL", ""))
        self.numbers = self._numbers(env.get("SMS_NUMBERS", ""))
        self.format = env.get("SMS_FORMAT") or "json"
        if self.format not in ("json", "form"):
            raise SettingError(f"SMS_FORMAT is json or form, not {self.format!r}")
        self.number_field = env.get("SMS_NUMBER_FIELD") or "to"
        self.text_field = env.get("SMS_TEXT_FIELD") or "text"
        self.extra = self._extra(env.get("SMS_EXTRA") or "{}")
        self.token_file = env.get("SMS_TOKEN_FILE") or None
        self.user = env.get("SMS_USER") or None
        if self.user and not self.token_file:
            raise SettingError("SMS_USER needs SMS_TOKEN_FILE, with the password")
        self.timeout = _number(env, "SMS_TIMEOUT", 10, 0.1)
        self.remember = _number(env, "SMS_REMEMBER", 300, 0)
        self.listen = self._listen(env.get("SMS_LISTEN") or "127.0.0.1:9095")
        self.inbound_token_file = env.get("SMS_INBOUND_TOKEN_FILE") or None
        for name, path in (("SMS_TOKEN_FILE", self.token_file),
                           ("SMS_INBOUND_TOKEN_FILE", self.inbound_token_file)):
            if path:
                read_secret(path, name)

    @staticmethod
    def _url(text):
        try:
            url = urllib.parse.urlsplit(text)
            good = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            good = False
        if not good:
            raise SettingError("SMS_GATEWAY_URL must be an address with http or "
                               f"https, not {text!r}")
        if url.username or url.password:
            raise SettingError("SMS_GATEWAY_URL must not hold a password: use "
                               "SMS_USER and SMS_TOKEN_FILE")
        return text

    @staticmethod
    def _numbers(text):
        numbers = [re.sub(r"[ ()/.-]", "", n) for n in text.split(",") if n.strip()]
        for number in numbers:
            if not re.fullmatch(r"\+?[0-9]{3,15}", number):
                raise SettingError(f"SMS_NUMBERS: {number!r} is no telephone number")
        if not numbers:
            raise SettingError("SMS_NUMBERS must name who gets the messages")
        return list(dict.fromkeys(numbers))

    @staticmethod
    def _extra(text):
        try:
            extra = json.loads(text)
        except ValueError as error:
            raise SettingError(f"SMS_EXTRA is no JSON: {error}") from None
        if not isinstance(extra, dict):
            raise SettingError("SMS_EXTRA must be a JSON object")
        return extra

    @staticmethod
    def _listen(text):
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise SettingError(f"SMS_LISTEN must be ADDRESS:PORT, not {text!r}")
        return host.strip("[]"), int(port)


# ---------------------------------------------------------------- texts

# The alphabet of GSM 03.38, and what takes the place of two of it
GSM = set("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
          "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")
GSM_TWICE = set("^{}\\[~]|€")

# What has no form that Unicode would take apart into such letters
REPLACED = str.maketrans({
    "°": "", "µ": "u", "μ": "u", "–": "-", "—": "-", "−": "-", "…": "...",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "·": ".", "×": "x",
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "\t": " ", "`": "'"})


def plain(text):
    """The text in the GSM alphabet as far as that can be done."""
    result = []
    for char in unicodedata.normalize("NFC", text):
        if char not in GSM and char not in GSM_TWICE:
            replaced = char.translate(REPLACED)
            apart = "".join(c for c in unicodedata.normalize("NFKD", replaced)
                            if not unicodedata.combining(c))
            if all(c in GSM or c in GSM_TWICE for c in apart):
                char = apart
        result.append(char)
    return " ".join("".join(result).split())


def room(text):
    """What is left of one message: negative where the text is too long."""
    if all(c in GSM or c in GSM_TWICE for c in text):
        return 160 - len(text) - sum(c in GSM_TWICE for c in text)
    return 70 - len(text.encode("utf-16-be")) // 2


def cut(text):
    """The text, or as many words of it as a message takes, and dots."""
    if room(text) >= 0:
        return text
    words = text.split(" ")
    while len(words) > 1:
        words.pop()
        shorter = " ".join(words).rstrip(",;:") + "..."
        if room(shorter) >= 0:
            return shorter
    # one word that is longer than a message
    while room(text) < 0:
        text = text[:-1]
    return text


def tell(alert):
    """An alert in some words."""
    labels = alert.get("labels", {})
    notes = alert.get("annotations", {})
    if not labels.get("sensor_id"):
        return plain(notes.get("summary") or labels.get("alertname", "an alert"))
    said = labels["sensor_id"]
    if labels.get("condition", "limit") != "limit":
        said += " " + labels["condition"]
    if notes.get("value"):
        said += " " + notes["value"]
    if notes.get("limit"):
        said += ", limit " + notes["limit"]
    place = " ".join(labels[name] for name in ("machine_id", "sensor_zone")
                     if labels.get(name))
    return plain(said + (", " + place if place else ""))


def changed_at(alert):
    """When an alert came, or was over; the beginning of time if it does not say."""
    text = alert.get("startsAt" if alert["status"] == "firing" else "endsAt", "")
    match = re.fullmatch(r"([0-9T:-]{19})(\.[0-9]+)?(Z|[+-][0-9:]{5})", text)
    try:
        second = datetime.datetime.fromisoformat(
            match[1] + match[3].replace("Z", "+00:00"))
    except (TypeError, ValueError):
        return 0.0
    return second.timestamp() + float(match[2] or 0)


def compose(notification):
    """One text for a notification of Alertmanager's.

    It tells of a whole group each time that something about it is new: that comes
    first, because there may be no room for the rest.
    """
    labels = notification.get("commonLabels", {})
    alerts = sorted(notification["alerts"], key=changed_at, reverse=True)
    firing = any(a["status"] == "firing" for a in alerts)
    items = [("OVER: " if firing and a["status"] != "firing" else "") + tell(a)
             for a in alerts]
    place = plain(labels.get("factory_section", ""))
    what = plain(labels.get("severity", "alert")).upper() if firing else "OVER"
    beginning = f"{what} {place}: " if place else f"{what}: "
    more = notification.get("truncatedAlerts", 0)

    for shown in range(len(items), 0, -1):
        left = len(items) - shown + more
        text = beginning + "; ".join(items[:shown])
        text += f"; +{left} more" if left else ""
        if room(text) >= 0:
            return text
    return cut(text)


# ---------------------------------------------------------------- the gateway

class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would go on as a GET, without the message."""

    def redirect_request(self, *_):
        return None


class Gateway:
    """The gateway: one request for each number."""

    def __init__(self, settings):
        self.settings = settings
        self.opener = urllib.request.build_opener(_NoRedirect)

    def request(self, number, text):
        """The request for a number."""
        s = self.settings
        fields = dict(s.extra)
        fields[s.text_field] = text
        if s.format == "form":
            fields[s.number_field] = number
            body = urllib.parse.urlencode(fields).encode()
            kind = "application/x-www-form-urlencoded"
        else:
            if s.number_field.endswith("[]"):
                fields[s.number_field[:-2]] = [number]
            else:
                fields[s.number_field] = number
            body = json.dumps(fields).encode()
            kind = "application/json"
        request = urllib.request.Request(s.url, body, {
            "Content-Type": kind, "User-Agent": "factorymon-sms-bridge"})
        if s.token_file:
            secret = read_secret(s.token_file, "SMS_TOKEN_FILE")
            if s.user:
                pair = base64.b64encode(f"{s.user}:{secret}".encode()).decode()
                request.add_header("Authorization", "Basic " + pair)
            else:
                request.add_header("Authorization", "Bearer " + secret)
        return request

    def send(self, number, text):
        """Send it: "served", "refused" for good, or "later"; and why."""
        try:
            request = self.request(number, text)
            with self.opener.open(request, timeout=self.settings.timeout) as answer:
                return "served", f"{answer.status}"
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode("utf-8", "replace")
            return ("refused" if error.code in REFUSED else "later",
                    f"{error.code} {said!r}")
        except (OSError, ValueError, http.client.HTTPException,
                SettingError) as error:
            return "later", f"{error}"


# ---------------------------------------------------------------- progress

class _Progress:
    """How far a notification has come."""

    def __init__(self):
        self.lock = threading.Lock()
        self.settled = {}               # number: "served" or "refused"
        self.forget_at = 0.0


class Bridge:
    """Passes notifications on, each to each number once."""

    def __init__(self, settings, gateway=None, clock=time.monotonic):
        self.settings = settings
        self.gateway = gateway or Gateway(settings)
        self.clock = clock
        self.lock = threading.Lock()
        self.progress = {}
        self.counts = {"served": 0, "refused": 0, "later": 0}

    @staticmethod
    def key(notification):
        """What a notification that comes again has in common with itself."""
        alerts = sorted((a.get("fingerprint", ""), a["status"], a.get("startsAt", ""))
                        for a in notification["alerts"])
        text = json.dumps([notification.get("groupKey", ""), alerts])
        return hashlib.sha256(text.encode()).hexdigest()

    def _progress_of(self, notification):
        with self.lock:
            now = self.clock()
            for key in [k for k, p in self.progress.items() if p.forget_at < now]:
                del self.progress[key]
            progress = self.progress.setdefault(self.key(notification), _Progress())
            progress.forget_at = now + FORGET_UNFINISHED
            return progress

    def _settle(self, progress, number, text):
        outcome, why = self.gateway.send(number, text)
        with self.lock:
            self.counts[outcome] += 1
        if outcome != "later":
            progress.settled[number] = outcome
        if outcome != "served":
            log(f"...{number[-3:]}: {outcome}: {why}")

    def deliver(self, notification):
        """Send what is still to be sent; true: that was all of it."""
        progress = self._progress_of(notification)
        text = compose(notification)
        # Alertmanager may have lost patience and come again meanwhile.
        with progress.lock:
            for number in self.settings.numbers:
                if number not in progress.settled:
                    self._settle(progress, number, text)
            outcomes = progress.settled.values()
            if "served" not in outcomes:
                # What refuses every number does not like us, not them.
                progress.settled.clear()
                return False
            if len(progress.settled) < len(self.settings.numbers):
                return False
            with self.lock:
                progress.forget_at = self.clock() + self.settings.remember
            return True


# ---------------------------------------------------------------- HTTP

def log(text):
    """A line for whoever reads the log."""
    print(f"sms-bridge: {text}", file=sys.stderr, flush=True)


def parse(body):
    """A notification out of a request's body; ValueError says what is wrong."""
    notification = json.loads(body)
    alerts = notification.get("alerts") if isinstance(notification, dict) else None
    if not isinstance(alerts, list) or not alerts:
        raise ValueError("this is no notification of Alertmanager's: no alerts")
    if notification.get("version") != "4":
        raise ValueError("only version 4 of Alertmanager's webhook is known")
    texts = [notification.get("commonLabels", {})]
    for alert in alerts:
        if not isinstance(alert, dict) or alert.get("status") not in (
                "firing", "resolved"):
            raise ValueError("an alert has no status")
        texts += [alert.get("labels", {}), alert.get("annotations", {})]
    for group in texts:
        if not isinstance(group, dict) or not all(
                isinstance(value, str) for value in group.values()):
            raise ValueError("labels and annotations must be texts")
    if not isinstance(notification.get("truncatedAlerts", 0), int):
        raise ValueError("truncatedAlerts must be a number")
    return notification


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests of Alertmanager, and of whoever asks for our health."""

    timeout = 30
    server_version = "factorymon-sms-bridge"
    sys_version = ""

    def log_message(self, *_):
        """Not a line for each request."""

    def answer(self, code, **content):
        """Answer with a JSON object."""
        body = json.dumps(content).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        """GET /healthz"""
        if self.path == "/healthz":
            self.answer(200, status="ok", **self.server.bridge.counts)
        else:
            self.answer(404, error="there is /healthz, and POST /alertmanager")

    def allowed(self):
        """Whether the token is right, where one is wanted."""
        path = self.server.bridge.settings.inbound_token_file
        if not path:
            return True
        wanted = "Bearer " + read_secret(path, "SMS_INBOUND_TOKEN_FILE")
        return hmac.compare_digest(self.headers.get("Authorization", "").encode(),
                                   wanted.encode())

    def do_POST(self):
        """POST /alertmanager"""
        if self.path != "/alertmanager":
            return self.answer(404, error="there is POST /alertmanager")
        try:
            if not self.allowed():
                return self.answer(401, error="the token is missing or wrong")
        except SettingError as error:
            log(str(error))
            return self.answer(503, error="the token cannot be read")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return self.answer(413, error=f"at most {MAX_BODY} bytes, with a length")
        try:
            notification = parse(self.rfile.read(int(length)))
        except ValueError as error:
            log(f"a notification makes no sense: {error}")
            return self.answer(400, error=str(error))
        if self.server.bridge.deliver(notification):
            return self.answer(200, status="sent")
        return self.answer(502, error="not everybody has it yet, come again")


class Server(http.server.ThreadingHTTPServer):
    """Ends when the requests that it has begun have ended."""

    daemon_threads = False

    def __init__(self, bridge):
        self.bridge = bridge
        if ":" in bridge.settings.listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(bridge.settings.listen, Handler)


def stop(*_):
    """SIGTERM and SIGINT: as process 1 of a container nobody else handles them."""
    sys.exit(0)


def main(arguments):
    """The program."""
    parser = argparse.ArgumentParser(
        prog="sms_bridge.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true",
                        help="only look whether the settings make sense")
    options = parser.parse_args(arguments)
    try:
        settings = Settings(os.environ)
        if options.check:
            return 0
        server = Server(Bridge(settings))
    except (SettingError, OSError) as error:
        log(f"error: {error}")
        return 1
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    host, port = server.server_address[:2]
    log(f"listening on {host}:{port}, {len(settings.numbers)} numbers")
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
