"""What a look at a page of rows gives: counts, what is still open, and what breaks a promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Table


class Kind(StrEnum):
    """The tables whose rows are looked at, in this order."""

    DELIVERY = "delivery"
    EVENT = "event"
    OUTCOME = "outcome"
    LEAD = "lead"


class Broken(StrEnum):
    """The ways in which a row can break a promise, in words."""

    UNKNOWN_STATE = "its state is none that there is"
    ROWS_GONE = "rows that were accounted for are no longer there"
    DONE_WITHOUT_EVENTS = "a delivery is done and has no event"
    STORED_WITH_EVENTS = "a delivery has events and is not marked as done"
    EVENTS_MISSING = "events of the delivery are missing"
    BODY_DAMAGED = "the stored body of a delivery is damaged"
    NO_DELIVERY = "an event has no delivery"
    NO_OUTCOME = "an event is done and has no outcome"
    NEVER_LOOKED_UP = "an event waits for a look-up that will never be due"
    NO_KEY = "an event is neither the first of its key nor a duplicate"
    NO_ORIGINAL = "a duplicate has no original with its key"
    WRONG_DUPLICATE = "an event's outcomes and its being a duplicate do not agree"
    TWO_ENDS = "an event both led to nothing and to a lead update"
    NO_EVENT = "an outcome has no event, or is of another delivery than its event"
    NO_LEAD = "an outcome that names a lead has none, or a different one"
    NEVER_DUE = "an outcome is open, and its lead will never be due"
    NOT_IN_FLIGHT = "an outcome is in flight, and nobody holds its lead"
    WRONG_DECISION_TIME = "an outcome is final without a time, or open with one"
    NOT_ANSWERED = "an outcome is updated without a call of its campaign that was answered"
    LEASED_FOR_EVER = "a lead is held by a lease that nobody ends"
    LEAD_NEVER_DUE = "a lead stands in a lane, or is to be opted out again, and is never due"
    LATCH = "a lead's latch and its ledger do not agree"
    OPT_OUT_LOST = "a lead's opt-out is neither confirmed, nor standing, nor due"
    OPT_OUT_FORGOTTEN = "an opt-out was sent or superseded, and the ledger knows nothing as new"
    WRONG_OPT_OUT = "an outcome's fields and its being an opt-out do not agree"

    @property
    def code(self) -> str:
        """The name for scripts."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """A row that breaks a promise. ``detail`` holds no personal data."""

    kind: Kind
    id: int
    broken: Broken
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows: those with these ids, or if there are none given, after ``after`` to ``to``."""

    after: int = 0
    to: int = 0
    ids: Sequence[int] | None = None

    def of(self, table: Table) -> ColumnElement[bool]:
        """The condition on the id of a table."""
        return self.on(table.c.id)

    def on(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition on a column that holds such ids."""
        if self.ids is not None:
            return column.in_(self.ids)
        return (column > self.after) & (column <= self.to)


@dataclass(frozen=True, slots=True)
class Today:
    """What rows are judged by. Times in milliseconds.

    ``standing_period``: how long an opt-out is asserted without being confirmed.
    ``workers_live``: whether a worker has shown itself lately, who would end old leases.
    """

    now: int
    standing_period: int
    workers_live: bool


@dataclass(slots=True)
class Looked:
    """``counts``: rows by (source or campaign, state). ``open``: ids that may still change."""

    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    open: set[int] = field(default_factory=set)
    breaches: list[Breach] = field(default_factory=list)

    def broken(self, kind: Kind, broken: Broken, ids: Iterable[Any], detail: str = "") -> None:
        """Note that rows break a promise."""
        self.breaches.extend(Breach(kind, int(one), broken, detail) for one in ids)

    def count(self, rows: Iterable[Any], states: Iterable[str], kind: Kind) -> None:
        """Add counts: rows of (name, state, count, an id)."""
        known = set(states)
        for name, state, count, one in rows:
            self.rows += count
            self.counts[name, state] += count
            if state not in known:
                self.broken(kind, Broken.UNKNOWN_STATE, [one], f"{count} rows have it")
