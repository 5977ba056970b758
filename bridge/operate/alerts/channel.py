"""A channel: a way by which alerts reach people. What each is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.operate.alerts.message import Message
from bridge.operate.concern import clean

EXCERPT = 200
"""Characters of what a receiver says that are shown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``taken``: the receiver said that it has the message.

    ``words``: in words, without secrets. ``wait_s``: how long it asks to be left alone.
    """

    taken: bool
    words: str
    wait_s: float | None = None


class Channel(Protocol):
    """One instance serves one thread. ``name`` is kept in the database."""

    @property
    def name(self) -> str:
        """``slack``, ``webhook`` or ``mail``."""
        ...

    @property
    def receiver(self) -> str:
        """Whom it reaches, as it may be shown."""
        ...

    def send(self, message: Message) -> Answer:
        """Send a message, within the time that the channel was given. Never raises."""
        ...


def excerpt(told: bytes | str) -> str:
    """The beginning of what a receiver says, as it may be shown."""
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else told
    return clean(text)[:EXCERPT]
