"""One message: what is new, what lasts and what is over, for people and for programs.

Nothing in it is secret: what others wrote was masked when the concern was made, and every live
secret that this process knows is blotted out once more here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.clock import iso
from bridge.logs import without_secrets
from bridge.operate.alerts.book import Item, Turn
from bridge.operate.whereabouts import page_of
from bridge.store.alerts import Entry

MOST_LINES = 50
"""Concerns that a message to people names; how many more there are is said."""


@dataclass(frozen=True, slots=True)
class Message:
    """``name``: of the bridge; ``link``: its console, if it has one; ``at``: ms, UTC.

    ``campaigns``: the names of the bridge's campaigns. ``test``: nothing is wrong, somebody wants
    to see that messages arrive.
    """

    name: str
    at: int
    items: tuple[Item, ...] = ()
    link: str = ""
    test: bool = False
    campaigns: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """The same for a message that is sent again because nobody knows whether it arrived."""
        parts = [self.name, *(_id(item) for item in self.items)]
        if self.test:
            parts.append(f"test {self.at}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """One line: how many of each."""
        if self.test:
            return f"{self.name}: this is a test, nothing is wrong"
        counts = Counter(item.turn for item in self.items)
        urgent = sum(i.turn is Turn.NEW and i.entry.urgent for i in self.items)
        parts = [
            f"{counts[turn]} {turn.value}" + (f" ({urgent} urgent)" if turn is Turn.NEW else "")
            for turn in Turn
            if counts[turn]
        ]
        return f"{self.name}: {', '.join(parts)}".replace(" (0 urgent)", "")

    def lines(self) -> list[tuple[str, str]]:
        """One line per concern, for people, with the page of the console that shows what it is
        about; that is blank where there is none, or nothing to be seen any more."""
        if self.test:
            return [("Alerts of this bridge arrive here.", "")]
        shown = [
            (without_secrets(_line(item)), "" if item.turn is Turn.OVER else self._page(item))
            for item in self.items[:MOST_LINES]
        ]
        if len(self.items) > MOST_LINES:
            shown.append((f"… and {len(self.items) - MOST_LINES} more", ""))
        return shown

    def _page(self, item: Item) -> str:
        page = page_of(item.entry.kind, item.entry.subject, self.campaigns) if self.link else ""
        return f"{self.link}{page}" if page else ""

    @property
    def text(self) -> str:
        """All of it as plain text."""
        end = ["", f"Console: {self.link}"] if self.link else []
        lines = [f"{line}\n  {page}" if page else line for line, page in self.lines()]
        return "\n".join([self.title, "", *lines, *end])

    def as_dict(self) -> dict[str, Any]:
        """For programs; times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "bridge": self.name,
            "at": iso(self.at),
            "test": self.test,
            "title": self.title,
            "console": self.link or None,
            "alerts": [_as_dict(item) | {"page": self._page(item) or None} for item in self.items],
        }


def _id(item: Item) -> str:
    entry = item.entry
    return f"{entry.kind} {entry.subject} {entry.first_at} {item.turn} {entry.times}"


def _as_dict(item: Item) -> dict[str, Any]:
    entry = item.entry
    whole = f"{entry.kind} {entry.subject} {entry.first_at}"
    return {
        # the same from the first message about it to the one that says that it is over
        "id": hashlib.sha256(whole.encode()).hexdigest()[:32],
        "state": item.turn.value,
        "kind": entry.kind,
        "subject": entry.subject,
        "urgent": entry.urgent,
        "text": without_secrets(entry.text),
        "size": entry.size,
        "since": iso(entry.since),
        "over_at": iso(entry.gone_at) if item.turn is Turn.OVER else None,
        "told_before": entry.times,
    }


def _line(item: Item) -> str:
    entry = item.entry
    match item.turn:
        case Turn.OVER:
            return f"OVER: {entry.text} ({_span(entry)})"
        case Turn.LASTS:
            mark = "STILL URGENT" if entry.urgent else "STILL"
        case Turn.NEW:
            mark = "URGENT" if entry.urgent else "NEW"
    return f"{mark}: {entry.text} (since {_time(entry.since)} UTC)"


def _span(entry: Entry) -> str:
    end = _time(entry.gone_at or 0)
    return f"from {_time(entry.since)} to {end} UTC"


def _time(ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return "an unknown time"
