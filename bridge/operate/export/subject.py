"""What an export is about: a lead, by whatever it was found by, or a period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bridge.clock import iso
from bridge.model import Campaign
from bridge.operate.finding import Found

SETTLE_MS = 5_000


def settle_ms(commit_timeout_s: float) -> int:
    """How old a webhook has to be to be in a period (ms).

    One that is being committed has its time already, and would be missed by who has read past it:
    it waits for its turn, and its commit takes its time, at most so long each.
    """
    return max(SETTLE_MS, round(3000 * commit_timeout_s) + 2000)


@dataclass(frozen=True, slots=True)
class Period:
    """Deliveries received in a time (ms), the end not included, of all sources or of one.

    ``campaign``: outcomes of this one, and of events that led to no lead update.
    """

    since: int
    until: int
    source: str | None = None
    campaign: str | None = None

    @property
    def after(self) -> str:
        """What the receipts of the period are above."""
        return f"{max(0, self.since):012x}"

    @property
    def before(self) -> str:
        """What they are below."""
        return f"{max(0, self.until):012x}"

    def as_json(self) -> dict[str, Any]:
        """As the first line of a file has it."""
        times = {"since": iso(self.since), "until": iso(self.until)}
        exact = {"since_ms": self.since, "until_ms": self.until}
        return {"of": "period", **times, **exact, "source": self.source, "campaign": self.campaign}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Period:
        """The period from the first line of a file."""
        return cls(said["since_ms"], said["until_ms"], said["source"], said["campaign"])

    def noted(self) -> dict[str, Any]:
        """As an audit line has it."""
        return {name: value for name, value in self.as_json().items() if value is not None}


@dataclass(frozen=True, slots=True)
class Person:
    """Whatever a search has found. ``leads``: the leads of its numbers, by id.

    ``named``: the campaigns of the mapping files; None: nobody knows them just now.
    """

    found: Found
    leads: tuple[int, ...]
    named: Mapping[str, Campaign] | None

    def as_json(self) -> dict[str, Any]:
        """As the first line of a file has it."""
        return {
            "of": "lead",
            "sought": self.found.text,
            "understood_as": self.found.by.value,
            "phones": list(self.found.phones),
        }

    def noted(self) -> dict[str, Any]:
        """As an audit line has it: by ids, since such lines outlive the erasure of a person."""
        return {"of": "lead", "leads": list(self.leads), "events": len(self.found.events)}


Subject: TypeAlias = Period | Person


def settled_until(until: int | None, settle: int, now: int) -> int:
    """The end of a period: as it is wanted, but older than ``settle`` (ms).

    ``now`` by the clock that all processes share, since receipts are made by it.
    """
    latest = now - settle
    return latest if until is None else min(until, latest)
