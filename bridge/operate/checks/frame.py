"""What a check is, its bounds, and what all checks are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.operate.concern import Concern, Kind
from bridge.store.notices import Notice


class Status(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 - a word of the health format
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: how it went, and in words why; ``details`` are for the operator only.

    ``concerns``: what is not well, one by one; also for the operator only.
    """

    status: Status
    output: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on something is not well; ms and bytes. ``standing`` 0: never.

    ``silence_factor``: how many times as long as usual, 0: never; ``silence_days``: from so many
    days the usual is known.
    """

    worker_silent: int = 15_000
    opt_out: int = 60_000
    backlog: int = 300_000
    standing: int = 0
    disk: int = 500_000_000
    silence_factor: float = 2.0
    silence_least: int = 3_600_000
    silence_days: float = 7.0


def span(ms: int) -> str:
    """``90 seconds``, ``5 minutes``: how long, for people."""
    for name, length in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if ms >= length and (ms % length == 0 or ms >= 3 * length):
            return counted(round(ms / length), name)
    return counted(round(ms / 1000), "second")


def counted(number: int, name: str) -> str:
    """``1 worker``, ``2,000 workers``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def warn(output: str, details: dict[str, Any], *concerns: Concern) -> Check:
    """A check that did not pass, and what is not well."""
    return Check(Status.WARN, output, details, concerns)


def concern_of(one: Notice, kind: Kind, *, urgent: bool = False) -> Concern:
    """The concern that another process has left a notice of."""
    return Concern(kind, one.text, one.subject, one.since, one.size, urgent)
