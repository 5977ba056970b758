"""An event whose optional look-up keeps failing goes on without the record.

Never where that could cost an opt-out: not while the event may be one, nor of somebody who is
opted out, whose further numbers the record may hold. And not where nothing would come of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bridge import logs
from bridge.errors import LookupFailed
from bridge.map import SourceMapping
from bridge.model import Delivery, Event, Found, Mapped
from bridge.steps.events import map_event
from bridge.steps.memory import Memory

log = logs.get("look up")


def without_records(
    delivery: Delivery,
    event: Event,
    mapping: SourceMapping,
    answers: Mapping[str, Found | LookupFailed],
    memory: Memory,
) -> Mapped | None:
    """What the mapping makes of an event without what failed; None if the event has to wait."""
    failed = {name: one for name, one in answers.items() if isinstance(one, LookupFailed)}
    if mapping.patience(failed) is None:
        return None
    found = {name: one for name, one in answers.items() if isinstance(one, Found)}
    known = memory.of(delivery.source, event)
    try:
        if known.opted_out or mapping.urgent(event) or mapping.undecided(event, failed):
            return None
        tried = mapping.apply(event, found, known)
    except Exception:
        log.exception("event not mapped", receipt=delivery.receipt, ordinal=event.ordinal)
        return None
    if not tried.updates or tried.opts_out is not None:
        return None
    mapped = map_event(delivery, event, mapping, found, memory)
    notes = tuple(f"without the record of {name}: {why}" for name, why in failed.items())
    updates = tuple(replace(one, notes=(*one.notes, *notes)) for one in mapped.updates)
    return replace(mapped, updates=updates)
