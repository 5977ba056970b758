"""A concern: something that is not well, as health, console and alerts tell it alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.logs import mask_text, without_secrets

TEXT_LENGTH = 400
SUBJECT_LENGTH = 200
NAME_LENGTH = 100


class Kind(StrEnum):
    """What is not well. The values are kept in the database and travel in alerts."""

    DATABASE = "database"
    DISK_LOW = "disk_low"
    WORKER_GONE = "worker_gone"
    CLOCK_WRONG = "clock_wrong"
    MAPPING_INVALID = "mapping_invalid"
    NOT_CONFIGURED = "not_configured"
    PUBLIC_URL_MISSING = "public_url_missing"
    OPT_OUT_LATE = "opt_out_late"
    OPT_OUT_STANDS = "opt_out_stands"
    OPT_OUT_GIVEN_UP = "opt_out_given_up"
    DELIVERIES_LATE = "deliveries_late"
    LOOK_UPS_LATE = "look_ups_late"
    UPDATES_LATE = "updates_late"
    DEAD_LETTERS = "dead_letters"
    CREDENTIALS_REFUSED = "credentials_refused"
    CAMPAIGN_HELD_BACK = "campaign_held_back"
    CAMPAIGN_PAUSED = "campaign_paused"
    CAMPAIGN_PAUSED_BY_HAND = "campaign_paused_by_hand"
    CAMPAIGN_GONE = "campaign_gone"
    SOURCE_SILENT = "source_silent"
    AUDIT_BREACH = "audit_breach"
    ALERTS_FAIL = "alerts_fail"


FACTS = frozenset({Kind.OPT_OUT_GIVEN_UP, Kind.DEAD_LETTERS, Kind.AUDIT_BREACH})
"""What has happened and does not pass by itself: it is told however short a time it shows."""


@dataclass(frozen=True, slots=True)
class Concern:
    """``subject``: the campaign, source, machine or channel, blank where there is but one.

    ``since``: when it began (ms, UTC), None if that is not known. ``size``: how many or how much;
    a greater one is worse. ``urgent``: somebody may be called against their will, or a webhook may
    not be taken. ``text`` is one sentence for a person, without secrets, people masked.
    """

    kind: Kind
    text: str
    subject: str = ""
    since: int | None = None
    size: int = 1
    urgent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the operator's pages and answers."""
        return {
            "kind": self.kind.value,
            "subject": self.subject,
            "text": self.text,
            "since": self.since,
            "size": self.size,
            "urgent": self.urgent,
        }


def clean(text: str) -> str:
    """What others wrote, as it may travel: one line, no secret, people masked, not too long."""
    return mask_text(without_secrets(_one_line(text)))[:TEXT_LENGTH]


def who(name: str) -> str:
    """An operator's name as it may travel: as ``clean``, but an address stays readable, since
    whoever is told has to know whom to ask."""
    return without_secrets(_one_line(name))[:NAME_LENGTH]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def by_key(concerns: Iterable[Concern]) -> Mapping[tuple[str, str], Concern]:
    """Each concern by kind and subject; of two with one key the worse counts, an urgent one
    before a greater one."""
    found: dict[tuple[str, str], Concern] = {}
    for one in concerns:
        key = (one.kind.value, one.subject[:SUBJECT_LENGTH])
        if key not in found or _badness(found[key]) < _badness(one):
            found[key] = one
    return found


def _badness(one: Concern) -> tuple[bool, int]:
    return one.urgent, one.size
