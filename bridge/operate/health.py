"""Health: may webhooks be sent here, and is all well behind them?

``ready``: the bridge can durably accept. ``health``: that, and everything an operator should know
of; trouble at the campaign API is a warning there. Answers are kept for a second, and no look
grows with what waits, so that a monitor costs nothing. The format is ``application/health+json``
(https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check).
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bridge.clock import now_ms
from bridge.errors import BridgeError, StoreError
from bridge.model import Campaign, Lane, Source, State
from bridge.store import (
    campaigns,
    deliveries,
    lapses,
    leads,
    pauses,
    queues,
    revision,
    workers,
)
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, Database
from bridge.store.pauses import Pause
from bridge.store.queues import Depth, LookUps

KEPT_S = 1.0
WORKER_SILENT_MS = 15_000
OPT_OUT_LATE_MS = 60_000
BACKLOG_LATE_MS = 300_000
LAPSE_SHOWN_MS = 7 * 86_400_000
"""How long an opt-out whose period ended without confirmation is warned of."""

DISK_LOW_BYTES = 500_000_000
DISK_FULL_BYTES = 4_000_000
"""Less would not hold a few webhooks, however small the row that shows that a write is taken."""


class Status(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 - a word of the health format
    WARN = "warn"
    FAIL = "fail"


_ORDER = (Status.PASS, Status.WARN, Status.FAIL)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: how it went, and in words why; ``details`` are for the operator only."""

    status: Status
    output: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is looked at. ``mapping_problem``: why the last edit was not taken in, if it was not.

    ``need_url``: by source the schemes that refuse everything while the public URL is not known.
    """

    database: Database
    sources: Callable[[], Mapping[str, Source]]
    campaigns: Callable[[], dict[str, Campaign]]
    mapping_problem: Callable[[], str | None]
    need_url: Callable[[], dict[str, tuple[str, ...]]]


class Health:
    """The checks of one web process."""

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

    def _cached(self, name: str, look: Callable[[], dict[str, Check]]) -> dict[str, Check]:
        with self._locks[name]:
            kept = self._kept.get(name)
            if kept is not None and time.monotonic() - kept[0] < KEPT_S:
                return kept[1]
            checks = look()
            self._kept[name] = (time.monotonic(), checks)
            return checks

    def _ready(self) -> dict[str, Check]:
        path = self._subject.database.path
        try:
            if path is not None and _free_bytes(path) < DISK_FULL_BYTES:
                return {"database": Check(Status.FAIL, "the disk is full")}
            revision.still_fits(self._subject.database)
            with self._subject.database.write() as connection:
                deliveries.prove_writable(connection, "web", now_ms())
        except BridgeError as error:
            return {
                "database": Check(
                    Status.FAIL, "the database takes no write", {"reason": str(error)}
                )
            }
        return {"database": Check(Status.PASS)}

    def _rest(self) -> dict[str, Check]:
        try:
            with self._subject.database.read() as connection:
                return {
                    "mappings": self._mappings(),
                    "worker": _worker(workers.last_beat(connection)),
                    "deliveries": _deliveries(queues.deliveries_by_source(connection)),
                    "look_ups": _look_ups(queues.look_ups(connection)),
                    "opt_outs": _opt_outs(queues.opt_outs(connection)),
                    "lapsed_opt_outs": _lapsed(lapses.since(connection, now_ms() - LAPSE_SHOWN_MS)),
                    "campaigns": self._campaigns(
                        campaigns.conditions(connection), pauses.pauses(connection)
                    ),
                    "backlog": self._backlog(connection),
                    "sources": self._sources(
                        deliveries.last_by_source(connection, self._subject.sources())
                    ),
                    "public_url": _public_url(self._subject.need_url()),
                    "disk": _disk(self._subject.database.path),
                }
        except StoreError as error:
            return {
                "store": Check(Status.FAIL, "the database cannot be read", {"reason": str(error)})
            }

    def _mappings(self) -> Check:
        problem = self._subject.mapping_problem()
        if problem is not None:
            return Check(
                Status.WARN,
                "the last edit of the mapping files is not valid; the files before it are in force",
                {"reason": problem},
            )
        return Check(Status.PASS)

    def _campaigns(self, seen: dict[str, Condition], paused: dict[str, Pause]) -> Check:
        named = self._subject.campaigns()
        ready = [name for name, campaign in named.items() if campaign.configured]
        if not ready:
            return Check(
                Status.WARN,
                "no campaign is configured; deliveries wait until one is",
                {"missing": {name: list(c.missing) for name, c in named.items()}},
            )
        bad = {
            name: _held_back(seen.get(name, Condition()), paused.get(name))
            for name in ready
            if name in paused or seen.get(name, Condition()).condition != "open"
        }
        if bad:
            return Check(Status.WARN, _in_words(bad, len(ready)), bad)
        return Check(Status.PASS, details={"configured": ready})

    def _backlog(self, connection: Connection) -> Check:
        """How late the leads of each campaign are, also of campaigns that are no longer there."""
        now = now_ms()
        ready = {name for name, c in self._subject.campaigns().items() if c.configured}
        late: dict[str, int] = {}
        left: list[str] = []
        for name in sorted({*ready, *campaigns.conditions(connection)}):
            lanes = leads.next_due(connection, name)
            due = min((at for lane, at in lanes.items() if lane is not Lane.STANDING), default=now)
            if name not in ready and lanes:
                left.append(name)
            elif now - due > BACKLOG_LATE_MS:
                late[name] = (now - due) // 1000
        details = {"late_seconds": late, "not_configured_with_leads": left}
        if left:
            return Check(
                Status.WARN, "leads wait for campaigns that are not configured any more", details
            )
        if late:
            return Check(Status.WARN, "updates are later than five minutes", details)
        return Check(Status.PASS)

    def _sources(self, last: dict[str, int]) -> Check:
        named = self._subject.sources()
        missing = {name: list(s.missing) for name, s in named.items() if not s.configured}
        now = now_ms()
        silence = {name: (now - at) // 1000 for name, at in last.items()}
        details = {"not_configured": missing, "seconds_since_last_delivery": silence}
        if len(missing) == len(named):
            return Check(Status.WARN, "no source is configured", details)
        return Check(Status.PASS, details=details)


def overall(checks: dict[str, Check]) -> Status:
    """The worst of all checks."""
    return max((check.status for check in checks.values()), key=_ORDER.index)


def document(checks: dict[str, Check], version: str, *, details: bool) -> dict[str, Any]:
    """The checks as ``application/health+json``; details only for the operator."""
    shown = {}
    for name, check in checks.items():
        entry: dict[str, Any] = {"status": check.status.value}
        if check.output:
            entry["output"] = check.output
        if details and check.details:
            entry["details"] = check.details
        shown[name] = [entry]
    return {"status": overall(checks).value, "version": version, "checks": shown}


def _held_back(condition: Condition, pause: Pause | None) -> dict[str, Any]:
    """Why, and since when, a campaign is not called as it should be."""
    found: dict[str, Any] = {"condition": condition.condition, "reason": condition.reason}
    if condition.condition != "open":
        found["seconds"] = (now_ms() - condition.since) // 1000
    if pause is not None:
        found["paused_by_hand"] = {
            "by": pause.actor,
            "reason": pause.reason,
            "seconds": (now_ms() - pause.since) // 1000,
            "opt_outs": "held" if pause.holds_opt_outs else "go on",
        }
    return found


def _in_words(bad: dict[str, dict[str, Any]], of: int) -> str:
    by_hand = [one["paused_by_hand"] for one in bad.values() if "paused_by_hand" in one]
    told = f"{len(bad)} of {of} campaigns held back"
    if by_hand:
        told += f", {len(by_hand)} of them paused by hand"
    held = sum(one["opt_outs"] == "held" for one in by_hand)
    return told + (f"; {held} with their opt-outs" if held else "")


def _lapsed(found: dict[str, int]) -> Check:
    if not found:
        return Check(Status.PASS)
    count = sum(found.values())
    return Check(
        Status.WARN,
        f"{count} opt-out{'' if count == 1 else 's'} ended unconfirmed within the last seven days",
        {"campaigns": found},
    )


def _worker(last: int | None) -> Check:
    if last is None or now_ms() - last > WORKER_SILENT_MS:
        return Check(Status.WARN, "no worker is alive; webhooks are accepted and wait")
    return Check(Status.PASS)


def _age(depth: Depth, now: int) -> int:
    """How long the oldest has waited (ms)."""
    return 0 if depth.oldest is None else max(0, now - depth.oldest)


def _deliveries(found: dict[str, Depth]) -> Check:
    now = now_ms()
    age = max((_age(depth, now) for depth in found.values()), default=0)
    count = sum(depth.count for depth in found.values())
    details = {"waiting": count, "oldest_seconds": age // 1000}
    if age > BACKLOG_LATE_MS:
        return Check(Status.WARN, "deliveries wait for longer than five minutes", details)
    return Check(Status.PASS, details=details)


def _look_ups(found: list[LookUps]) -> Check:
    """Events that wait for their CRM's answer; among them opt-outs, as far as they show."""
    now = now_ms()
    details = {
        f"{one.source} {one.lane.name.lower()}": {
            "count": one.depth.count,
            "oldest_seconds": _age(one.depth, now) // 1000,
            "trouble": one.trouble,
        }
        for one in found
    }
    if any(one.lane is Lane.OPT_OUT and _age(one.depth, now) > OPT_OUT_LATE_MS for one in found):
        return Check(
            Status.WARN, "what may be an opt-out has waited for a look-up over a minute", details
        )
    if any(_age(one.depth, now) > BACKLOG_LATE_MS for one in found):
        return Check(Status.WARN, "events wait for look-ups for over five minutes", details)
    return Check(Status.PASS, details=details)


def _opt_outs(found: dict[State, Depth]) -> Check:
    now = now_ms()
    details = {
        state.value: {"count": depth.count, "oldest_seconds": _age(depth, now) // 1000}
        for state, depth in found.items()
    }
    late = [
        state
        for state, depth in found.items()
        if state is not State.STANDING and _age(depth, now) > OPT_OUT_LATE_MS
    ]
    if late:
        return Check(Status.WARN, "an opt-out has waited for longer than a minute", details)
    return Check(Status.PASS, details=details)


def _public_url(lacking: dict[str, tuple[str, ...]]) -> Check:
    if lacking:
        return Check(
            Status.WARN,
            "BRIDGE_PUBLIC_URL is not set, so signatures that cover the URL are refused",
            {"refused_schemes": {name: list(schemes) for name, schemes in lacking.items()}},
        )
    return Check(Status.PASS)


def _free_bytes(path: Path) -> int:
    """Errors: ``StoreError`` if the folder of the database is gone."""
    try:
        return shutil.disk_usage(path.resolve().parent).free
    except OSError as error:
        raise StoreError(f"the folder of the database is out of reach ({error.strerror})") from None


def _disk(path: Path | None) -> Check:
    if path is None:
        return Check(Status.PASS)
    free = _free_bytes(path)
    if free < DISK_LOW_BYTES:
        return Check(Status.WARN, "the disk is almost full", {"free_bytes": free})
    return Check(Status.PASS, details={"free_bytes": free})
