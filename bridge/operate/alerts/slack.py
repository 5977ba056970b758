"""Slack's incoming webhook, and whatever takes the same: ``{"text": …}``.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from bridge.jsontext import dump_bytes
from bridge.operate.alerts.caller import Caller
from bridge.operate.alerts.channel import Answer
from bridge.operate.alerts.message import Message


class Slack:
    """Sends messages for people to a chat."""

    name = "slack"

    def __init__(self, url: str, timeout_s: float) -> None:
        self._caller = Caller(url, timeout_s)

    @property
    def receiver(self) -> str:
        """Whom it reaches."""
        return self._caller.host

    def send(self, message: Message) -> Answer:
        """Post a message."""
        lines = [f"*{escaped(message.title)}*"]
        lines += [
            f"• {escaped(line)}" + (f" <{page}|Show>" if page else "")
            for line, page in message.lines()
        ]
        if message.link:
            lines.append(f"<{message.link}|Console>")
        body = dump_bytes({"text": "\n".join(lines)})
        return self._caller.call("POST", body, {"Content-Type": "application/json"})


def escaped(text: str) -> str:
    """Text that names nobody and links nowhere, whatever it holds."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("@", "@\u200b")  # some chats call people by plain text
