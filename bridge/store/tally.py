"""Counts that are kept while the work is done, so that no page has to count big tables.

A row of ``tally`` holds how much one kind has grown within a minute or an hour, in all per
campaign, and in all per replay. A kind is ``accepted`` (deliveries, by the time they came) or the
state of an outcome; *waiting* and *in flight* count as one. Final states only grow; *waiting* and
*standing* go up and down, and what stood at an earlier time is what stands now less what was added
since.

Whoever changes outcomes notes the change; it is written as the last thing of the same transaction
(``Database.write``), in an order that is always the same, so that counting neither misses nor
holds up anybody. On PostgreSQL writers are spread over a few slots, which are added up when read.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from enum import IntEnum

from sqlalchemy import Connection, bindparam, delete, func, select

from bridge.model import State
from bridge.store.bulk import among, insert_many, listed
from bridge.store.database import at_the_end
from bridge.store.schema import tally

ACCEPTED = "accepted"
MINUTE = 60_000
HOUR = 3_600_000
SLOTS = 4
KEPT_MINUTES = 2 * 24 * HOUR
"""How long counts by the minute are kept (ms)."""
KEPT_HOURS = 400 * 24 * HOUR
"""How long counts by the hour are kept (ms)."""


class Span(IntEnum):
    """What a count covers."""

    TOTAL = 0
    MINUTE = 1
    HOUR = 2
    EVER = 3
    """Since the beginning, of what is no outcome; see ``bridge.store.counters``."""
    REPLAY = 4
    """All of one replay; ``at`` is its id."""


_LENGTH = {Span.MINUTE: MINUTE, Span.HOUR: HOUR}


def kind_of(state: State | str) -> str:
    """The kind that a state counts as."""
    text = State(state).value
    return State.WAITING.value if text == State.IN_FLIGHT.value else text


def note(
    connection: Connection, changes: Iterable[tuple[str, str, int]], now: int, *, total: bool = True
) -> None:
    """So many more (or fewer) of a kind at this time: (campaign, kind, count).

    ``total``: they count in the sum per campaign as well.
    """
    added = sums(connection)
    for campaign, kind, count in changes:
        for span, length in _LENGTH.items():
            added[span, now // length * length, "", kind] += count
        if total:
            added[Span.TOTAL, 0, campaign, kind] += count


def sums(connection: Connection) -> Counter[tuple[int, int, str, str]]:
    """What this transaction adds: (span, at, campaign, kind) → how many; to be added to."""
    last = at_the_end(connection)
    found = next((work for work in last if isinstance(work, _Sums)), None)
    if found is None:
        last.append(found := _Sums())
    return found.counts


def note_replay(connection: Connection, changes: Iterable[tuple[int, str, int]]) -> None:
    """So many more (or fewer) of a kind among the outcomes of a replay: (replay, kind, count)."""
    added = sums(connection)
    for replay_id, kind, count in changes:
        added[Span.REPLAY, replay_id, "", kind] += count


class _Sums:
    """What one transaction adds, written at its end."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, int, str, str]] = Counter()

    def __call__(self, connection: Connection) -> None:
        slot = 0 if connection.dialect.name == "sqlite" else threading.get_native_id() % SLOTS
        rows = [
            (int(span), at, campaign, kind, slot, count)
            for (span, at, campaign, kind), count in sorted(self.counts.items())
            if count
        ]
        _ADD.execute(connection, rows)


_ADD = insert_many(
    tally,
    ("span", "at", "campaign", "kind", "slot", "count"),
    on_conflict=lambda statement: statement.on_conflict_do_update(
        index_elements=list(tally.primary_key.columns),
        set_={"count": tally.c["count"] + statement.excluded["count"]},
    ),
)


def forget(connection: Connection, now: int) -> None:
    """Delete counts that no chart shows any more."""
    for span, kept in ((Span.MINUTE, KEPT_MINUTES), (Span.HOUR, KEPT_HOURS)):
        connection.execute(
            delete(tally).where(tally.c.span == int(span), tally.c["at"] < now - kept)
        )


_SERIES = (
    select(tally.c["at"], tally.c.kind, func.sum(tally.c["count"]).label("total"))
    .where(tally.c.span == bindparam("span"), tally.c["at"] >= bindparam("since"))
    .group_by(tally.c["at"], tally.c.kind)
)


def series(connection: Connection, span: Span, since: int) -> dict[str, dict[int, int]]:
    """By kind: the start of each minute or hour (ms) → how much was added in it."""
    found: dict[str, dict[int, int]] = {}
    for row in connection.execute(_SERIES, {"span": int(span), "since": since}):
        found.setdefault(row.kind, {})[row.at] = int(row.total)
    return found


_TOTALS = (
    select(tally.c.campaign, tally.c.kind, func.sum(tally.c["count"]).label("total"))
    .where(tally.c.span == int(Span.TOTAL))
    .group_by(tally.c.campaign, tally.c.kind)
)


def totals(connection: Connection) -> dict[str, dict[str, int]]:
    """By campaign (empty text: events that led to no lead update) and kind: how many there are."""
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(_TOTALS):
        found.setdefault(row.campaign, {})[row.kind] = int(row.total)
    return found


_OF_REPLAYS = (
    select(tally.c["at"], tally.c.kind, func.sum(tally.c["count"]).label("total"))
    .where(tally.c.span == int(Span.REPLAY), among(tally.c["at"], "replays"))
    .group_by(tally.c["at"], tally.c.kind)
)


def of_replays(connection: Connection, replay_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """By replay and kind: how many outcomes there are."""
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(_OF_REPLAYS, {"replays": listed(replay_ids)}):
        found.setdefault(row.at, {})[row.kind] = int(row.total)
    return found
