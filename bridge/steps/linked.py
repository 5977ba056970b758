"""Opt-outs over links: what an event says late of somebody whom a later event named with others.

In the order of time the later event would have passed on the opt-out, and the number, that the
earlier one said. Where the earlier one comes after it, it does so itself: its opt-out goes to the
numbers of the others, by its own time, and an opt-out of the others to its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bridge.map import SourceMapping
from bridge.model import NOBODY, Event, Found, Known, LeadUpdate, Mapped
from bridge.steps.memory import NOTHING, Memory, PassedOn


def passed_on(
    mapping: SourceMapping,
    source: str,
    event: Event,
    found: Mapping[str, Found],
    *,
    memory: Memory,
    said: Mapped,
) -> tuple[Mapped, PassedOn]:
    """What an event means with the links of its contacts, and what goes over them.

    ``said``: what it means without.
    """
    several = len(event.contacts) > 1
    if not several and not memory.has_links:  # so it is for most
        return said, NOTHING
    reached = memory.reached(source, event)
    if event.problem is not None or not (several or reached):
        return said, NOTHING
    known = memory.of(source, event)
    linking = several and said.opts_out is not True and _would_pass(mapping, event, found, known)
    if not reached:
        return said, PassedOn(linking)
    # of one contact alone only what this event gives: the rest went over the links when it came
    numbers = said.phones if several else mapping.apply(event, found, NOBODY).phones
    if said.opts_out is True:
        opted_out = memory.reached(source, event, opting_out=True)
        theirs = [phone for ref in opted_out for phone in memory.one(source, ref).phones]
        wide = Known(
            tuple(dict.fromkeys(phone for phone in theirs if phone not in said.phones)),
            opted_out=True,
            consent_time=event.time_ms,
        )
        if wide.phones:
            said = _with_theirs(said, mapping.apply(event, found, wide), wide)
        return said, PassedOn(linking, numbers, reached, opted_out)
    times = [one.consent_time for one in (memory.one(source, r) for r in reached) if one.opted_out]
    if times:
        own = known.phones if several else ()
        wide = Known(own, opted_out=True, consent_time=max(times), apart=own)
        said = _opted_out(said, mapping.apply(event, found, wide))
    return said, PassedOn(linking, numbers, reached)


def _would_pass(
    mapping: SourceMapping, event: Event, found: Mapping[str, Found], known: Known
) -> bool:
    """Whether the event would opt out all of its contacts if one of them were opted out."""
    wide = Known(known.phones, opted_out=True, consent_time=event.time_ms)
    return mapping.apply(event, found, wide).opts_out is True


def _with_theirs(said: Mapped, more: Mapped, wide: Known) -> Mapped:
    """With the opt-outs of the numbers of others, and nothing else for them."""
    theirs = tuple(
        replace(one, fields={"do_not_call": True}, notes=())
        for one in more.updates
        if one.opts_out and one.phone in wide.phones
    )
    if not theirs:
        return said
    if said.reason:
        theirs = tuple(replace(one, notes=(said.reason,)) for one in theirs)
    return replace(said, updates=(*said.updates, *theirs), state=None, reason="")


def _opted_out(said: Mapped, more: Mapped) -> Mapped:
    """With the opt-outs that are newer than the event, each in place of what it said there."""
    newer: dict[tuple[str, str], LeadUpdate] = {
        (one.campaign, one.phone): one for one in more.updates if one.opts_out
    }
    if not newer:
        return said
    updates = [newer.pop((one.campaign, one.phone), one) for one in said.updates]
    return replace(said, updates=(*updates, *newer.values()), state=None, reason="")
