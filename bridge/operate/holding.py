"""Why what waits for a lead is not sent: its campaign is paused by hand, or closed by the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.model import Lane
from bridge.store import campaigns, pauses
from bridge.store.campaigns import OPEN, Condition
from bridge.store.database import Connection
from bridge.store.pauses import Pause
from bridge.store.schema import NEVER


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds each campaign back, by name."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    paused: Mapping[str, Pause] = field(default_factory=dict)

    def of(self, campaign: str, lane: Lane) -> list[dict[str, Any]]:
        """Whatever holds back what waits in this lane; each has to end before it is sent."""
        if lane is Lane.IDLE:
            return []
        found: list[dict[str, Any]] = []
        pause = self.paused.get(campaign)
        if pause is not None and pause.holds(lane):
            found.append(
                {
                    "by": "hand",
                    "who": pause.actor,
                    "since": pause.since,
                    "reason": pause.reason,
                    "opt_outs": pause.holds_opt_outs,
                    "condition": "",
                    "tried_at": None,
                }
            )
        closed = self.conditions.get(campaign, Condition())
        if closed.condition != OPEN:
            found.append(
                {
                    "by": "api",
                    "who": "",
                    "since": closed.since or None,
                    "reason": closed.reason,
                    "opt_outs": True,
                    "condition": closed.condition,
                    "tried_at": None if closed.not_before >= NEVER else closed.not_before,
                }
            )
        return found


def read(connection: Connection) -> Holding:
    """What holds campaigns back now."""
    return Holding(campaigns.conditions(connection), pauses.pauses(connection))


def next_call(due: int | None, held_back: list[dict[str, Any]]) -> int | None:
    """When what is due then (ms) is sent at the earliest; None: not before a hold has ended."""
    for hold in held_back:
        if due is None or hold["tried_at"] is None:
            return None
        due = max(due, hold["tried_at"])
    return due
