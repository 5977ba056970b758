"""Which deliveries a replay is about: the selection, looked for page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bridge.errors import ReplayError
from bridge.model import State
from bridge.store import deliveries, events, history, mapping_versions
from bridge.store.database import Connection, Database, clock_ms
from bridge.store.deliveries import Head
from bridge.store.history import Earlier
from bridge.store.replays import Item

PAGE = 1000
"""Rows that one query looks at."""

PAGE_WITH_OUTCOMES = 200
"""Deliveries, where what became of their events is read as well."""

FAILED = (State.DEAD, State.REJECTED, State.NOT_FOUND, State.UNCONFIRMED)
CURRENT, ORIGINAL = "current", "original"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be replayed; None and empty mean any.

    ``since`` and ``until`` (ms): when the delivery was received, the end not included. ``states``,
    ``campaign``, ``error`` (part of the message) and ``version`` speak of the newest outcome of an
    event for a lead. With ``campaign`` nothing is sent to any other.
    """

    since: int | None = None
    until: int | None = None
    source: str | None = None
    campaign: str | None = None
    states: tuple[State, ...] = ()
    error: str | None = None
    version: str | None = None
    receipt: str | None = None

    @property
    def by_outcome(self) -> bool:
        """Whether what became of an event matters."""
        return bool(self.states or self.campaign or self.error or self.version)

    def as_json(self) -> dict[str, Any]:
        """The selection as it is stored: only what was asked for."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Selection:
        """The selection from its stored form."""
        states = tuple(State(state) for state in stored.get("states", ()))
        return cls(**{**stored, "states": states})

    def wants(self, head: Head) -> bool:
        """Whether a delivery may be in it."""
        return self.source in (None, head.source) and self.receipt in (None, head.receipt)

    def wants_outcome(self, one: Earlier) -> bool:
        """Whether an outcome is what was asked for."""
        return (
            (not self.states or one.state in self.states)
            and self.source in (None, one.source)
            and self.receipt in (None, one.receipt)
            and (self.campaign in (None, one.campaign) or self._any_campaign(one))
            and self.version in (None, one.version)
            and (not self.error or self.error.lower() in one.message.lower())
        )

    def _any_campaign(self, one: Earlier) -> bool:
        """Whether an event that has reached no campaign is meant as well: such were asked for."""
        return one.lead_free and one.state in self.states


def with_mapping(connection: Connection, selection: Selection, mapping: str) -> Selection:
    """The selection for a mapping: a version is of one source. Errors: ``ReplayError``."""
    if mapping in (CURRENT, ORIGINAL):
        return selection
    kept = mapping_versions.find(connection, mapping)
    if kept is None:
        raise ReplayError(
            f"there is no mapping version {mapping}; “crm-bridge replay versions” lists them."
        )
    if selection.source not in (None, kept.source):
        raise ReplayError(f"the version {mapping} is one of {kept.source}, not {selection.source}.")
    return replace(selection, source=kept.source)


@dataclass(frozen=True, slots=True)
class Scan:
    """How far a selection has come. ``looked``: rows so far; ``ended``: there are no more.

    What came after the start is not in it: receipts from ``before`` on, outcomes above ``up_to``.
    """

    after: str
    before: str
    part: int = 0
    after_id: int = 0
    up_to: int = 0
    looked: int = 0
    ended: bool = False


def begin(connection: Connection, selection: Selection) -> Scan:
    """The scan of a selection that begins now."""
    now = clock_ms(connection)
    until = now + 1 if selection.until is None else min(selection.until, now + 1)
    after = f"{max(0, selection.since or 0):012x}"
    return Scan(after, f"{max(0, until):012x}", up_to=history.last_id(connection))


def page(connection: Connection, selection: Selection, scan: Scan) -> tuple[list[Item], Scan]:
    """The next part of a selection, and the scan behind it."""
    if selection.receipt is not None:
        found = deliveries.by_receipt(connection, selection.receipt)
        heads = list(deliveries.heads(connection, [found.id]).values()) if found else []
        return _of_heads(connection, selection, heads), replace(scan, ended=True, looked=len(heads))
    if selection.states:
        return _by_state(connection, selection, scan)
    limit = PAGE_WITH_OUTCOMES if selection.by_outcome else PAGE
    heads = deliveries.between(connection, scan.after, scan.before, limit)
    items = _of_heads(connection, selection, heads)
    if len(heads) < limit:
        return items, replace(scan, ended=True, looked=scan.looked + len(heads))
    return items, replace(scan, after=heads[-1].receipt, looked=scan.looked + len(heads))


def pages(
    database: Database, selection: Selection, scan: Scan
) -> Iterator[tuple[list[Item], Scan]]:
    """All parts of a selection that are left, each read in a transaction of its own."""
    while not scan.ended:
        with database.read() as connection:
            found, scan = page(connection, selection, scan)
        yield found, scan


def _of_heads(connection: Connection, selection: Selection, heads: Iterable[Head]) -> list[Item]:
    wanted = [head for head in heads if selection.wants(head)]
    if not selection.by_outcome:
        return [Item(head.receipt, head.id, None) for head in wanted]
    known = history.of_deliveries(connection, [head.id for head in wanted])
    return _items(connection, selection, known, known)


def _by_state(connection: Connection, selection: Selection, scan: Scan) -> tuple[list[Item], Scan]:
    state = selection.states[scan.part]
    rows = history.in_state(connection, state, after=scan.after_id, up_to=scan.up_to, limit=PAGE)
    looked = scan.looked + len(rows)
    matching = [
        row
        for row in rows
        if scan.after < row.receipt < scan.before and selection.wants_outcome(row)
    ]
    known = history.all_of_events(connection, sorted({row.event_id for row in matching}))
    items = _items(connection, selection, matching, known)
    if len(rows) == PAGE:
        return items, replace(scan, after_id=rows[-1].id, looked=looked)
    part = scan.part + 1
    ended = part == len(selection.states)
    return items, replace(scan, part=part, after_id=0, looked=looked, ended=ended)


def _items(
    connection: Connection,
    selection: Selection,
    candidates: Iterable[Earlier],
    known: Sequence[Earlier],
) -> list[Item]:
    """The deliveries of those candidates that are the newest word on their event and lead."""
    newest = newest_by_lead(known)
    chosen: dict[int, set[int]] = defaultdict(set)
    receipts: dict[int, str] = {}
    for one in candidates:
        last = newest.get((one.event_id, one.campaign, one.phone))
        if last is not None and last.id == one.id and selection.wants_outcome(one):
            chosen[one.delivery_id].add(one.event_id)
            receipts[one.delivery_id] = one.receipt
    places = {row.id: row.ordinal for row in events.of_deliveries(connection, sorted(chosen))}
    return [
        Item(receipts[delivery], delivery, frozenset(places[i] for i in ids if i in places))
        for delivery, ids in chosen.items()
    ]


def newest_by_lead(known: Iterable[Earlier]) -> dict[tuple[int, str, str], Earlier]:
    """The newest outcome of each event for each lead: (event id, campaign, phone) → outcome.

    One that speaks of an event as a whole is overtaken by whatever a later replay led to.
    """
    newest: dict[tuple[int, str, str], Earlier] = {}
    last_replay: dict[int, int] = {}
    for one in known:
        key = (one.event_id, one.campaign, one.phone)
        before = newest.get(key)
        if before is None or (before.replay_id, before.id) < (one.replay_id, one.id):
            newest[key] = one
        last_replay[one.event_id] = max(last_replay.get(one.event_id, 0), one.replay_id)
    return {
        key: one
        for key, one in newest.items()
        if one.campaign or one.replay_id == last_replay[one.event_id]
    }
