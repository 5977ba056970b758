"""Deliveries of a replay are taken off it, and what has become of them is stored: in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bridge import logs
from bridge.errors import StoreBusy, StoreChanged
from bridge.map import MappingSet
from bridge.model import Mapped, State
from bridge.steps.clue import keep_clues
from bridge.steps.equipment import Equipment
from bridge.steps.events import Ready, unreadable
from bridge.steps.memory import Memory
from bridge.steps.new_outcomes import add_erasures, add_outcomes
from bridge.steps.replay_events import Again, Slice
from bridge.store import deliveries, erasures, events, replays
from bridge.store.counters import Counted, Counts
from bridge.store.database import Connection
from bridge.store.outcomes import NewOutcome
from bridge.store.replays import Item, Replay
from bridge.store.schema import NEVER

log = logs.get("replay")


def store_alone(
    equipment: Equipment, replay: Replay, part: Slice, item: Item, current: MappingSet
) -> list[NewOutcome]:
    """Replay one delivery by itself; if even that fails, its events are dead and stop nobody."""
    mine = tuple(a for a in part.agains if a.ready.delivery.id == item.delivery_id)
    alone = replace(part, items=(item,), agains=mine)
    try:
        return store(equipment, replay, alone, current)
    except (StoreBusy, StoreChanged):
        raise
    except Exception as error:
        log.exception("delivery not replayed", receipt=item.receipt)
        fault = f"an unexpected fault while storing its updates ({type(error).__name__})"
        dead = tuple(
            replace(
                a,
                ready=replace(
                    a.ready,
                    event=unreadable(a.ready.delivery, fault, a.ready.event.ordinal),
                    mapped=Mapped(state=State.DEAD, reason=fault),
                ),
            )
            for a in mine
            if a.row is not None
        )
        blank = replace(alone, agains=dead, memory=Memory({}))
        return store(equipment, replay, blank, current)


def store(
    equipment: Equipment, replay: Replay, part: Slice, current: MappingSet
) -> list[NewOutcome]:
    """Take deliveries off the replay, with their outcomes stored in the same transaction."""
    now = equipment.database.now_ms()
    pace = round(1000 * max(1, len(part.agains)) / replay.rate)
    receipts = [item.receipt for item in part.items]
    with equipment.database.write() as connection:
        taken = replays.take(connection, replay.id, equipment.owner, receipts, next_at=now + pace)
        gone = deliveries.erased(connection, [item.delivery_id for item in part.items])
        mine = [
            a
            for a in part.agains
            if a.ready.delivery.receipt in taken and a.ready.delivery.id not in gone
        ]
        versions = {
            a.ready.delivery.id: a.ready.version
            for a in mine
            if a.ready.delivery.id in part.untaken
        }
        first = deliveries.take(connection, sorted(versions), versions)
        mine = [
            a
            for a in mine
            if a.ready.delivery.id not in part.untaken or a.ready.delivery.id in first
        ]
        placed = _placed(connection, mine)
        known = [(number, ready) for number, ready in placed if ready.delivery.id not in first]
        rows = add_outcomes(connection, known, current.campaigns, now, replay_id=replay.id)
        new = [(number, ready) for number, ready in placed if ready.delivery.id in first]
        rows += add_outcomes(connection, new, current.campaigns, now)
        _counts(new).write(connection)
        keep_clues(connection, placed)
        erasures.note_contacts(
            connection, ((n, one.delivery.source, one.event.contacts) for n, one in placed)
        )
        add_erasures(connection, placed, now)
        if mine:
            part.memory.keep(connection, now)
    return rows


def _counts(new: Sequence[tuple[int, Ready]]) -> Counts:
    """What is taken in here, and by no worker later on, counts as it does there."""
    counts = Counts()
    came = {ready.delivery.id: ready.delivery.source for _, ready in new}
    for source, count in Counter(came.values()).items():
        counts.add(Counted.RECEIVED, source, count=count)
    for _, ready in new:
        copy = ready.mapped is not None and ready.mapped.state is State.DUPLICATE
        counts.add(Counted.EVENT, ready.delivery.source)
        counts.add(Counted.COPY, ready.delivery.source, count=int(copy))
    return counts


def _placed(connection: Connection, agains: Sequence[Again]) -> list[tuple[int, Ready]]:
    """Where the events stand: event id and event. Those that are new get a row.

    An event that could not be read or used before may turn out to be a copy of another.
    """
    placed: list[tuple[int, Ready]] = []
    new = [a for a in agains if a.row is None]
    added = events.add(
        connection,
        [
            events.NewEvent(
                a.ready.delivery.id,
                a.ready.delivery.source,
                a.ready.event,
                pending=False,
                urgent=False,
                due_at=NEVER,
                version=a.ready.version,
            )
            for a in new
        ],
    )
    for a in new:
        place = added[a.ready.delivery.id, a.ready.event.ordinal]
        placed.append((place.id, _unless_copy(a.ready, place.duplicate_of)))
    renamed = [
        (a, a.row)
        for a in agains
        if a.row is not None
        and a.row.duplicate_of is None
        and a.row.key != a.ready.event.key
        and a.fruitless
        and a.ready.event.problem is None
        and a.ready.event.view
    ]
    holders = events.by_keys(connection, sorted({a.ready.event.key for a, _ in renamed}))
    copies: dict[int, int] = {}
    named: list[tuple[int, Again]] = []
    for a, row in renamed:
        holder = holders.setdefault(a.ready.event.key, row.id)
        if holder == row.id:
            named.append((row.id, a))
        else:
            copies[row.id] = holder
    events.identify(connection, [(number, a.ready.event) for number, a in named])
    placed += [
        (a.row.id, _unless_copy(a.ready, copies.get(a.row.id))) for a in agains if a.row is not None
    ]
    return placed


def _unless_copy(ready: Ready, of: int | None) -> Ready:
    if of is None:
        return ready
    return replace(ready, mapped=Mapped(state=State.DUPLICATE, reason=f"the same as event {of}"))
