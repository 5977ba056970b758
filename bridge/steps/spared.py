"""An event whose optional look-up keeps failing goes on without the record.

Whether it may says ``SourceMapping.spared``, by which cases go as well.
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
    found = {name: one for name, one in answers.items() if isinstance(one, Found)}
    known = memory.of(delivery.source, event)
    reached = memory.reached(delivery.source, event)
    if any(memory.one(delivery.source, ref).opted_out for ref in reached):
        return None  # the record may hold numbers of somebody who is opted out
    try:
        if mapping.spared(event, found, known, failed) is None:
            return None
    except Exception:
        log.exception("event not mapped", receipt=delivery.receipt, ordinal=event.ordinal)
        return None
    mapped = map_event(delivery, event, mapping, found, memory)
    notes = tuple(f"without the record of {name}: {why}" for name, why in failed.items())
    updates = tuple(replace(one, notes=(*one.notes, *notes)) for one in mapped.updates)
    return replace(mapped, updates=updates)
