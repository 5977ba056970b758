"""Alerts by e-mail over SMTP, with the standard library."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from enum import StrEnum
from typing import Any

from bridge.deadline import Deadline, Sockets
from bridge.operate.alerts.channel import Answer, excerpt
from bridge.operate.alerts.message import Message


class Tls(StrEnum):
    """How a mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server, and who logs in there if anybody does."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """Sends messages to mailboxes. ``timeout_s``: for a message as a whole."""

    name = "mail"

    def __init__(
        self, server: Server, sender: str, receivers: tuple[str, ...], timeout_s: float
    ) -> None:
        self._server = server
        self._sender = sender
        self._receivers = receivers
        self._timeout_s = timeout_s
        self._sockets = Sockets()
        self._tls = None if server.tls is Tls.NONE else ssl.create_default_context()

    @property
    def receiver(self) -> str:
        """Whom it reaches."""
        return f"{len(self._receivers)} by {self._server.host}:{self._server.port}"

    def send(self, message: Message) -> Answer:
        """Send a message; it counts as taken once the server has accepted it for a receiver."""
        try:
            with Deadline(self._timeout_s, self._sockets) as deadline:
                return self._deliver(self._written(message), deadline.opened)
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({str(code) for code, _ in error.recipients.values()})
            return Answer(False, f"the server refuses every receiver ({', '.join(codes)})")
        except smtplib.SMTPResponseException as error:
            return Answer(False, f"SMTP {error.smtp_code}: {excerpt(error.smtp_error)}")
        except smtplib.SMTPNotSupportedError:
            return Answer(False, "the server offers no STARTTLS or no login; see BRIDGE_SMTP_TLS")
        except Exception as error:  # noqa: BLE001 - whatever a hostile server makes it raise
            return Answer(False, f"no answer ({type(error).__name__})")

    def _deliver(self, mail: EmailMessage, opened: Callable[[socket.socket], None]) -> Answer:
        smtp = self._connection(opened)
        try:
            smtp.connect(self._server.host, self._server.port)
            if self._server.tls is Tls.STARTTLS:
                smtp.starttls(context=self._tls)
                if smtp.sock is not None:
                    opened(smtp.sock)
            if self._server.user is not None:
                smtp.login(self._server.user, self._server.password or "")
            refused = smtp.send_message(mail, self._sender, self._receivers)
            with suppress(smtplib.SMTPException, OSError):  # it is accepted, whatever comes now
                smtp.quit()
        finally:
            smtp.close()
        taken = len(self._receivers) - len(refused)
        but = f"; {len(refused)} refused" if refused else ""
        return Answer(True, f"accepted for {taken} of {len(self._receivers)}{but}")

    def _connection(self, opened: Callable[[socket.socket], None]) -> smtplib.SMTP:
        name = socket.gethostname()
        if self._server.tls is Tls.TLS:
            made: smtplib.SMTP = _TlsConnection(
                local_hostname=name, timeout=self._timeout_s, context=self._tls
            )
        else:
            made = _Connection(local_hostname=name, timeout=self._timeout_s)
        vars(made)["opened"] = opened
        # starttls checks the certificate against this name
        vars(made)["_host"] = self._server.host
        return made

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["Subject"] = message.title
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._receivers)
        mail["Date"] = formatdate(message.at / 1000)
        domain = self._sender.rpartition("@")[2].rstrip(">")
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail


class _Connection(smtplib.SMTP):
    """Says which socket it has opened, so that it can be cut."""

    opened: Callable[[socket.socket], None]

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        made = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in its types
        self.opened(made)
        return made


class _TlsConnection(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    opened: Callable[[socket.socket], None]

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        made = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in its types
        self.opened(made)
        return made
