"""Events: what the deliveries hold, each with the key by which a second copy is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, column, func, select, table, update

from bridge.model import Event, Lane, State
from bridge.store import body_room
from bridge.store.body_room import fitting
from bridge.store.bulk import Query, among, insert_many, listed
from bridge.store.far_ahead import FarAhead
from bridge.store.schema import PENDING, event, outcome

MOST_BYTES = 8_000_000
"""Bodies of deliveries whose look-ups are done together: their events are in memory meanwhile."""


class NewEvent(NamedTuple):
    """An event on its way to disk. ``pending``: it waits for a look-up. ``version``: of the mapping
    that reads it."""

    delivery_id: int
    source: str
    event: Event
    pending: bool
    urgent: bool
    due_at: int
    version: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that waits for a look-up. ``key``, ``time``: as they were when it was taken in."""

    id: int
    delivery_id: int
    ordinal: int
    tries: int
    lane: Lane
    key: str
    time: int


class Added(NamedTuple):
    """Where an event went. ``duplicate_of``: the event that has its key already."""

    id: int
    duplicate_of: int | None = None


def add(connection: Connection, rows: Sequence[NewEvent]) -> dict[tuple[int, int], Added]:
    """Store events; one whose key is known becomes a duplicate of the first.

    Unless that one was dead by the word of another version of the mapping: then the copy is read
    as if it were the first. Returns where each went, by (delivery id, ordinal).
    """
    if not rows:
        return {}
    if connection.dialect.name == "sqlite":
        return _add_alone(connection, rows)
    # by key, so that two transactions with the same events never wait for each other
    rows = sorted(rows, key=lambda row: row.event.key)
    added: dict[tuple[int, int], Added] = {}
    copies = _add_new(connection, [(row.event.key, row) for row in rows], added)
    while copies:
        first = by_keys(connection, (row.event.key for row in copies))
        names = anew(connection, {row.event.key: row.version for row in copies}, first)
        named = [(names.get(row.event.key, row.event.key), row) for row in copies]
        free = [(name, row) for name, row in named if name not in first]
        if not free:
            copied = _ADD_COPIES.execute(
                connection, [_values(row, None, first[name]) for name, row in named]
            )
            added.update(
                ((delivery_id, ordinal), Added(number, duplicate_of))
                for number, delivery_id, ordinal, duplicate_of in copied
            )
            break
        # another worker may take a name meanwhile, and what it stores under it may be dead as well
        taken = [row for name, row in named if name in first]
        copies = taken + _add_new(connection, sorted(free, key=itemgetter(0)), added)
    return added


def _add_new(
    connection: Connection,
    rows: Sequence[tuple[str, NewEvent]],
    added: dict[tuple[int, int], Added],
) -> list[NewEvent]:
    """Store events, each under a name, in the order of names; gives those whose name is taken."""
    stored = _ADD_NEW.execute(connection, [_values(row, name, None) for name, row in rows])
    for number, delivery_id, ordinal in stored:
        added[delivery_id, ordinal] = Added(number)
    return [row for _, row in rows if (row.delivery_id, row.event.ordinal) not in added]


def _add_alone(connection: Connection, rows: Sequence[NewEvent]) -> dict[tuple[int, int], Added]:
    """On SQLite whoever writes writes alone, so what is there and what comes next is known."""
    last = _LAST_ID.all(connection)
    first = by_keys(connection, (row.event.key for row in rows))
    copied = {row.event.key: row.version for row in rows if row.event.key in first}
    names = anew(connection, copied, first)
    added: dict[tuple[int, int], Added] = {}
    values: list[tuple[Any, ...]] = []
    for number, row in enumerate(rows, 1 + (last[0][0] if last else 0)):
        key = names.get(row.event.key, row.event.key)
        known = first.setdefault(key, number)
        if known == number:
            added[row.delivery_id, row.event.ordinal] = Added(number)
            values.append((number, *_values(row, key, None)))
        else:
            added[row.delivery_id, row.event.ordinal] = Added(number, known)
            values.append((number, *_values(row, None, known)))
    _ADD_NUMBERED.execute(connection, values)
    return added


def anew(
    connection: Connection, copies: Mapping[str, str], first: dict[str, int]
) -> dict[str, str]:
    """Of copies (key → the version that reads them now) those whose firsts were dead by another
    version: key → the name under which they are stored, which is made from the row of the one that
    was dead, so that of several copies one takes its place.

    ``first``: who stands for these keys; it learns who stands for the names.
    """
    names: dict[str, str] = {}
    left = {key: (key, version) for key, version in copies.items()}
    while left:
        versions = {first[name]: version for name, version in left.values()}
        dead = _dead_before(connection, versions)
        left = {
            key: (_name_after(first[name]), version)
            for key, (name, version) in left.items()
            if first[name] in dead
        }
        names |= {key: name for key, (name, _) in left.items()}
        found = by_keys(connection, (name for name, _ in left.values())) if left else {}
        first |= found
        left = {key: one for key, one in left.items() if one[0] in found}
    return names


def came_again(connection: Connection, ids: Iterable[int]) -> dict[int, int]:
    """Of these events those that were dead, and a copy of which was read later in their place."""
    names = {_name_after(number): number for number in ids}
    found = by_keys(connection, names) if names else {}
    return {names[name]: number for name, number in found.items()}


def _name_after(number: int) -> str:
    return blake2b(f"after {number}".encode("ascii"), digest_size=16).hexdigest()


def _dead_before(connection: Connection, versions: Mapping[int, str]) -> set[int]:
    """Of these events (id → the version that reads them now) those of which nothing came but what
    no other version could read."""
    dead: dict[int, set[str]] = {}
    for number, version in _DEAD.all(connection, ids=listed(sorted(versions))):
        dead.setdefault(number, set()).add(version)
    dead = {number: by for number, by in dead.items() if versions[number] not in by}
    if not dead:
        return set()
    return dead.keys() - {row[0] for row in _NOT_DEAD.all(connection, ids=listed(sorted(dead)))}


def by_keys(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """The events that stand for these keys: key → event id."""
    found = _KNOWN.all(connection, keys=listed(sorted(set(keys))))
    return {key: number for number, key in found}


_COLUMNS = (
    "delivery_id",
    "ordinal",
    "source",
    "key",
    "dedupe_key",
    "duplicate_of",
    "event_time",
    "weak_time",
    "state",
    "lane",
    "due_at",
)
_NO_TRY = {"tries": "0"}


def _values(row: NewEvent, dedupe_key: str | None, duplicate_of: int | None) -> tuple[Any, ...]:
    delivery_id, source, event, pending, urgent, due_at, _ = row
    return (
        delivery_id,
        event.ordinal,
        source,
        event.key,
        dedupe_key,
        duplicate_of,
        event.time_ms,
        event.weak_time,
        "pending" if pending and duplicate_of is None else "done",
        _OPT_OUT if urgent else _FIRST,
        due_at,
    )


_OPT_OUT, _FIRST = int(Lane.OPT_OUT), int(Lane.FIRST)


_WHERE = (event.c.id, event.c.delivery_id, event.c.ordinal)
_ADD_NEW = insert_many(
    event,
    _COLUMNS,
    constants=_NO_TRY,
    on_conflict=lambda new: new.on_conflict_do_nothing(index_elements=[event.c.dedupe_key]),
    returning=_WHERE,
)
_ADD_COPIES = insert_many(
    event, _COLUMNS, constants=_NO_TRY, returning=(*_WHERE, event.c.duplicate_of)
)
_ADD_NUMBERED = insert_many(event, ("id", *_COLUMNS), constants=_NO_TRY)
_KNOWN = Query(select(event.c.id, event.c.dedupe_key).where(among(event.c.dedupe_key, "keys")))
_DEAD = Query(
    select(outcome.c.event_id, outcome.c.version).where(
        among(outcome.c.event_id, "ids"), outcome.c.state == State.DEAD.value
    )
)
_NOT_DEAD = Query(
    select(outcome.c.event_id).where(
        among(outcome.c.event_id, "ids"),
        (outcome.c.state != State.DEAD.value) | (outcome.c.campaign != ""),
    )
)
_LAST_ID = Query(
    select(column("seq")).select_from(table("sqlite_sequence")).where(column("name") == "event")
)


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it stands in the table."""

    id: int
    delivery_id: int
    ordinal: int
    key: str
    duplicate_of: int | None
    pending: bool


def of_deliveries(connection: Connection, delivery_ids: Sequence[int]) -> list[Row]:
    """The events of these deliveries, by delivery and place."""
    rows = connection.execute(
        select(
            event.c.id,
            event.c.delivery_id,
            event.c.ordinal,
            event.c.key,
            event.c.duplicate_of,
            event.c.state,
        )
        .where(event.c.delivery_id.in_(delivery_ids))
        .order_by(event.c.delivery_id, event.c.ordinal)
    )
    return [
        Row(r.id, r.delivery_id, r.ordinal, r.key, r.duplicate_of, r.state == "pending")
        for r in rows
    ]


def identify(connection: Connection, rows: Iterable[tuple[int, Event]]) -> None:
    """Give events that could not be read before the key and time that they turn out to have.

    The keys must be free; see ``by_keys``.
    """
    for number, read in rows:
        connection.execute(
            update(event)
            .where(event.c.id == number)
            .values(
                key=read.key,
                dedupe_key=read.key,
                event_time=read.time_ms,
                weak_time=read.weak_time,
            )
        )


_PENDING = (
    select(
        event.c.id,
        event.c.delivery_id,
        event.c.ordinal,
        event.c.tries,
        event.c.key,
        event.c.event_time,
    )
    .where(
        PENDING,
        event.c.source == bindparam("source"),
        event.c.lane == bindparam("lane"),
        event.c.due_at <= bindparam("now"),
    )
    .order_by(event.c.due_at, event.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def claim_pending(
    connection: Connection, source: str, now: int, *, limits: Mapping[Lane, int], until: int
) -> list[PendingEvent]:
    """Take events of this source whose look-up is due: those of one lane, the first that has any.

    ``limits``: the lanes in their order, and how many at most of each; fewer where the bodies of
    their deliveries come to more than ``MOST_BYTES``. Nobody else is given them before ``until``
    (ms); who takes them over then is told apart by ``take``.
    """
    for lane, limit in limits.items():
        rows = connection.execute(
            _PENDING,
            {"source": source, "lane": int(lane), "now": now, "limit": limit},
        )
        found = [
            PendingEvent(r.id, r.delivery_id, r.ordinal, r.tries, lane, r.key, r.event_time)
            for r in rows
        ]
        if found:
            found = _with_room(connection, found)
            connection.execute(
                update(event).where(among(event.c.id, "ids")).values(due_at=until),
                {"ids": listed(item.id for item in found)},
            )
            return found
    return []


def _with_room(connection: Connection, found: list[PendingEvent]) -> list[PendingEvent]:
    """As many of them, from the first, as have room in memory with what their deliveries hold."""
    ids = {item.delivery_id for item in found}
    if len(ids) == 1:
        return found
    sizes = body_room.sizes(connection, ids)
    # a delivery is read once, however many of its events wait
    return list(fitting(found, lambda item: sizes.pop(item.delivery_id, 0), MOST_BYTES))


def hold_longer(connection: Connection, ids: Sequence[int], *, before: int, until: int) -> None:
    """Renew a claim that lasts until ``before`` (ms); events that were put off or lost stay so."""
    connection.execute(
        update(event)
        .where(event.c.id.in_(ids), event.c.state == "pending", event.c.due_at == before)
        .values(due_at=until)
    )


def release_pending(connection: Connection, now: int) -> None:
    """Make every pending event due: for a worker that knows that it is the only one."""
    connection.execute(update(event).where(PENDING, event.c.due_at > now).values(due_at=now))


def sooner(connection: Connection, sources: Iterable[str], now: int, *, within: int) -> int:
    """The same for the look-ups of opt-outs as ``leads.sooner``."""
    return _FAR_AHEAD.due_now(connection, now, within=within, sources=sources)


_FAR_AHEAD = FarAhead(
    event.c.due_at,
    PENDING,
    among(event.c.source, "sources"),
    event.c.lane == int(Lane.OPT_OUT),
)


def take(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Mark pending events as mapped, and say which of them were still pending."""
    rows = connection.execute(
        update(event)
        .where(among(event.c.id, "ids"), event.c.state == "pending")
        .values(state="done", trouble=None)
        .returning(event.c.id),
        {"ids": listed(sorted(ids))},
    )
    return {row.id for row in rows}


def postpone(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """Put pending events off: (id, due time, why)."""
    if not rows:
        return
    connection.execute(
        update(event)
        .where(event.c.id == bindparam("the_id"), event.c.state == "pending")
        .values(
            due_at=bindparam("the_due"), trouble=bindparam("the_trouble"), tries=event.c.tries + 1
        ),
        [{"the_id": i, "the_due": due, "the_trouble": why} for i, due, why in rows],
    )


def hurry(connection: Connection, ids: Iterable[int]) -> None:
    """Have the look-up of pending events go the way of opt-outs, since that is what they are."""
    connection.execute(
        update(event)
        .where(among(event.c.id, "ids"), PENDING, event.c.lane != int(Lane.OPT_OUT))
        .values(lane=int(Lane.OPT_OUT)),
        {"ids": listed(sorted(ids))},
    )


def next_due(connection: Connection, source: str) -> int | None:
    """When the next pending event of this source is due."""
    return connection.execute(
        select(func.min(event.c.due_at)).where(PENDING, event.c.source == source)
    ).scalar()


def waiting(connection: Connection, sources: Iterable[str]) -> set[str]:
    """Of these sources, those with events that wait for a look-up."""
    query = select(event.c.source).where(PENDING, event.c.source.in_(sorted(sources))).distinct()
    return set(connection.execute(query).scalars())
