"""A mail server on this machine that can refuse, hang and hang up.

with MailServer() as server:
    server.script = deque(["hang"])       # then mails are taken
    ...                                   # whatever sends to 127.0.0.1:server.port
    assert server.letters[0].mail["Subject"] == "crm-bridge: 1 new"
"""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from http_receiver import Running

PASSWORD = "smtp-password"


@dataclass(frozen=True)
class Letter:
    """One mail that was accepted."""

    sender: str
    receivers: tuple[str, ...]
    user: str
    encrypted: bool
    mail: EmailMessage


class MailServer(Running):
    """``refused``: addresses that it takes nothing for. ``script``: for the next mails ``refuse``
    (554 after the data), ``hang`` (no word after the data), ``rude`` (cut after it was accepted).
    ``certificate``: it offers STARTTLS, or with ``tls`` speaks TLS from the first byte.
    """

    def __init__(self, certificate: Path | None = None, *, tls: bool = False) -> None:
        super().__init__()
        self.letters: list[Letter] = []
        self.refused: set[str] = set()
        self.script: deque[str] = deque()
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the other side may hang up at any moment
                    talk = _Talk(server, self.request)
                    if tls:
                        talk.encrypt()
                    talk.run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])  # type: ignore[index]


@dataclass
class _Talk:
    """One connection, and what its client has said so far."""

    server: MailServer
    connection: socket.socket
    sender: str = ""
    user: str = ""
    encrypted: bool = False
    receivers: list[str] = field(default_factory=list)

    def run(self) -> None:
        self._stream = self.connection.makefile("rb")
        self.say("220 mail.example.com")
        while line := self._stream.readline():
            word, _, rest = line.decode().strip().partition(" ")
            if word.upper() == "QUIT":
                self.say("221 bye")
                return
            if not getattr(self, f"on_{word.lower()}", self.on_anything)(rest):
                return

    def say(self, text: str) -> bool:
        self.connection.sendall(f"{text}\r\n".encode())
        return True

    def encrypt(self) -> None:
        assert self.server.context is not None
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self._stream = self.connection.makefile("rb")
        self.encrypted = True

    def on_anything(self, _rest: str) -> bool:
        return self.say("250 fine")

    def on_ehlo(self, _rest: str) -> bool:
        offers = ["mail.example.com", "AUTH PLAIN"]
        if self.server.context is not None and not self.encrypted:
            offers.append("STARTTLS")
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        return self.say(f"250 {offers[-1]}")

    def on_starttls(self, _rest: str) -> bool:
        self.say("220 go on")
        self.encrypt()
        return True

    def on_auth(self, rest: str) -> bool:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        if password != PASSWORD:
            return self.say("535 5.7.8 no such user +14155550123")
        self.user = user
        return self.say("235 welcome")

    def on_mail(self, rest: str) -> bool:
        self.sender = _address(rest)
        return self.say("250 fine")

    def on_rcpt(self, rest: str) -> bool:
        if _address(rest) in self.server.refused:
            return self.say("550 nobody of that name")
        self.receivers.append(_address(rest))
        return self.say("250 fine")

    def on_data(self, _rest: str) -> bool:
        self.say("354 go on")
        data = b""
        while (more := self._stream.readline()) not in (b".\r\n", b""):
            data += more
        play = self.server.script.popleft() if self.server.script else "take"
        if play == "hang":
            self.server.over.wait(60)
            return False
        if play == "refuse":
            return self.say("554 not today")
        mail = message_from_bytes(data, policy=default)
        assert isinstance(mail, EmailMessage)
        self.server.letters.append(
            Letter(self.sender, tuple(self.receivers), self.user, self.encrypted, mail)
        )
        self.say("250 taken")
        return play != "rude"


def _address(rest: str) -> str:
    return rest.partition(":")[2].split()[0].strip("<>")
