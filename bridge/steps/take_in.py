"""Deliveries that were stored become events, and events become lead updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge import logs
from bridge.clock import now_ms
from bridge.errors import StoreBusy
from bridge.map import MappingSet
from bridge.model import Delivery, Event, Mapped, State
from bridge.record.outcome_lines import log_outcomes
from bridge.steps.equipment import Equipment
from bridge.steps.events import Ready, events_of, prepare, unreadable
from bridge.steps.memory import Memory
from bridge.steps.new_outcomes import add_outcomes
from bridge.store import deliveries, events
from bridge.store.schema import NEVER

log = logs.get("take in")

Part = tuple[Delivery, list[Event]]


def take_in(equipment: Equipment) -> int:
    """Work on deliveries that nobody has worked on; returns how many were taken.

    Without any configured campaign they wait. Errors: ``StoreBusy``.
    """
    current = equipment.mappings()
    if not any(campaign.configured for campaign in current.campaigns.values()):
        return 0
    sources = [name for name, m in current.mappings.items() if m.source.configured]
    with equipment.database.read() as connection:
        rows = deliveries.next_stored(connection, sources, equipment.bounds.batch)
    if not rows:
        return 0
    parts = _parts(equipment, rows, current)
    try:
        _keep(equipment, parts, current)
    except StoreBusy:
        raise
    except Exception:
        log.exception("deliveries not taken in together", deliveries=len(parts))
        for part in parts:
            _keep_alone(equipment, part, current)
    return len(parts)


def _parts(equipment: Equipment, rows: Sequence[Delivery], current: MappingSet) -> list[Part]:
    """Deliveries with their events, as many as one transaction should hold."""
    parts: list[Part] = []
    count = 0
    for row in rows:
        found = events_of(row, current.mappings[row.source], equipment.bounds)
        count += len(found)
        if parts and count > equipment.bounds.batch:
            break
        parts.append((row, found))
    return parts


def _keep_alone(equipment: Equipment, part: Part, current: MappingSet) -> None:
    """Take one delivery in by itself; if even that fails, it is dead and stops nobody."""
    delivery, _ = part
    try:
        _keep(equipment, [part], current)
    except StoreBusy:
        raise
    except Exception as error:
        log.exception("delivery not taken in", receipt=delivery.receipt)
        fault = f"an unexpected fault while storing its events ({type(error).__name__})"
        _keep(equipment, [(delivery, [unreadable(delivery, fault)])], current)


def _keep(equipment: Equipment, parts: Sequence[Part], current: MappingSet) -> None:
    """Store events and what they lead to, with the deliveries, in one transaction."""
    with equipment.database.read() as connection:
        memory = Memory.recall(
            connection, ((row.source, event) for row, found in parts for event in found)
        )
    ready = [
        prepare(row, event, current.mappings[row.source], memory)
        for row, found in parts
        for event in found
    ]
    now = now_ms()
    versions = {row.id: current.mappings[row.source].version for row, _ in parts}
    with equipment.database.write() as connection:
        taken = deliveries.take(connection, [row.id for row, _ in parts], versions)
        mine = [item for item in ready if item.delivery.id in taken]
        added = events.add(connection, [_new_event(item, now) for item in mine])
        known = [
            (place.id, _unless_copy(item, place))
            for item in mine
            for place in (added[item.delivery.id, item.event.ordinal],)
        ]
        lines = add_outcomes(connection, known, current.campaigns, now)
        memory.keep(connection, now)
    log_outcomes(lines)
    touched = {line.campaign for line in lines if line.campaign}
    waiting = {item.delivery.source for item in mine if item.mapped is None}
    equipment.ring(touched | {f"source:{name}" for name in waiting})


def _new_event(item: Ready, now: int) -> events.NewEvent:
    pending = item.mapped is None
    return events.NewEvent(
        item.delivery.id,
        item.delivery.source,
        item.event,
        pending=pending,
        urgent=item.urgent,
        due_at=now if pending else NEVER,
    )


def _unless_copy(item: Ready, place: events.Added) -> Ready:
    """The event; or, if it came before, the same with the outcome of a duplicate."""
    if place.duplicate_of is None:
        return item
    reason = f"the same as event {place.duplicate_of}"
    return replace(item, mapped=Mapped(state=State.DUPLICATE, reason=reason))
