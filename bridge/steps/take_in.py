"""Deliveries that were stored become events, and events become lead updates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from bridge import logs
from bridge.errors import StoreBusy, StoreChanged
from bridge.map import MappingSet
from bridge.model import Delivery, Event, Mapped, State
from bridge.record.outcome_lines import log_new
from bridge.steps.clue import keep_clues
from bridge.steps.equipment import Equipment
from bridge.steps.events import Ready, empty, events_of, prepare, unreadable
from bridge.steps.memory import Memory
from bridge.steps.new_outcomes import add_erasures, add_outcomes
from bridge.steps.scout import Turn
from bridge.steps.waking import bells_for
from bridge.store import deliveries, erasures, events
from bridge.store.counters import Counted, Counts
from bridge.store.database import Connection, commit_later
from bridge.store.outcomes import NewOutcome
from bridge.store.schema import NEVER

log = logs.get("take in")

MOST_BYTES = 32_000_000
"""Bodies that are held in memory at a time."""

AHEAD = 80
"""How much of a turn, in percent of its events, opt-outs may have that go ahead."""

UNDISTURBED = 2
"""How many times as much is taken in at once on SQLite while no webhooks come in quickly: keys that
are hashes go to random pages, and the more of them there are, the more share a page. It is no
more, since a webhook that comes alone waits for the lock until all is stored."""

HURRIED = 4
"""Into how many turns a batch is cut while webhooks come in quickly: once they are a flood it rests
after each, and a turn that has begun keeps neither them nor an opt-out waiting for long."""

Part = tuple[Delivery, list[Event]]
Kept = tuple[list[NewOutcome], set[str]]
"""What was stored: outcomes, and the sources whose look-ups have new work."""


def take_in(equipment: Equipment) -> int:
    """Work on deliveries that nobody has worked on; returns how many were taken.

    Without any configured campaign they wait. While webhooks flood in, it rests, and looks from
    time to time whether there is an opt-out among them. Errors: ``StoreBusy``.
    """
    # here rather than before it stores: what comes meanwhile may hold an opt-out, and goes ahead
    for resting in equipment.database.right_of_way.rests(equipment.patience):
        taken = _turn(equipment, resting=resting)
        if not resting:
            equipment.patience.over()
        if taken:
            return taken
    return 0


def _turn(equipment: Equipment, *, resting: bool) -> int:
    current = equipment.mappings()
    if not any(campaign.configured for campaign in current.campaigns.values()):
        return 0
    parts: list[Part] = []
    now = equipment.database.now_ms()
    try:
        if equipment.database.is_sqlite:
            # SQLite has one writer: the work is done before its lock is taken
            with equipment.database.read() as connection:
                parts = _next_parts(equipment, connection, current, resting=resting)
            kept = _keep_in_one(equipment, parts, current) if parts else None
        else:
            # many workers: what one has locked, the others pass over
            with equipment.database.write(urgent=True) as connection:
                parts = _next_parts(equipment, connection, current, resting=resting)
                kept = _keep(connection, parts, current, now) if parts else None
    except StoreBusy:
        raise
    except StoreChanged:
        pass  # nothing was stored; they are taken again, by what is known now
    except Exception:
        receipts = logs.few(row.receipt for row, _ in parts)
        log.exception("deliveries not taken in together", receipts=receipts, deliveries=len(parts))
        with suppress(StoreChanged):  # those that are left are taken again
            for part in parts:
                _keep_alone(equipment, part, current)
    else:
        if kept is not None:
            _announce(equipment, kept, current)
    return len(parts)


def _next_parts(
    equipment: Equipment, connection: Connection, current: MappingSet, *, resting: bool
) -> list[Part]:
    """The deliveries that are next, those that may hold an opt-out before the others.

    Those that go ahead leave a part of the turn to the oldest ones. ``resting``: there is no turn
    unless one goes ahead, and the oldest have that part of it alone.
    """
    sources = frozenset(name for name, m in current.mappings.items() if m.source.configured)
    most = _most(equipment)
    scout, portions = equipment.scout, equipment.portions
    room = most * AHEAD // 100
    turn = Turn(portions.ahead.of(room), MOST_BYTES, equipment.bounds.depth, resting)
    first = _parts(equipment, scout.ahead(connection, current, sources, turn), current, room)
    if resting and not first:
        return []
    gone = {row.id for row, _ in first}
    held = portions.ahead.held(first)
    # all of their part, however few go ahead: where one does at each look, there is no other turn
    room = most - (room if resting else held)
    limit = portions.in_line.of(room)
    oldest = deliveries.next_stored(connection, sources, limit, MOST_BYTES, besides=gone)
    behind = _parts(equipment, oldest, current, room)
    portions.in_line.held(behind)
    full = len(oldest) == limit or sum(len(row.body) for row in oldest) > MOST_BYTES // 2
    left = full or len(behind) < len(oldest)
    scout.told(behind[-1][0].id if left else None, len(first) + len(behind))
    return first + behind


def _most(equipment: Equipment) -> int:
    """How many events are taken in at once."""
    database, batch = equipment.database, equipment.bounds.batch
    if database.right_of_way.marked:
        return max(1, batch // HURRIED)
    return batch * UNDISTURBED if database.is_sqlite and database.right_of_way.quiet() else batch


def _parts(
    equipment: Equipment, rows: Sequence[Delivery], current: MappingSet, most: int
) -> list[Part]:
    """Deliveries with their events, as many as fit into one transaction; but at least one."""
    parts: list[Part] = []
    count = 0
    for row in rows:
        if parts and count >= most:  # so as not to split one in vain
            break
        found = events_of(row, current.mappings[row.source], equipment.bounds)
        count += len(found)
        if parts and count > most:
            break
        parts.append((row, found))
    return parts


def _keep_alone(equipment: Equipment, part: Part, current: MappingSet) -> None:
    """Take one delivery in by itself; if even that fails, it is dead and stops nobody."""
    delivery, _ = part
    try:
        kept = _keep_in_one(equipment, [part], current)
    except (StoreBusy, StoreChanged):
        raise
    except Exception as error:
        log.exception("delivery not taken in", receipt=delivery.receipt)
        fault = f"an unexpected fault while storing its events ({type(error).__name__})"
        dead = (delivery, [unreadable(delivery, fault)])
        kept = _keep_in_one(equipment, [dead], current)
    _announce(equipment, kept, current)


def _keep_in_one(equipment: Equipment, parts: Sequence[Part], current: MappingSet) -> Kept:
    """Map, and then store in a transaction of its own."""
    with equipment.database.read() as connection:
        memory, ready = _mapped(connection, parts, current)
    with equipment.database.write(urgent=True) as connection:
        now = equipment.database.now_ms()
        return _store(connection, parts, memory, ready, current, now=now)


def _keep(connection: Connection, parts: Sequence[Part], current: MappingSet, now: int) -> Kept:
    """Map and store in the transaction that holds the deliveries.

    What only leads to calls is not waited for: whoever claims it commits for both, and if that
    never comes the deliveries are taken in again. What ends here is told of, so it is on disk.
    """
    memory, ready = _mapped(connection, parts, current)
    kept = _store(connection, parts, memory, ready, current, now=now)
    lines, looked_up = kept
    if not looked_up and all(line.state is State.WAITING for line in lines):
        commit_later(connection)
    return kept


def _mapped(
    connection: Connection, parts: Sequence[Part], current: MappingSet
) -> tuple[Memory, list[Ready]]:
    memory = Memory.recall(
        connection, ((row.source, event) for row, found in parts for event in found)
    )
    ready: list[Ready] = []
    for row, found in parts:
        mapping = current.mappings[row.source]
        ready += [prepare(row, event, mapping, memory) for event in found]
        if not found:
            ready.append(empty(row, mapping.version))
    return memory, ready


def _store(
    connection: Connection,
    parts: Sequence[Part],
    memory: Memory,
    ready: Sequence[Ready],
    current: MappingSet,
    *,
    now: int,
) -> Kept:
    """Store events and what they lead to, with their deliveries taken by compare-and-set."""
    versions = {row.id: current.mappings[row.source].version for row, _ in parts}
    taken = deliveries.take(connection, [row.id for row, _ in parts], versions)
    mine = [item for item in ready if item.delivery.id in taken]
    added = events.add(connection, [_new_event(item, now) for item in mine])
    known = [
        (place.id, item if place.duplicate_of is None else _copy(item, place.duplicate_of))
        for item in mine
        for place in (added[item.delivery.id, item.event.ordinal],)
    ]
    _counts(parts, taken, mine, added).write(connection)
    erasures.note_contacts(
        connection, ((n, item.delivery.source, item.event.contacts) for n, item in known)
    )
    rows = add_outcomes(connection, known, current.campaigns, now)
    keep_clues(connection, known)
    add_erasures(connection, known, now)
    memory.keep(connection, now)
    return rows, {item.delivery.source for item in mine if item.mapped is None}


def _counts(
    parts: Sequence[Part],
    taken: set[int],
    mine: Sequence[Ready],
    added: Mapping[tuple[int, int], events.Added],
) -> Counts:
    source_of = {row.id: row.source for row, _ in parts}
    copies = (
        source_of[delivery_id]
        for (delivery_id, _), place in added.items()
        if place.duplicate_of is not None
    )
    counts = Counts()
    for what, sources in (
        (Counted.RECEIVED, (row.source for row, _ in parts if row.id in taken)),
        (Counted.EVENT, (item.delivery.source for item in mine)),
        (Counted.COPY, copies),
    ):
        for source, count in Counter(sources).items():
            counts.add(what, source, count=count)
    return counts


def _announce(equipment: Equipment, kept: Kept, current: MappingSet) -> None:
    """After the commit: the log lines, and a nudge to those who have new work."""
    rows, waiting = kept
    log_new(rows)
    equipment.ring(bells_for(rows, current.campaigns) | {f"source:{name}" for name in waiting})


def _new_event(item: Ready, now: int) -> events.NewEvent:
    pending = item.mapped is None
    return events.NewEvent(
        item.delivery.id,
        item.delivery.source,
        item.event,
        pending,
        item.urgent,
        now if pending else NEVER,
        item.version,
    )


def _copy(item: Ready, first: int) -> Ready:
    """An event that came before, with the outcome of a duplicate."""
    reason = f"the same as event {first}"
    return replace(item, mapped=Mapped(state=State.DUPLICATE, reason=reason))
