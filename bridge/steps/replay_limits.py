"""What a replay may send of what a mapping asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridge.model import LeadUpdate, Mapped, State
from bridge.record.ledger import MARK
from bridge.store.outcomes import Earlier

SENT = (State.WAITING, State.IN_FLIGHT, State.STANDING, State.UPDATED, State.UNCONFIRMED)
"""States after which the campaign API may have seen an update, or will."""

_GONE = "campaigns.yaml no longer has campaign"


def limited(
    mapped: Mapped,
    earlier: Iterable[Earlier],
    *,
    named: Iterable[str],
    campaign: str | None,
    marks: bool,
) -> Mapped:
    """What a replay may send of what a mapping asks for.

    Only to campaigns that there are, and to ``campaign`` alone if one was selected. The wish to
    call a lead again (``mark_as_unanswered``) only if ``marks`` says so, and even then only if no
    earlier try may have reached the API: it would put the person back into the queue once more.
    """
    if not mapped.updates:
        return mapped
    there = set(named)
    marked = {
        (one.campaign, one.phone)
        for one in earlier
        if MARK in one.fields and (one.doubtful or one.state in SENT)
    }
    left: list[LeadUpdate] = []
    reasons: list[str] = []
    for update in mapped.updates:
        if campaign not in (None, update.campaign):
            reasons.append(f"only campaign {campaign} was selected")
        elif update.campaign not in there:
            reasons.append(f"{_GONE} {update.campaign}")
        elif MARK not in update.fields or (marks and (update.campaign, update.phone) not in marked):
            left.append(update)
        else:
            why = (
                "left out mark_as_unanswered: it was sent before, or may have been"
                if marks
                else "left out mark_as_unanswered, since a replay sends it only if asked to"
            )
            fields = {name: value for name, value in update.fields.items() if name != MARK}
            if fields:
                left.append(replace(update, fields=fields, notes=(*update.notes, why)))
            else:
                reasons.append(why)
    if left:
        gone = tuple(reason for reason in dict.fromkeys(reasons) if reason.startswith(_GONE))
        return replace(
            mapped, updates=tuple(replace(one, notes=(*one.notes, *gone)) for one in left)
        )
    reason = "; ".join(dict.fromkeys(reasons))
    return replace(mapped, updates=(), state=State.SKIPPED, reason=reason)
