#!/usr/bin/env python3
#
# mail_sink.py: a mail server that keeps what it gets, and wants a password.
#
#	mail_sink.py --port-file FILE --record FILE --user USER --password-file FILE
#
# Each mail becomes a line of JSON: user, to, subject and text, decoded.  What
# comes without AUTH PLAIN and the right password is refused.  On 127.0.0.1,
# without TLS.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

"""A mail server, for tests."""

import argparse
import asyncio
import base64
import email
import email.policy

from gateway import announce, append


class Session:
    """One connection."""

    def __init__(self, options, reader, writer):
        self.options = options
        self.reader = reader
        self.writer = writer
        self.user = None
        self.recipients = []

    async def say(self, line):
        """A line to the client."""
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def hear(self):
        """A line of the client's, or None at its end."""
        line = await self.reader.readline()
        return line.decode().rstrip("\r\n") if line else None

    async def run(self):
        """All of it."""
        await self.say("220 sink")
        while (line := await self.hear()) is not None:
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self.say("221 bye")
                break
            await self.obey(verb.upper(), rest)
        self.writer.close()

    async def obey(self, verb, rest):
        """One command."""
        if verb == "EHLO":
            await self.say("250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN")
        elif verb == "AUTH":
            await self.authenticate(rest)
        elif verb in ("MAIL", "RCPT", "DATA") and self.user is None:
            await self.say("530 authentication required")
        elif verb == "MAIL":
            self.recipients = []
            await self.say("250 ok")
        elif verb == "RCPT":
            self.recipients.append(rest[rest.index("<") + 1:rest.index(">")])
            await self.say("250 ok")
        elif verb == "DATA":
            await self.say("354 go on")
            self.keep(await self.content())
            await self.say("250 kept")
        else:
            await self.say("250 ok" if verb in ("RSET", "NOOP") else "502 what?")

    async def authenticate(self, rest):
        """AUTH PLAIN, with the answer in the same line."""
        kind, _, answer = rest.partition(" ")
        with open(self.options.password_file, encoding="utf-8") as file:
            password = file.read().strip()
        wanted = ["", self.options.user, password]
        if (kind.upper() == "PLAIN"
                and base64.b64decode(answer).decode().split("\0") == wanted):
            self.user = self.options.user
            await self.say("235 welcome")
        else:
            await self.say("535 wrong")

    async def content(self):
        """The mail, up to the line with a dot."""
        lines = []
        while (line := await self.reader.readline()) not in (b".\r\n", b""):
            line = line.replace(b"\r\n", b"\n")
            lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)

    def keep(self, content):
        """Into the record."""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        body = mail.get_body(("plain",))
        append(self.options.record, {
            "user": self.user, "to": self.recipients,
            "from": mail["From"], "subject": mail["Subject"],
            "text": body.get_content() if body else None})


async def main():
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--port-file", "--record", "--user", "--password-file"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    server = await asyncio.start_server(
        lambda r, w: Session(options, r, w).run(), "127.0.0.1", 0)
    announce(options.port_file, server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
