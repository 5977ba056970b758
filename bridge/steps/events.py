"""From a stored delivery to its events, and from an event to what its mapping makes of it.

A fault of ours in one delivery or event must not stop those behind it: it ends as dead, with the
fault's name, and the log has the traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bridge import logs
from bridge.errors import DecodeError
from bridge.map import SourceMapping
from bridge.map.events import too_many
from bridge.model import Delivery, Event, Found, Mapped, State
from bridge.receive.decode import decode
from bridge.steps.linked import passed_on
from bridge.steps.memory import Memory

log = logs.get("map")


class Limits(Protocol):
    """The most events that a delivery may hold, and how deep its body may be nested."""

    @property
    def events(self) -> int: ...
    @property
    def depth(self) -> int: ...


@dataclass(slots=True)
class Ready:
    """An event with what its mapping made of it; ``mapped`` is None while a look-up is due."""

    delivery: Delivery
    event: Event
    mapped: Mapped | None
    version: str
    urgent: bool = False


def events_of(delivery: Delivery, mapping: SourceMapping, bounds: Limits) -> list[Event]:
    """The events of a delivery; one event with a problem where it cannot be read as a whole."""
    if delivery.damaged is not None:  # what is left of a form may still look like one
        return [unreadable(delivery, delivery.damaged)]
    try:
        document = decode(mapping.source.decode, delivery.body, max_depth=bounds.depth)
        found = mapping.split(document, delivery)
    except DecodeError as error:
        return [unreadable(delivery, f"the body cannot be read: {error}")]
    except Exception as error:
        log.exception("delivery not read", receipt=delivery.receipt)
        return [unreadable(delivery, f"an unexpected fault while reading ({type(error).__name__})")]
    overfull = too_many(len(found), bounds.events)
    return found if overfull is None else [unreadable(delivery, overfull)]


def empty(delivery: Delivery, version: str) -> Ready:
    """What stands for a delivery without any event: skipped, and accounted for."""
    event = replace(unreadable(delivery, ""), problem=None)
    mapped = Mapped(state=State.SKIPPED, reason="the delivery holds no event")
    return Ready(delivery, event, mapped, version)


def unreadable(delivery: Delivery, problem: str, ordinal: int = 0) -> Event:
    """An event that ends as dead, and stands for a delivery or a part of it."""
    return Event(
        ordinal=ordinal,
        key=delivery.receipt if ordinal == 0 else f"{delivery.receipt[:24]}{ordinal:08x}",
        time_ms=delivery.received_at,
        weak_time=True,
        view={},
        problem=problem,
    )


def prepare(delivery: Delivery, event: Event, mapping: SourceMapping, memory: Memory) -> Ready:
    """Map an event, unless it waits for a look-up."""
    try:
        if event.problem is None and mapping.wants(event):
            return Ready(delivery, event, None, mapping.version, mapping.urgent(event))
    except Exception:
        log.exception("look-ups not known", receipt=delivery.receipt, ordinal=event.ordinal)
    mapped = map_event(delivery, event, mapping, {}, memory)
    return Ready(delivery, event, mapped, mapping.version)


def map_event(
    delivery: Delivery,
    event: Event,
    mapping: SourceMapping,
    found: Mapping[str, Found],
    memory: Memory,
) -> Mapped:
    """What the mapping makes of an event; what it says of its contacts is learned."""
    try:
        said = mapping.apply(event, found, memory.of(delivery.source, event))
        mapped, passed = passed_on(mapping, delivery.source, event, found, memory=memory, said=said)
    except Exception as error:
        log.exception("event not mapped", receipt=delivery.receipt, ordinal=event.ordinal)
        name = type(error).__name__
        return Mapped(state=State.DEAD, reason=f"an unexpected fault while mapping ({name})")
    memory.learn(delivery.source, event, said, passed)
    return mapped
