"""Why what waits for a lead is not sent: its campaign is paused by hand, closed by the API, or not
configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.model import Campaign, Lane
from bridge.store import campaigns, pauses
from bridge.store.campaigns import OPEN, Condition
from bridge.store.database import Connection
from bridge.store.pauses import Pause
from bridge.store.schema import NEVER


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds each campaign back, by name.

    ``named``: the campaigns of the mapping files; None: nobody knows them just now.
    """

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    paused: Mapping[str, Pause] = field(default_factory=dict)
    named: Mapping[str, Campaign] | None = None

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
        lacking = self._lacking(campaign)
        if lacking:
            found.append(
                {
                    "by": "settings",
                    "who": "",
                    "since": None,
                    "reason": lacking,
                    "opt_outs": True,
                    "condition": "",
                    "tried_at": None,
                }
            )
        return found

    def _lacking(self, name: str) -> str:
        """What a campaign that is not configured lacks; blank where it is, or nobody knows."""
        if self.named is None:
            return ""
        campaign = self.named.get(name)
        if campaign is None:
            return "no longer in campaigns.yaml"
        return "" if campaign.configured else f"set {', '.join(campaign.missing)}"


def read(connection: Connection, named: Mapping[str, Campaign] | None) -> Holding:
    """What holds campaigns back now; ``named``: see ``Holding``."""
    return Holding(campaigns.conditions(connection), pauses.pauses(connection), named)


def next_call(due: int | None, held_back: list[dict[str, Any]]) -> int | None:
    """When what is due then (ms) is sent at the earliest; None: not before a hold has ended."""
    for hold in held_back:
        if due is None or hold["tried_at"] is None:
            return None
        due = max(due, hold["tried_at"])
    return due
