"""What a replay may send of what a mapping asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridge.model import LeadUpdate, Mapped, State
from bridge.record.ledger import DO_NOT_CALL, MARK
from bridge.store.history import Earlier

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
    An opt-in that was confirmed once is not said again: somebody may have opted out at the API.
    """
    if not mapped.updates:
        return mapped
    there = set(named)
    before = list(earlier)
    left: list[LeadUpdate] = []
    reasons: list[str] = []
    for update in mapped.updates:
        if campaign not in (None, update.campaign):
            reasons.append(f"only campaign {campaign} was selected")
        elif update.campaign not in there:
            reasons.append(f"{_GONE} {update.campaign}")
        else:
            why = _held_back(update, before, marks=marks)
            fields = {name: value for name, value in update.fields.items() if name not in why}
            if fields:
                notes = (*update.notes, *why.values())
                left.append(replace(update, fields=fields, notes=notes))
            else:
                reasons.extend(why.values())
    if left:
        gone = tuple(reason for reason in dict.fromkeys(reasons) if reason.startswith(_GONE))
        return replace(
            mapped, updates=tuple(replace(one, notes=(*one.notes, *gone)) for one in left)
        )
    reason = "; ".join(dict.fromkeys(reasons))
    return replace(mapped, updates=(), state=State.SKIPPED, reason=reason)


def _held_back(update: LeadUpdate, earlier: Iterable[Earlier], *, marks: bool) -> dict[str, str]:
    """The fields of an update that a replay leaves out, each with the reason."""
    there = [one for one in earlier if one.campaign == update.campaign]
    mine = [one for one in there if one.phone == update.phone]
    lost = any(one.erased_at is not None for one in there)
    held: dict[str, str] = {}
    if MARK in update.fields:
        if not marks:
            held[MARK] = f"left out {MARK}, since a replay sends it only if asked to"
        elif lost:
            held[MARK] = f"left out {MARK}: what was sent before is erased"
        elif any(MARK in one.fields and (one.doubtful or one.state in SENT) for one in mine):
            held[MARK] = f"left out {MARK}: it was sent before, or may have been"
    confirmed = any(
        one.fields.get(DO_NOT_CALL) is False and one.state is State.UPDATED for one in mine
    )
    if update.fields.get(DO_NOT_CALL) is False and (confirmed or lost):
        why = "it was confirmed before" if confirmed else "what was sent before is erased"
        held[DO_NOT_CALL] = f"left out {DO_NOT_CALL}: false, since {why}"
    return held
