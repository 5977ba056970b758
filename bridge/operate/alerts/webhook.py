"""Alerts as JSON to any address, with a bearer token if one is set."""

from __future__ import annotations

from bridge.jsontext import dump_bytes
from bridge.operate.alerts.caller import Caller
from bridge.operate.alerts.channel import Answer
from bridge.operate.alerts.message import Message


class Webhook:
    """Sends messages for programs."""

    name = "webhook"

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        self._caller = Caller(url, timeout_s)
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    @property
    def receiver(self) -> str:
        """Whom it reaches."""
        return self._caller.host

    def send(self, message: Message) -> Answer:
        """Post a message; ``Idempotency-Key`` is the same when it is sent again."""
        headers = {**self._headers, "Idempotency-Key": message.id}
        return self._caller.call("POST", dump_bytes(message.as_dict()), headers)
