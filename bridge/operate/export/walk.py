"""Read what an export is made of, part by part: no transaction is open between two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.operate.export import records
from bridge.operate.export.records import Record, Row
from bridge.operate.export.subject import Period, Person, Subject
from bridge.operate.story import standings
from bridge.store import attempts, clues, evidence
from bridge.store.database import Connection, Database
from bridge.store.digest import load
from bridge.store.evidence import Head, Only

FOREVER = 2**62
REFUSALS, ACTIONS = 50, 500
"""Of a part; refusals are read with their bodies."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a part, at most: deliveries, bytes of their bodies, and rows that belong to them; one
    delivery is always taken."""

    deliveries: int = 200
    bytes: int = 4_000_000
    rows: int = 2_000


SMALL = Size(50, 1_000_000, 500)
"""For the web process, which takes webhooks meanwhile."""


@dataclass(slots=True)
class Seen:
    """What the parts so far have told; also where to go on.

    ``after``: receipts up to this one are told. ``first_at``: when the first delivery came (ms).
    """

    after: str = ""
    deliveries: int = 0
    versions: set[str] = field(default_factory=set)
    replays: set[int] = field(default_factory=set)
    campaigns: set[str] = field(default_factory=set)
    first_at: int = FOREVER


Told = Callable[[float, int], None]
"""Is told how much is done (0 to 1), and how many deliveries that were."""


class Walk:
    """One reading. ``bodies``: raw webhooks with their bodies, else with their hashes alone."""

    def __init__(
        self,
        database: Database,
        subject: Subject,
        *,
        bodies: bool,
        size: Size,
        seen: Seen | None = None,
        told: Told = lambda *_: None,
    ) -> None:
        self._database = database
        self._subject = subject
        self._bodies = bodies
        self._size = size
        self._seen = seen or Seen()
        self._told = told

    def parts(self) -> Iterator[list[Record]]:
        """All records, in parts. Errors: ``StoreError``."""
        subject = self._subject
        if isinstance(subject, Period):
            yield from self._period(subject)
            yield from self._refusals(subject)
        else:
            yield from self._person(subject)
        yield from self._by_hand()

    # ---------------------------------------------------------------- deliveries

    def _period(self, wanted: Period) -> Iterator[list[Record]]:
        seen = self._seen
        seen.after = max(seen.after, wanted.after)
        only = Only(campaign=wanted.campaign)
        while True:
            with self._database.read() as connection:
                heads = evidence.heads_between(
                    connection, seen.after, wanted.before, self._size.deliveries
                )
                chosen = self._fitting(connection, heads)
            if not chosen:
                return
            of_source = [head for head in chosen if wanted.source in (None, head.source)]
            yield from self._whole(of_source, only)
            seen.after = chosen[-1].receipt
            done = int(seen.after[:12], 16) - wanted.since
            self._told(done / max(1, wanted.until - wanted.since), seen.deliveries)

    def _person(self, wanted: Person) -> Iterator[list[Record]]:
        with self._database.read() as connection:
            leads = standings(connection, wanted.found.phones, wanted.named)
            phones = evidence.written(connection, wanted.found.phones)
        self._seen.campaigns |= {lead["campaign"] for lead in leads}
        yield [records.lead(lead) for lead in leads]
        events_of = self._events_of(wanted)
        ids = sorted(events_of.keys() | self._deliveries_of(phones))
        start = 0
        while start < len(ids):
            page = ids[start : start + self._size.deliveries]
            with self._database.read() as connection:
                heads = evidence.heads(connection, page)
                chosen = self._fitting(connection, sorted(heads, key=lambda head: head.id))
            events = tuple(event for id_ in page for event in events_of.get(id_, ()))
            yield from self._whole(chosen, Only(phones, events))
            last = chosen[-1].id if len(chosen) < len(heads) else page[-1]
            start = ids.index(last, start) + 1
            self._told(start / len(ids), self._seen.deliveries)

    def _deliveries_of(self, phones: Sequence[str]) -> set[int]:
        found: set[int] = set()
        for phone in phones:
            after = 0
            while True:
                with self._database.read() as connection:
                    rows = evidence.deliveries_of(connection, phone, after)
                if not rows:
                    break
                after = rows[-1][0]
                found.update(delivery for _, delivery in rows)
        return found

    def _events_of(self, wanted: Person) -> dict[int, list[int]]:
        """Delivery → events that no outcome names a number of: found by clues, all of them."""
        with self._database.read() as connection:
            digest = load(connection)
        text = wanted.found.text
        digests = {clues.of_phone(digest, phone) for phone in wanted.found.phones}
        digests |= {clues.of_contact(digest, text)} | (
            {clues.of_email(digest, text)} if "@" in text else set()
        )
        found: dict[int, list[int]] = {}
        for one in sorted(digests):
            after = 0
            while True:
                with self._database.read() as connection:
                    rows = evidence.events_of(connection, one, after)
                if not rows:
                    break
                after = rows[-1][0]
                for event, delivery in rows:
                    if delivery is not None:
                        found.setdefault(delivery, []).append(event)
        return found

    def _fitting(self, connection: Connection, heads: Sequence[Head]) -> list[Head]:
        """As many of these, from the first, as a part may hold."""
        counts = evidence.rows_of(connection, [head.id for head in heads])
        chosen: list[Head] = []
        size = rows = 0
        for head in heads:
            size += head.size
            rows += counts.get(head.id, 0)
            if chosen and (size > self._size.bytes or rows > self._size.rows):
                break
            chosen.append(head)
        return chosen

    def _whole(self, heads: Sequence[Head], only: Only) -> Iterator[list[Record]]:
        """Deliveries with their events and outcomes; those without a meant outcome are left out.

        More outcomes than a part may hold are those of a single delivery, and come in several.
        """
        ids = [head.id for head in heads]
        if not ids:
            return
        after = 0
        with self._database.read() as connection:
            deliveries = evidence.deliveries(connection, ids)
            events = evidence.events(connection, ids, only)
            outcomes, tries = self._outcomes(connection, ids, only, after)
            versions = self._versions(connection, deliveries, outcomes)
        if only.some:
            meant = {row["delivery_id"] for row in (*outcomes, *events)}
            deliveries = [row for row in deliveries if row["id"] in meant]
        yield [*versions, *self._told_of(deliveries, events, outcomes, tries)]
        while len(outcomes) == self._size.rows:
            after = outcomes[-1]["id"]
            with self._database.read() as connection:
                outcomes, tries = self._outcomes(connection, ids, only, after)
                versions = self._versions(connection, [], outcomes)
            yield [*versions, *(records.outcome(row, tries.get(row["id"], [])) for row in outcomes)]

    def _outcomes(
        self, connection: Connection, ids: Sequence[int], only: Only, after: int
    ) -> tuple[list[dict[str, Any]], dict[int, list[dict[str, Any]]]]:
        rows = evidence.outcomes(connection, ids, only, after=after, limit=self._size.rows)
        tried = [row["id"] for row in rows]
        tries = attempts.of_outcomes(connection, tried, most=None) if tried else {}
        self._seen.replays |= {row["replay_id"] for row in rows if row["replay_id"]}
        self._seen.campaigns |= {row["campaign"] for row in rows if row["campaign"]}
        return rows, tries

    def _versions(
        self, connection: Connection, deliveries: Sequence[Row], outcomes: Sequence[Row]
    ) -> list[Record]:
        """The mappings that these name and that were not told yet."""
        named = {row["version"] for row in (*deliveries, *outcomes) if row["version"]}
        new = sorted(named - self._seen.versions)
        if not new:
            return []
        self._seen.versions |= set(new)
        return [records.mapping(row) for row in evidence.mappings(connection, new)]

    def _told_of(
        self,
        deliveries: Sequence[Row],
        events: Sequence[Row],
        outcomes: Sequence[Row],
        tries: dict[int, list[dict[str, Any]]],
    ) -> Iterator[Record]:
        events_of, outcomes_of = _by_delivery(events), _by_delivery(outcomes)
        for row in deliveries:
            self._seen.deliveries += 1
            self._seen.first_at = min(self._seen.first_at, row["received_at"])
            yield records.delivery(row, bodies=self._bodies)
            for event in events_of.get(row["id"], ()):
                yield records.event(event, row["receipt"])
            for one in outcomes_of.get(row["id"], ()):
                yield records.outcome(one, tries.get(one["id"], []))

    # ---------------------------------------------------------------- beside them

    def _refusals(self, wanted: Period) -> Iterator[list[Record]]:
        after = 0
        while True:
            with self._database.read() as connection:
                rows = evidence.refusals(connection, wanted.since, wanted.until, after, REFUSALS)
            if not rows:
                return
            after = rows[-1]["id"]
            yield [records.refusal(row) for row in rows if wanted.source in (None, row["source"])]

    def _by_hand(self) -> Iterator[list[Record]]:
        """Replays that made outcomes, and what people did: in the period, or to this lead's
        campaigns and replays since its first delivery."""
        subject, seen = self._subject, self._seen
        since, until, subjects = seen.first_at, FOREVER, None
        if isinstance(subject, Period):
            since, until = subject.since, subject.until
        else:
            subjects = [*sorted(seen.campaigns), *(f"replay {n}" for n in sorted(seen.replays))]
        with self._database.read() as connection:
            replays = evidence.replays(connection, sorted(seen.replays))
        yield [records.replay(row) for row in replays]
        after = 0
        while True:
            with self._database.read() as connection:
                rows = evidence.actions(
                    connection, since, until, subjects=subjects, after=after, limit=ACTIONS
                )
            if not rows:
                return
            after = rows[-1]["id"]
            yield [records.action(row) for row in rows]


def _by_delivery(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["delivery_id"], []).append(row)
    return found
