"""Health: may webhooks be sent here, and is all well behind them?

``ready``: the bridge can durably accept. ``health``: that, and everything an operator should know
of; trouble at the campaign API is a warning there. Answers are kept for a second, and no look
grows with what waits, so that a monitor costs nothing. The format is ``application/health+json``
(https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check).
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.clock import now_ms
from bridge.errors import BridgeError, StoreError
from bridge.model import Campaign, Lane, Source
from bridge.operate import checks
from bridge.operate.checks import Bounds, Check, Status
from bridge.operate.concern import Concern, Kind
from bridge.operate.whereabouts import told
from bridge.store import (
    alerts,
    campaigns,
    deliveries,
    lapses,
    leads,
    notices,
    pauses,
    queues,
    revision,
    silences,
    tally,
    workers,
)
from bridge.store.database import Connection, Database
from bridge.store.notices import Notice
from bridge.store.queues import Depth

KEPT_S = 1.0
LAPSE_SHOWN_MS = 7 * 86_400_000
"""How long an opt-out whose period ended without confirmation is warned of."""

DISK_FULL_BYTES = 4_000_000
"""Less would not hold a few webhooks, however small the row that shows that a write is taken."""

_ORDER = (Status.PASS, Status.WARN, Status.FAIL)

__all__ = ["Check", "Health", "Status", "Subject", "document", "overall"]


@dataclass(frozen=True)
class Subject:
    """What is looked at. ``mapping_problem``: why the last edit was not taken in, if it was not.

    ``need_url``: by source the schemes that refuse everything while the public URL is not known.
    ``process``: the name under which this process notes what it alone knows, if it does.
    """

    database: Database
    sources: Callable[[], Mapping[str, Source]]
    campaigns: Callable[[], Mapping[str, Campaign]]
    mapping_problem: Callable[[], str | None]
    need_url: Callable[[], dict[str, tuple[str, ...]]]
    bounds: Bounds = field(default_factory=Bounds)
    process: str = ""


class Health:
    """The checks as one process sees them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._locks = {name: threading.Lock() for name in ("ready", "health")}
        self._kept: dict[str, tuple[float, dict[str, Check]]] = {}

    def ready(self) -> dict[str, Check]:
        """The checks that say whether a webhook can be durably accepted."""
        return self._cached("ready", self._ready)

    def health(self) -> dict[str, Check]:
        """All checks."""
        return self._cached("health", lambda: {**self.ready(), **self._rest()})

    def campaigns(self) -> frozenset[str]:
        """The names of the campaigns."""
        return frozenset(self._subject.campaigns())

    def _cached(self, name: str, look: Callable[[], dict[str, Check]]) -> dict[str, Check]:
        with self._locks[name]:
            kept = self._kept.get(name)
            if kept is not None and time.monotonic() - kept[0] < KEPT_S:
                return kept[1]
            found = look()
            self._kept[name] = (time.monotonic(), found)
            return found

    def _ready(self) -> dict[str, Check]:
        path = self._subject.database.path
        try:
            if path is not None and _free_bytes(path) < DISK_FULL_BYTES:
                return {"database": checks.database_fails("the disk is full", {})}
            revision.still_fits(self._subject.database)
            with self._subject.database.write() as connection:
                deliveries.prove_writable(connection, "web", now_ms())
        except BridgeError as error:
            words = "the database takes no write"
            return {"database": checks.database_fails(words, {"reason": str(error)})}
        return {"database": Check(Status.PASS)}

    def _rest(self) -> dict[str, Check]:
        subject, bounds = self._subject, self._subject.bounds
        now = subject.database.now_ms()
        path = subject.database.path
        try:
            with subject.database.read() as connection:
                noticed = notices.current(connection, now)
                opt_outs = checks.opt_outs(queues.opt_outs(connection), now, bounds)
                return {
                    "mappings": checks.mappings(
                        subject.mapping_problem(), self._of(noticed, Kind.MAPPING_INVALID)
                    ),
                    "worker": checks.workers(workers.beats(connection), now, bounds),
                    "deliveries": checks.waiting_deliveries(
                        queues.deliveries_by_source(connection), now, bounds
                    ),
                    "look_ups": checks.look_ups(queues.look_ups(connection), now, bounds),
                    "opt_outs": opt_outs,
                    "lapsed_opt_outs": checks.lapsed(
                        lapses.since(connection, now - LAPSE_SHOWN_MS)
                    ),
                    "dead_letters": checks.dead_letters(_dead(connection, now)),
                    "campaigns": self._campaigns(connection, now),
                    "backlog": self._backlog(connection, now, opt_outs),
                    "sources": self._sources(connection, now),
                    "public_url": checks.public_url(subject.need_url()),
                    "disk": checks.disk(
                        None if path is None else _free_bytes(path), socket.gethostname(), bounds
                    ),
                    "clocks": checks.clocks(self._of(noticed, Kind.CLOCK_WRONG)),
                    "audit": checks.audit(self._of(noticed, Kind.AUDIT_BREACH)),
                    "alerts": checks.alerts(alerts.channels(connection), now),
                }
        except StoreError as error:
            words = "the database cannot be read"
            return {"store": checks.database_fails(words, {"reason": str(error)})}

    def _of(self, noticed: list[Notice], kind: Kind) -> list[Notice]:
        """What was noticed of a kind; this process knows its own mapping files better."""
        mine = self._subject.process if kind is Kind.MAPPING_INVALID else ""
        return [one for one in noticed if one.kind == kind.value and one.process != mine]

    def _campaigns(self, connection: Connection, now: int) -> Check:
        named = self._subject.campaigns()
        ready = [name for name, campaign in named.items() if campaign.configured]
        if not ready:
            return checks.no_campaign({name: list(c.missing) for name, c in named.items()})
        seen = campaigns.conditions(connection)
        return checks.campaigns(ready, seen, pauses.pauses(connection), now)

    def _backlog(self, connection: Connection, now: int, opt_outs: Check) -> Check:
        """How late the leads of each campaign are, also of campaigns that are no longer there."""
        ready = {name for name, c in self._subject.campaigns().items() if c.configured}
        told = any(one.kind is Kind.OPT_OUT_LATE for one in opt_outs.concerns)
        untold: dict[str, int] = {}
        late: dict[str, int] = {}
        left: list[str] = []
        for name in sorted({*ready, *campaigns.conditions(connection)}):
            lanes = leads.next_due(connection, name)
            due = min((at for lane, at in lanes.items() if lane is not Lane.STANDING), default=now)
            if name not in ready and lanes:
                left.append(name)
                continue
            late_ms = now - lanes.get(Lane.OPT_OUT, now)
            if late_ms > self._subject.bounds.opt_out and not told:
                untold[name] = late_ms // 1000
            if now - due > self._subject.bounds.backlog:
                late[name] = (now - due) // 1000
        return checks.backlog(late, left, self._subject.bounds, opt_outs=untold)

    def _sources(self, connection: Connection, now: int) -> Check:
        named = self._subject.sources()
        missing = {name: list(s.missing) for name, s in named.items() if not s.configured}
        last = deliveries.last_by_source(connection, named)
        quiet = checks.too_silent(last, silences.usual(connection), now, self._subject.bounds)
        return checks.sources(missing, len(named), last, quiet, now)


def concerns(found: dict[str, Check]) -> list[Concern]:
    """What is not well, of all checks, the urgent first."""
    every = [concern for check in found.values() for concern in check.concerns]
    return sorted(every, key=lambda one: not one.urgent)


def overall(found: dict[str, Check]) -> Status:
    """The worst of all checks."""
    return max((check.status for check in found.values()), key=_ORDER.index)


def document(
    found: dict[str, Check], version: str, *, details: bool, campaigns: Container[str] = ()
) -> dict[str, Any]:
    """The checks as ``application/health+json``; details only for the operator.

    ``campaigns``: their names.
    """
    shown = {}
    for name, check in found.items():
        entry: dict[str, Any] = {"status": check.status.value}
        if check.output:
            entry["output"] = check.output
        if details and check.details:
            entry["details"] = check.details
        if details and check.concerns:
            entry["concerns"] = [told(concern, campaigns) for concern in check.concerns]
        shown[name] = [entry]
    return {"status": overall(found).value, "version": version, "checks": shown}


def _dead(connection: Connection, now: int) -> Depth:
    since = now - checks.DEAD_SHOWN_MS
    first = since // tally.MINUTE * tally.MINUTE
    if not any(tally.series(connection, tally.Span.MINUTE, first).get("dead", {}).values()):
        return Depth(0)
    return queues.dead(connection, since)


def _free_bytes(path: Path) -> int:
    """Errors: ``StoreError`` if the folder of the database is gone."""
    try:
        return shutil.disk_usage(path.resolve().parent).free
    except OSError as error:
        raise StoreError(f"the folder of the database is out of reach ({error.strerror})") from None
