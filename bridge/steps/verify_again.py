"""Refusals whose secret was wrong are verified again, and taken in like any other delivery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge import logs
from bridge.model import Refused, Source
from bridge.receive.again import NotKept, judge_again
from bridge.store import deliveries, refusals
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.refusals import KeptRefusal
from bridge.store.wakeup import Bell, notify

log = logs.get("receive")

AT_A_TIME = 20
"""Refusals in one transaction; each may hold a body of some megabytes."""


@dataclass(slots=True)
class Verdicts:
    """What came of looking at refusals again. ``passed`` and ``taken_in`` are by source.

    ``reasons``: why others still do not pass, by source and reason. ``not_kept``: of the rest,
    what would be needed to verify them and was not kept. ``receipts``: of those
    that pass, as many as were asked for.
    """

    looked_at: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    taken_in: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    receipts: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The verdicts as an object."""
        return {
            "looked_at": self.looked_at,
            "passed": dict(self.passed),
            "taken_in": dict(self.taken_in),
            "still_refused": _rows(self.reasons),
            "cannot_be_verified": _rows(self.not_kept),
            "receipts": self.receipts,
        }


def _rows(counted: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"source": source, "reason": reason, "count": count}
        for (source, reason), count in counted.most_common(100)
    ]


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges refusals by the sources of now. ``depth``: the deepest nesting of a body."""

    database: Database
    sources: Mapping[str, Source]
    public_url: str | None
    depth: int
    examples: int = 20

    def look(
        self,
        *,
        source: str | None = None,
        receipt: str | None = None,
        run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Verdicts:
        """Judge every kept refusal that matches; ``run``: take in those that pass.

        May be broken off anywhere and begun anew: each is taken in once. ``progress`` is told how
        many were looked at. Errors: ``StoreError``.
        """
        found, after, bell = Verdicts(), 0, Bell(self.database)
        while True:
            with self.database.read() as connection:
                rows = refusals.page(
                    connection, after=after, limit=AT_A_TIME, source=source, receipt=receipt
                )
            if not rows:
                return found
            after = rows[-1].id
            passing = self._judge(rows, found)
            if run and passing:
                self._take_in(passing, found)
                bell.ring()
            found.looked_at += len(rows)
            if progress is not None:
                progress(found.looked_at)

    def _judge(self, rows: list[KeptRefusal], found: Verdicts) -> dict[int, NewDelivery]:
        passing: dict[int, NewDelivery] = {}
        for row in rows:
            source = self.sources.get(row.source)
            if source is None or not source.configured:
                state = "there is no such source" if source is None else "it is not configured"
                found.reasons[row.source, state] += 1
                continue
            verdict = judge_again(source, row, public_url=self.public_url, depth=self.depth)
            if isinstance(verdict, NotKept):
                found.not_kept[row.source, verdict.reason] += 1
                continue
            if isinstance(verdict, Refused):
                found.reasons[row.source, verdict.reason] += 1
                continue
            passing[row.id] = verdict
            found.passed[row.source] += 1
            if len(found.receipts) < self.examples:
                found.receipts.append(row.receipt)
        return passing

    def _take_in(self, passing: Mapping[int, NewDelivery], found: Verdicts) -> None:
        with self.database.write() as connection:
            mine = refusals.take(connection, list(passing))
            new = [passing[number] for number in sorted(mine)]
            if new:
                deliveries.add(connection, new)
                notify(connection)
        for delivery in new:
            found.taken_in[delivery.source] += 1
            log.info(
                "refusal taken in",
                receipt=delivery.receipt,
                source=delivery.source,
                scheme=delivery.scheme,
            )
