"""From what the rules say of an event to its lead updates, or to the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bridge.map.rules import Said
from bridge.model import Json, Known, LeadUpdate


@dataclass(slots=True)
class _Lead:
    """What all rules together say of one lead in one campaign.

    ``recalled``: a rule that asks for what is remembered opts it out.
    """

    fields: dict[str, Json]
    rules: list[str]
    notes: list[str]
    recalled: bool = False

    def take(self, said: Said) -> None:
        """Adds a rule: an opt-out wins, otherwise the first to set a field."""
        for name, value in said.fields.items():
            if name == "custom_fields":
                self.fields[name] = {**value, **self.fields.get(name, {})}
            elif name == "do_not_call":
                self.fields[name] = value or self.fields.get(name, False)
            else:
                self.fields.setdefault(name, value)
        self.recalled = self.recalled or (said.opts_out and said.by.recalls)
        self.rules.append(said.by.name)
        self.notes += said.notes
        if said.denied:
            self.notes.append(said.denied)


def merge(
    said: Sequence[Said], known: Known, event_ms: int, *, opts_out: bool
) -> tuple[LeadUpdate, ...]:
    """One update for each campaign and phone number, empty ones left out.

    ``opts_out``: any of the rules does.

    An opt-out that is remembered goes to a new number by its own time, if that is later than the
    event's, which then says nothing else: as if the number had been known when it was said. So it
    does to a number that was another contact's until this event named both. Where no rule asks for
    what is remembered, an event speaks for itself alone, and by its own time.
    """
    leads: dict[tuple[str, str], _Lead] = {}
    for one in said:
        if not one.fields or (one.errors and not one.opts_out):
            continue
        for phone in one.phones:
            for campaign in one.campaigns:
                lead = leads.get((campaign, phone))
                if lead is None:
                    lead = leads[campaign, phone] = _Lead({}, [], [])
                lead.take(one)
    updates: list[LeadUpdate] = []
    for (campaign, phone), lead in leads.items():
        _guard(lead, opts_out, known)
        late = known.opted_out and known.consent_time > event_ms and _is_new(phone, known)
        time_ms = _as_said_before(lead, known) if late and lead.recalled else None
        if lead.fields:
            notes = tuple(dict.fromkeys(lead.notes)) if lead.notes else ()
            rules = tuple(lead.rules)
            updates.append(LeadUpdate(campaign, phone, lead.fields, rules, notes, time_ms))
    return tuple(updates)


def _is_new(phone: str, known: Known) -> bool:
    """Whether the opt-out that is remembered has not gone to a number when it was said."""
    return phone not in known.phones or phone in known.apart


def _guard(lead: _Lead, opts_out: bool, known: Known) -> None:
    """Nobody is opted in by an event that also opts out, nor called again after an opt-out."""
    consent = lead.fields.get("do_not_call")
    if consent is False and opts_out:
        del lead.fields["do_not_call"]
        consent = None
        lead.notes.append("left out do_not_call: false, since the same event opts out")
    if "mark_as_unanswered" in lead.fields and consent is not False:
        if consent is True or opts_out:
            del lead.fields["mark_as_unanswered"]
            lead.notes.append("left out mark_as_unanswered, since the event opts out")
        elif known.opted_out:
            del lead.fields["mark_as_unanswered"]
            lead.notes.append("left out mark_as_unanswered, since the contact is opted out")


def _as_said_before(lead: _Lead, known: Known) -> int:
    """Have an opt-out count from when the contact opted out, and nothing beside it."""
    others = sorted(lead.fields.keys() - {"do_not_call"})
    if others:
        lead.notes.append(f"left out {', '.join(others)}: the contact has opted out since")
    lead.fields = {"do_not_call": True}
    return known.consent_time


def errors_of(said: Iterable[Said]) -> list[str]:
    """Every mistake in the data, with its rule."""
    return [
        f"rule {one.rule}: {error}"
        for one in said
        if one.errors or one.left_out
        for error in (*one.errors, *one.left_out)
    ]


def with_notes(updates: Iterable[LeadUpdate], notes: Sequence[str]) -> tuple[LeadUpdate, ...]:
    """The updates with further notes."""
    return tuple(replace(update, notes=(*update.notes, *notes)) for update in updates)


def reason_for_nothing(
    said: Sequence[Said], skips: Sequence[str], lacking: str, notes: Sequence[str]
) -> str:
    """Why an event without a mistake leads to no update."""
    if not said and skips:
        return "; ".join(skips)
    if not said:
        return "no rule applies" + (f" ({'; '.join(notes)})" if notes else "")
    reasons: list[str] = []
    for one in said:
        if one.denied and not one.fields:
            reasons.append(one.denied)
        elif not one.fields:
            reasons.append(f"rule {one.rule} applies, with nothing to send")
        elif not one.phones:
            reasons.append(f"no phone number for rule {one.rule}{lacking}")
        else:
            reasons.append(f"rule {one.rule} has nothing left to send")
    return "; ".join(dict.fromkeys(reasons))
