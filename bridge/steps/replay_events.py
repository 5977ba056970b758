"""What a replay makes of deliveries: their events by the mapping that was chosen.

The plan of a replay and the replay itself both come from here, so that one tells what the other
does. Nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.map import MappingSet, SourceMapping
from bridge.model import Delivery, Event, Mapped, State
from bridge.steps.equipment import Bounds
from bridge.steps.events import Ready, empty, events_of, prepare, unreadable
from bridge.steps.memory import Memory
from bridge.steps.pairing import paired
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_select import CURRENT, ORIGINAL
from bridge.store import deliveries, events, history
from bridge.store.body_room import fitting
from bridge.store.database import Connection
from bridge.store.history import Earlier
from bridge.store.replays import Item

MOST_BYTES = 8_000_000
"""Bodies that are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Again:
    """An event of a replay. ``row``: where it stands, None if it was never taken in.

    ``mapping`` is None where there is none to map it by; ``ready.mapped`` while a look-up is due.
    ``earlier``: what became of it before.
    """

    ready: Ready
    row: events.Row | None
    mapping: SourceMapping | None
    earlier: tuple[Earlier, ...] = ()

    @property
    def fruitless(self) -> bool:
        """Whether the event has never led to an update of any lead."""
        return all(one.lead_free for one in self.earlier)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some deliveries of a replay with their events; ``untaken``: those no worker took in yet.

    ``passed_over``: events that are on their way by themselves, or whose delivery is erased.
    """

    items: tuple[Item, ...]
    agains: tuple[Again, ...]
    memory: Memory
    untaken: frozenset[int]
    passed_over: int


def read_slice(
    connection: Connection,
    items: Sequence[Item],
    *,
    choice: Choice,
    wanted: str,
    current: MappingSet,
    bounds: Bounds,
) -> Slice:
    """The events of some deliveries of a replay, mapped unless they need a look-up.

    As many of the deliveries as should be in memory together, the first of them in any case.
    """
    heads = deliveries.heads(connection, [item.delivery_id for item in items])
    items = _fitting(items, heads)
    ids = [item.delivery_id for item in items]
    found = deliveries.by_ids(connection, ids) if ids else {}
    rows: dict[int, dict[int, events.Row]] = defaultdict(dict)
    for row in events.of_deliveries(connection, ids):
        rows[row.delivery_id][row.ordinal] = row
    earlier: dict[int, list[Earlier]] = defaultdict(list)
    for one in history.of_deliveries(connection, ids):
        earlier[one.event_id].append(one)
    known = [row.id for of_one in rows.values() for row in of_one.values()]
    again = events.came_again(connection, known)
    reader = _Reader(connection, choice, wanted, current, bounds, came_again=again)
    for item in items:
        if item.delivery_id in found:
            head = heads[item.delivery_id]
            reader.read(found[item.delivery_id], head, item, rows[item.delivery_id], earlier)
    memory = Memory.recall(
        connection, ((one.ready.delivery.source, one.ready.event) for one in reader.agains)
    )
    return Slice(
        tuple(items),
        tuple(_prepared(one, memory) for one in reader.agains),
        memory,
        frozenset(head.id for head in heads.values() if not head.taken),
        reader.passed_over,
    )


def _fitting(items: Sequence[Item], heads: Mapping[int, deliveries.Head]) -> Sequence[Item]:
    def size(item: Item) -> int:
        head = heads.get(item.delivery_id)
        return 0 if head is None else head.size

    return list(fitting(items, size, MOST_BYTES))


class _Reader:
    """Reads one delivery after the other."""

    def __init__(
        self,
        connection: Connection,
        choice: Choice,
        wanted: str,
        current: MappingSet,
        bounds: Bounds,
        *,
        came_again: Mapping[int, int],
    ) -> None:
        self.agains: list[Again] = []
        self.passed_over = 0
        self._connection = connection
        self._choice = choice
        self._wanted = wanted
        self._current = current
        self._bounds = bounds
        self._came_again = came_again

    def read(
        self,
        delivery: Delivery,
        head: deliveries.Head,
        item: Item,
        rows: Mapping[int, events.Row],
        earlier: Mapping[int, Sequence[Earlier]],
    ) -> None:
        """Add the events of a delivery that are to be replayed."""
        if head.erased:
            self.passed_over += max(1, len(rows))
            return
        if not head.taken and not self._may_take_in(delivery.source):
            self.passed_over += 1
            return
        places = set(rows) if item.ordinals is None else set(item.ordinals)
        pending = {place for place in places if place in rows and rows[place].pending}
        self.passed_over += len(pending)
        by_version: dict[str, set[int]] = defaultdict(set)
        for place in places - pending:
            row = rows.get(place)
            by_version[_version(head, earlier.get(row.id, ()) if row else ())].add(place)
        if not rows:
            by_version[head.version] |= set()
        for version, some in by_version.items():
            self._read(delivery, version, some, rows, earlier)

    def _may_take_in(self, source: str) -> bool:
        """Whether a delivery that no worker has taken in is for us.

        Not if the mapping in force does so by itself, now or once it is there again: what was
        said stays in the queue until somebody can read it, or says by which version to.
        """
        in_force = self._current.mappings.get(source)
        if in_force is not None and in_force.source.configured:
            return False
        if self._wanted in (CURRENT, ORIGINAL):
            return False
        mapping = self._choice.mapping(self._connection, self._wanted, self._current, source, "")
        return not isinstance(mapping, str)

    def _read(
        self,
        delivery: Delivery,
        version: str,
        places: set[int],
        rows: Mapping[int, events.Row],
        earlier: Mapping[int, Sequence[Earlier]],
    ) -> None:
        mapping = self._choice.mapping(
            self._connection, self._wanted, self._current, delivery.source, version
        )
        if isinstance(mapping, str):
            read = {place: unreadable(delivery, mapping, place) for place in places or {0}}
            known, name = None, version
        else:
            read = _events(delivery, mapping, places, rows, self._bounds)
            known, name = mapping, mapping.version
        for place, event in sorted(read.items()):
            row = rows.get(place)
            ready = Ready(delivery, event, None, name)
            if row is not None and row.duplicate_of is not None:
                reason = f"the same as event {row.duplicate_of}"
                ready = replace(ready, mapped=Mapped(state=State.DUPLICATE, reason=reason))
            elif row is not None and row.id in self._came_again:
                reason = f"it came again, and was read as event {self._came_again[row.id]}"
                ready = replace(ready, mapped=Mapped(state=State.SKIPPED, reason=reason))
            before = tuple(earlier.get(row.id, ())) if row is not None else ()
            self.agains.append(Again(ready, row, known, before))


def _events(
    delivery: Delivery,
    mapping: SourceMapping,
    places: set[int],
    rows: Mapping[int, events.Row],
    bounds: Bounds,
) -> dict[int, Event]:
    """The events at these places, and those that the mapping finds and nobody found before."""
    split = events_of(delivery, mapping, bounds)
    if not split:
        split = [empty(delivery, mapping.version).event]
    whole = split[0].problem if len(split) == 1 else None
    found = paired({place: row.key for place, row in rows.items()}, split, strictly=False)
    wanted = {place: event for place, event in found.items() if place not in rows}
    for place in places:
        missing = whole or "the mapping no longer gives this event"
        wanted[place] = found.get(place) or unreadable(delivery, missing, place)
    return wanted


def _version(head: deliveries.Head, earlier: Iterable[Earlier]) -> str:
    """The version that an event went by first."""
    first = [one.version for one in earlier if one.replay_id == 0 and one.version]
    return first[0] if first else head.version


def _prepared(again: Again, memory: Memory) -> Again:
    ready, mapping = again.ready, again.mapping
    if ready.mapped is not None:
        return again
    if mapping is None:
        reason = ready.event.problem or ""
        return replace(again, ready=replace(ready, mapped=Mapped(state=State.DEAD, reason=reason)))
    if not ready.event.view and ready.event.problem is None:
        return replace(again, ready=empty(ready.delivery, mapping.version))
    return replace(again, ready=prepare(ready.delivery, ready.event, mapping, memory))
