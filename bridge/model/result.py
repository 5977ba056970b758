"""What goes out to the campaign API, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bridge.model.document import Json


class Sent(NamedTuple):
    """One element of a batch: a lead and the object that goes out for it."""

    lead_id: int
    phone: str
    payload: Mapping[str, Json]


class Verdict(StrEnum):
    """What the campaign API made of one lead."""

    CONFIRMED = "confirmed"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class Result(NamedTuple):
    """The endpoint's word on one lead; ``message`` is the API's text, cut short, or ours."""

    verdict: Verdict
    message: str = ""


NOT_TAKEN_ON = (403, 413)
"""Statuses that do not show that a campaign may be called, though they may be about its leads:
what stands before the API refuses so as well, with any token."""


def ends_probes(status: int | None) -> bool:
    """Whether a call that failed keeps probes that are out from opening their campaign.

    Who gets through is a better witness than a 403 of another call, which may be about a lead; and
    where such a lead is tried with each probe, a slow one would else never open.
    """
    return status != 403


class Trouble(StrEnum):
    """Why a whole call failed.

    ``REFUSED_ALONE``: by a 403 for one lead, or for a batch that could not be asked about to the
    end, which does not say whether it is the campaign's.
    """

    TRANSPORT = "transport"
    BUSY = "busy"
    SERVER = "server"
    REFUSED = "refused"
    REFUSED_ALONE = "refused_alone"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one call of the bulk endpoint: one result per element of the batch.

    ``trouble`` is set when the call as a whole failed, with ``detail`` for the operator and
    ``retry_after_s`` as the API asked. ``status`` is None where no reply came. ``alone``: the ids
    of leads that got a 403 by themselves.
    """

    results: tuple[Result, ...]
    status: int | None = None
    trouble: Trouble | None = None
    detail: str = ""
    retry_after_s: float | None = None
    elapsed_ms: int = 0
    calls: int = 1
    alone: frozenset[int] = frozenset()
