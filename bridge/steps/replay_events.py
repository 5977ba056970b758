"""What a replay makes of deliveries: their events by the mapping that was chosen.

The plan of a replay and the replay itself both come from here, so that one tells what the other
does. Nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.errors import MappingError
from bridge.map import MappingSet, SourceMapping
from bridge.model import Delivery, Event, KeptMapping, LeadUpdate, Mapped, State
from bridge.record.ledger import MARK
from bridge.steps.equipment import Bounds
from bridge.steps.events import Ready, empty, events_of, prepare, unreadable
from bridge.steps.memory import Memory
from bridge.steps.replay_select import CURRENT, ORIGINAL
from bridge.store import deliveries, events, mapping_versions, outcomes
from bridge.store.database import Connection
from bridge.store.outcomes import Earlier
from bridge.store.replays import Item

Compile = Callable[[KeptMapping], SourceMapping]
"""Makes a kept mapping usable. Errors: ``MappingError``."""

MOST_BYTES = 8_000_000
"""Bodies that are held in memory at a time."""

_GONE = "campaigns.yaml no longer has campaign"

SENT = (State.WAITING, State.IN_FLIGHT, State.STANDING, State.UPDATED, State.UNCONFIRMED)
"""States after which the campaign API may have seen an update, or will."""


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

    ``passed_over``: events that are on their way by themselves.
    """

    items: tuple[Item, ...]
    agains: tuple[Again, ...]
    memory: Memory
    untaken: frozenset[int]
    passed_over: int


class Choice:
    """Which mapping a replay goes by: the current, the original of each event, or one version.

    What was compiled is kept for as long as the same mapping set is in force.
    """

    def __init__(self, compile_kept: Compile) -> None:
        self._compile = compile_kept
        self._current: MappingSet | None = None
        self._compiled: dict[str, SourceMapping | str] = {}

    def mapping(
        self,
        connection: Connection,
        wanted: str,
        current: MappingSet,
        source: str,
        version: str,
    ) -> SourceMapping | str:
        """The mapping for an event that ``version`` made; or why there is none."""
        if wanted == CURRENT:
            in_force = current.mappings.get(source)
            return f"no mapping of {source} is in force" if in_force is None else _ready(in_force)
        chosen = version if wanted == ORIGINAL else wanted
        if not chosen:
            return "no mapping has made anything of this delivery yet"
        if self._current is not current:
            self._current, self._compiled = current, {}
        if chosen not in self._compiled:
            self._compiled[chosen] = self._load(connection, chosen)
        found = self._compiled[chosen]
        if not isinstance(found, str) and found.source.name != source:
            return f"the mapping version {chosen} is one of {found.source.name}"
        return found

    def _load(self, connection: Connection, version: str) -> SourceMapping | str:
        kept = mapping_versions.find(connection, version)
        if kept is None:
            return f"the mapping version {version} was not kept"
        try:
            return _ready(self._compile(kept))
        except MappingError as error:
            return f"the mapping version {version} cannot be used any more: {error.mistakes[0]}"


def _ready(mapping: SourceMapping) -> SourceMapping | str:
    """The mapping, unless it would take something else for a setting that has no value."""
    source = mapping.source
    if source.configured:
        return mapping
    return f"the mapping of {source.name} is not configured: set {', '.join(source.missing)}"


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
    for one in outcomes.of_deliveries(connection, ids):
        earlier[one.event_id].append(one)
    reader = _Reader(connection, choice, wanted, current, bounds)
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
    size = 0
    for place, item in enumerate(items):
        head = heads.get(item.delivery_id)
        size += head.size if head is not None else 0
        if place and size > MOST_BYTES:
            return items[:place]
    return items


class _Reader:
    """Reads one delivery after the other."""

    def __init__(
        self,
        connection: Connection,
        choice: Choice,
        wanted: str,
        current: MappingSet,
        bounds: Bounds,
    ) -> None:
        self.agains: list[Again] = []
        self.passed_over = 0
        self._connection = connection
        self._choice = choice
        self._wanted = wanted
        self._current = current
        self._bounds = bounds

    def read(
        self,
        delivery: Delivery,
        head: deliveries.Head,
        item: Item,
        rows: Mapping[int, events.Row],
        earlier: Mapping[int, Sequence[Earlier]],
    ) -> None:
        """Add the events of a delivery that are to be replayed."""
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
            before = tuple(earlier.get(row.id, ())) if row is not None else ()
            self.agains.append(Again(ready, row, known, before))


def _events(
    delivery: Delivery,
    mapping: SourceMapping,
    places: set[int],
    rows: Mapping[int, events.Row],
    bounds: Bounds,
) -> dict[int, Event]:
    """The events at these places, and those that the mapping finds where none was found before."""
    found = {event.ordinal: event for event in events_of(delivery, mapping, bounds)}
    if not found:
        found = {0: empty(delivery, mapping.version).event}
    wanted = {place: event for place, event in found.items() if place not in rows}
    whole = found[0].problem if len(found) == 1 and 0 in found else None
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


def limited(
    mapped: Mapped,
    earlier: Iterable[Earlier],
    *,
    named: Iterable[str],
    campaign: str | None,
    marks: bool,
) -> Mapped:
    """What a replay may send of what a mapping asks for.

    Only to campaigns that there are, and to ``campaign`` alone if one was selected. The wish to
    call a lead again (``mark_as_unanswered``) only if ``marks`` says so, and even then only if no
    earlier try may have reached the API: it would put the person back into the queue once more.
    """
    if not mapped.updates:
        return mapped
    there = set(named)
    marked = {
        (one.campaign, one.phone)
        for one in earlier
        if MARK in one.fields and (one.doubtful or one.state in SENT)
    }
    left: list[LeadUpdate] = []
    reasons: list[str] = []
    for update in mapped.updates:
        if campaign not in (None, update.campaign):
            reasons.append(f"only campaign {campaign} was selected")
        elif update.campaign not in there:
            reasons.append(f"{_GONE} {update.campaign}")
        elif MARK not in update.fields or (marks and (update.campaign, update.phone) not in marked):
            left.append(update)
        else:
            why = (
                "left out mark_as_unanswered: it was sent before, or may have been"
                if marks
                else "left out mark_as_unanswered, since a replay sends it only if asked to"
            )
            fields = {name: value for name, value in update.fields.items() if name != MARK}
            if fields:
                left.append(replace(update, fields=fields, notes=(*update.notes, why)))
            else:
                reasons.append(why)
    if left:
        gone = tuple(reason for reason in dict.fromkeys(reasons) if reason.startswith(_GONE))
        return replace(
            mapped, updates=tuple(replace(one, notes=(*one.notes, *gone)) for one in left)
        )
    reason = "; ".join(dict.fromkeys(reasons))
    return replace(mapped, updates=(), state=State.SKIPPED, reason=reason)
