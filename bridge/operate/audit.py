"""The audit: from the database alone, what was received is accounted for.

Everything is looked at in bounded pages. What is final and right is summed up in a checkpoint, so
that the next run reads only what is new or was open; a full run reads everything and stores
nothing. A run sees one snapshot of the database; one that takes longer goes on with a new one
every ``SNAPSHOT_S``, so that it neither keeps SQLite's log nor PostgreSQL's dead rows from being
cleared away. What belongs together is committed together and read together, so no promise is
judged by two snapshots.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TypeAlias

from bridge.clock import now_ms
from bridge.errors import StoreError
from bridge.store import refusals, workers
from bridge.store.audit import bodies, deliveries, events, leads, outcomes
from bridge.store.audit.checkpoint import (
    Counts,
    Mark,
    advance,
    close,
    counts_of,
    marks,
    newest,
    next_span,
    not_closed,
    remember,
    settled,
    sums,
)
from bridge.store.audit.found import Breach, Broken, Kind, Looked, Span, Today
from bridge.store.database import Connection, Database, clock_ms

PAGE = 20_000
AGAIN = 2_000
"""Rows of a page of new ones, and of a page of those that are looked at again."""

SNAPSHOT_S = 20.0
SETTLE_S = 5.0
WORKER_SILENT_MS = 60_000

Look: TypeAlias = Callable[[Connection, Span, Today], Looked]
Progress: TypeAlias = Callable[[Kind, int, int], None]
"""Is told the kind, how many ids of it are done, and how many there are to do."""

LOOKS: dict[Kind, Look] = {
    Kind.DELIVERY: deliveries.look,
    Kind.EVENT: events.look,
    Kind.OUTCOME: outcomes.look,
    Kind.LEAD: leads.look,
}


@dataclass(slots=True)
class Report:
    """What an audit found. ``counts``: rows by kind and (source or campaign, state or lane).

    ``looked_at``: how many rows were read; ``snapshots``: how many snapshots it took;
    ``trouble``: why the checkpoint could not be stored, if it could not.
    """

    full: bool
    counts: dict[Kind, Counts] = field(default_factory=lambda: {kind: Counter() for kind in Kind})
    refusals: dict[str, int] = field(default_factory=dict)
    breaches: dict[tuple[Kind, int, Broken], Breach] = field(default_factory=dict)
    looked_at: int = 0
    snapshots: int = 0
    elapsed_ms: int = 0
    trouble: str = ""

    @property
    def clean(self) -> bool:
        """Whether no row breaks a promise."""
        return not self.breaches


class _Snapshot:
    """A connection for reading, renewed when it is old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._until = 0.0
        self.count = 0

    def get(self) -> Connection:
        if self._connection is None or time.monotonic() > self._until:
            self._stack.close()
            self._connection = self._stack.enter_context(self._database.read())
            self._until = time.monotonic() + SNAPSHOT_S
            self.count += 1
        return self._connection

    def __enter__(self) -> _Snapshot:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, value, trace)


class Audit:
    """One run. ``standing_period``: how long (ms) an unconfirmed opt-out is asserted.

    Errors of ``run``: ``StoreError``.
    """

    def __init__(
        self,
        database: Database,
        *,
        standing_period: int,
        full: bool = False,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._database = database
        self._standing_period = standing_period
        self._progress = progress
        self._report = Report(full)
        self._saving = not full

    def run(self) -> Report:
        """Look, and say what was found."""
        started = time.monotonic()
        safe = settled(self._database, SETTLE_S) if self._saving else {}
        with _Snapshot(self._database) as snapshot:
            connection = snapshot.get()
            today = self._today(connection)
            before = marks(connection)
            newest_of = newest(connection)
            for kind in Kind:
                if self._saving:
                    self._report.counts[kind] += sums(connection, kind)
            for kind in Kind:
                if self._saving:
                    self._again(kind, snapshot, today)
                self._new(
                    kind,
                    snapshot,
                    today,
                    before=before[kind],
                    safe=safe.get(kind, 0),
                    last=newest_of[kind],
                )
            if self._report.full:
                self._bodies(snapshot, newest_of[Kind.DELIVERY])
            connection = snapshot.get()
            self._report.counts[Kind.LEAD] = Counter(leads.by_lane(connection))
            self._report.refusals = refusals.by_source(connection)
            self._report.snapshots = snapshot.count
        self._report.elapsed_ms = round((time.monotonic() - started) * 1000)
        return self._report

    def _today(self, connection: Connection) -> Today:
        now = clock_ms(connection)
        beat = workers.last_beat(connection)
        live = beat is not None and now - beat < WORKER_SILENT_MS
        return Today(now, self._standing_period, live)

    def _look(self, kind: Kind, connection: Connection, span: Span, today: Today) -> Looked:
        looked = LOOKS[kind](connection, span, today)
        self._report.looked_at += looked.rows
        if kind is not Kind.LEAD:
            self._report.counts[kind] += looked.counts
        for breach in looked.breaches:
            self._report.breaches[breach.kind, breach.id, breach.broken] = breach
        return looked

    def _again(self, kind: Kind, snapshot: _Snapshot, today: Today) -> None:
        """Look again at the rows that were open or broken the last time."""
        after = 0
        while ids := not_closed(snapshot.get(), kind, after, AGAIN):
            after = ids[-1]
            connection = snapshot.get()
            looked = self._look(kind, connection, Span(ids=ids), today)
            mine = {breach.id for breach in looked.breaches if breach.kind is kind}
            right = [one for one in ids if one not in looked.open and one not in mine]
            others = [(b.kind, b.id) for b in looked.breaches if b.kind is not kind]
            self._save(partial(_closed, kind, right, others, partial(counts_of, connection, kind)))

    def _new(
        self, kind: Kind, snapshot: _Snapshot, today: Today, *, before: Mark, safe: int, last: int
    ) -> None:
        """Look at the rows after the mark; a full run, at all."""
        mark = Mark() if self._report.full else before
        end = before.up_to if self._report.full else max(safe, mark.up_to)
        for stop, keep in ((min(end, last), True), (last, False)):
            for span in _spans(kind, snapshot, mark.up_to, stop):
                connection = snapshot.get()
                looked = self._look(kind, connection, span, today)
                after = Mark(span.to, mark.rows + looked.rows)
                if keep:
                    self._advance(kind, connection, (mark, after), looked)
                mark = after
                self._progress(kind, span.to, last)
            if self._report.full and keep and mark.rows < before.rows:
                gone = f"{before.rows - mark.rows} of {before.rows} rows up to {before.up_to}"
                breach = Breach(kind, before.up_to, Broken.ROWS_GONE, gone)
                self._report.breaches[kind, breach.id, breach.broken] = breach

    def _bodies(self, snapshot: _Snapshot, last: int) -> None:
        """Look whether what is packed can be unpacked; a run that reads only what is new does not,
        since the disk damages old rows as well."""
        found = bodies.look(snapshot.get(), 0)
        while found.number:
            self._report.looked_at += found.number
            for one in found.damaged:
                breach = Breach(Kind.DELIVERY, one, Broken.BODY_DAMAGED)
                self._report.breaches[breach.kind, breach.id, breach.broken] = breach
            self._progress(Kind.DELIVERY, min(found.last, last), last)
            found = bodies.look(snapshot.get(), found.last)

    def _advance(
        self, kind: Kind, connection: Connection, way: tuple[Mark, Mark], looked: Looked
    ) -> None:
        if not self._saving:
            return
        left = looked.open | {b.id for b in looked.breaches if b.kind is kind}
        others = [(b.kind, b.id) for b in looked.breaches if b.kind is not kind]
        closed = looked.counts.copy()
        closed.subtract(counts_of(connection, kind, left))

        def save(writing: Connection) -> str:
            if not advance(writing, kind, *way, closed=closed, left=left, now=now_ms()):
                return "another audit is at work and has gone further"
            remember(writing, others)
            return ""

        self._save(save)

    def _save(self, store: Callable[[Connection], str]) -> None:
        """Store a part of the checkpoint; a run that cannot goes on without."""
        if not self._saving:
            return
        try:
            with self._database.write() as connection:
                trouble = store(connection)
        except StoreError as error:
            trouble = str(error)
        if trouble:
            self._saving = False
            self._report.trouble = trouble


def _closed(
    kind: Kind,
    right: list[int],
    others: list[tuple[Kind, int]],
    count: Callable[[Sequence[int]], Counts],
    writing: Connection,
) -> str:
    close(writing, kind, right, count)
    remember(writing, others)
    return ""


def _spans(kind: Kind, snapshot: _Snapshot, after: int, to: int) -> Iterator[Span]:
    while after < to:
        span = next_span(snapshot.get(), kind, after, to, PAGE)
        if span is None:
            return
        yield span
        after = span.to


__all__ = ["Audit", "Report"]
