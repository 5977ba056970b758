"""What would become of a delivery, without writing anything: mapped, and held against the ledger.

``mapping try`` and the console's playground ask the same question. What a worker would learn
between the events of one delivery (phone numbers, consent) is learnt here too, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bridge.forward.payload import element
from bridge.map import SourceMapping
from bridge.map.trace import EventTrace, trace, update_json
from bridge.model import Delivery, Event, Found, LeadUpdate, State
from bridge.record.ledger import plan
from bridge.steps.events import events_of
from bridge.steps.memory import Memory

if TYPE_CHECKING:
    from bridge.store.database import Connection

LookUp = Callable[[Event], Mapping[str, Found]]
"""What the look-ups of an event bring, by look-up name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most events that a delivery may hold, and how deep its body may be nested."""

    events: int
    depth: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What would become of one lead update.

    ``state``: waiting (it is sent), superseded or skipped. ``payload``: the row of the bulk call
    that carries it, together with the delivery's other updates of the same lead.
    """

    update: LeadUpdate
    state: State
    payload: Mapping[str, Any]
    message: str

    def as_json(self) -> dict[str, Any]:
        """The fate as JSON."""
        return {
            **update_json(self.update),
            "state": self.state.value,
            "payload": dict(self.payload),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """One event: its trace, the fates of its updates, and the stored event it is a copy of."""

    trace: EventTrace
    fates: tuple[Fate, ...]
    copy_of: int | None

    def as_json(self) -> dict[str, Any]:
        """The preview as JSON; ``updates`` carry their fates."""
        return {
            **self.trace.as_json(),
            "updates": [fate.as_json() for fate in self.fates],
            "copy_of_event": self.copy_of,
        }


@dataclass(frozen=True, slots=True)
class _Trial:
    """A lead update as the ledger wants to know it."""

    id: int
    fields: Mapping[str, Any]
    event_time: int
    accepted_at: int
    key: str
    received_at: int | None = None
    replay_id: int = 0
    doubtful: bool = False
    state: State = State.WAITING


def preview(
    mapping: SourceMapping,
    delivery: Delivery,
    bounds: Limits,
    look_up: LookUp,
    connection: Connection | None,
) -> list[Preview]:
    """What would become of a delivery's events, in order.

    ``connection`` is only read; without one nothing is remembered and every ledger is empty. A
    delivery that is stored already is held against the ledger as it stands now. Errors: those of
    ``look_up``, and ``StoreError``.
    """
    events = events_of(delivery, mapping, bounds)
    source = mapping.source.name
    memory = Memory({})
    if connection is not None:
        memory = Memory.recall(connection, ((source, event) for event in events))
    traces: list[EventTrace] = []
    for event in events:
        found = {} if event.problem is not None else look_up(event)
        traces.append(trace(mapping, event, found, memory.of(source, event)))
        memory.learn(source, event, traces[-1].mapped)
    copies = _copies(connection, delivery, events, mapping.version)
    fates = _fates(connection, mapping, delivery, traces, copies)
    return [
        Preview(one, tuple(fates[place]), copies.get(place)) for place, one in enumerate(traces)
    ]


def readable(mapping: SourceMapping, delivery: Delivery, bounds: Limits) -> list[Event]:
    """The events whose look-ups ``preview`` asks for, in the order in which it does."""
    return [event for event in events_of(delivery, mapping, bounds) if event.problem is None]


def _copies(
    connection: Connection | None, delivery: Delivery, events: Sequence[Event], version: str
) -> dict[int, int]:
    """Place of an event → id of the stored event of which it is a copy."""
    if connection is None:
        return {}
    from bridge.store import ledgers  # noqa: PLC0415 - slow to load, and seldom needed

    stored = ledgers.stored_events(connection, (event.key for event in events), version)
    return {
        place: stored[event.key][1]
        for place, event in enumerate(events)
        if event.key in stored and stored[event.key][0] != delivery.id
    }


def _ledgers(
    connection: Connection | None, leads: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    if connection is None:
        return {}
    from bridge.store import ledgers  # noqa: PLC0415 - slow to load, and seldom needed

    return ledgers.ledgers(connection, leads)


def _fates(
    connection: Connection | None,
    mapping: SourceMapping,
    delivery: Delivery,
    traces: Sequence[EventTrace],
    copies: Mapping[int, int],
) -> list[list[Fate]]:
    by_lead: dict[tuple[str, str], list[tuple[int, LeadUpdate]]] = {}
    for place, one in enumerate(traces):
        for update in one.mapped.updates if place not in copies else ():
            by_lead.setdefault((update.campaign, update.phone), []).append((place, update))
    stored = _ledgers(connection, by_lead)
    fates: list[list[Fate]] = [[] for _ in traces]
    for key, many in by_lead.items():
        campaign = mapping.directory.campaigns[key[0]]
        trials = [
            _Trial(
                number,
                update.fields,
                update.said_at(traces[place].event),
                delivery.received_at,
                traces[place].event.key,
            )
            for number, (place, update) in enumerate(many)
        ]
        planned = plan(
            stored.get(key, {}),
            trials,
            all_known=campaign.custom_fields == "all_known",
            alone=False,
        )
        payload = element(campaign, key[1], planned.payload)
        for number, (place, update) in enumerate(many):
            state, message = planned.settled.get(
                number, (State.WAITING, planned.left_out.get(number, ""))
            )
            sent = payload if state is State.WAITING else {}
            if state is State.WAITING and not campaign.configured:
                verb = "is" if len(campaign.missing) == 1 else "are"
                message = f"waits until {', '.join(campaign.missing)} {verb} set"
            fates[place].append(Fate(update, state, sent, message))
    for place, event_id in copies.items():
        message = f"the same as event {event_id}"
        fates[place] = [
            Fate(replace(update), State.DUPLICATE, {}, message)
            for update in traces[place].mapped.updates
        ]
    return fates
