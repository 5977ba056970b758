"""What waits, looked at in a time that does not grow with how much waits.

Health and metrics are asked every few seconds, and most of all when a backlog of millions stands
in the tables. So at most a stated number of rows is counted, by walking an index from its front;
a count that reaches that number means *at least so many*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from bridge.model import OPEN_STATES, Lane, State
from bridge.store import newest
from bridge.store.schema import (
    LEASED,
    OPEN_OPT_OUT,
    PENDING,
    STORED,
    delivery,
    event,
    lead,
    outcome,
)

MOST = 5_000
"""Rows that one count walks over at most."""

MOST_IN_ALL = 25_000
"""Rows that the lanes of all campaigns together are counted over at most."""

FRONT = 100
"""Leads at the front of a lane among which the one that waits longest is looked for."""

LANES = (Lane.OPT_OUT, Lane.FIRST, Lane.RETRY, Lane.REPLAY, Lane.STANDING)


@dataclass(frozen=True, slots=True)
class Depth:
    """How many wait, and since when the oldest of them does (ms); None if that is not known."""

    count: int
    oldest: int | None = None


def _front(statement: Select[Any], most: int = MOST) -> Any:
    """The first rows of a statement, which says in what order, by the index that it is to go by.

    Without an order PostgreSQL may read a whole table for rows of which it expects many, and
    finds few at its end.
    """
    return statement.limit(most).subquery("front")


_DELIVERIES = _front(
    select(delivery.c.source, delivery.c.received_at).where(STORED).order_by(delivery.c.id)
)
_DELIVERIES_BY_SOURCE = select(
    _DELIVERIES.c.source, func.count(), func.min(_DELIVERIES.c.received_at)
).group_by(_DELIVERIES.c.source)


def deliveries_by_source(connection: Connection) -> dict[str, Depth]:
    """Deliveries that nobody has worked on: the oldest ``MOST`` of them, by source."""
    return {row[0]: Depth(row[1], row[2]) for row in connection.execute(_DELIVERIES_BY_SOURCE)}


# ----------------------------------------------------------------------- look-ups


@dataclass(frozen=True, slots=True)
class LookUps:
    """Events of one source and lane that wait for a look-up, and the trouble of the oldest."""

    source: str
    lane: Lane
    depth: Depth
    trouble: str


_NEXT_SOURCE = select(func.min(event.c.source)).where(PENDING, event.c.source > bindparam("after"))
_PENDING = _front(
    select(event.c.id)
    .where(PENDING, event.c.source == bindparam("source"), event.c.lane == bindparam("lane"))
    .order_by(event.c.due_at)
)
_PENDING_DEPTH = select(func.count(), func.min(_PENDING.c.id))
_PENDING_OLDEST = (
    select(delivery.c.received_at, event.c.trouble)
    .join(delivery, delivery.c.id == event.c.delivery_id)
    .where(event.c.id == bindparam("the_id"))
)


def look_ups(connection: Connection) -> list[LookUps]:
    """What waits for look-ups, by source and lane; of each, the ``MOST`` that are due first."""
    found: list[LookUps] = []
    source = ""
    while (source := connection.scalar(_NEXT_SOURCE, {"after": source}) or "") != "":
        for lane in (Lane.OPT_OUT, Lane.FIRST):
            count, first = connection.execute(
                _PENDING_DEPTH, {"source": source, "lane": int(lane)}
            ).one()
            if not count:
                continue
            row = connection.execute(_PENDING_OLDEST, {"the_id": first}).first()
            since, trouble = (None, "") if row is None else (row.received_at, row.trouble or "")
            found.append(LookUps(source, lane, Depth(count, since), trouble))
    return found


# ----------------------------------------------------------------------- opt-outs


def open_opt_outs(most: int) -> Any:
    """The oldest opt-outs that are not confirmed, from the parameter ``state`` on, as a table of
    id, state and accepted_at; the states are in the order of their names.

    From a state on, and not of a state: PostgreSQL takes the two conditions on the state for
    independent, expects a handful, and would sort all that it finds by another index.
    """
    return _front(
        select(outcome.c.id, outcome.c.state, outcome.c.accepted_at)
        .where(OPEN_OPT_OUT, outcome.c.state >= bindparam("state"))
        .order_by(outcome.c.state, outcome.c.accepted_at),
        most,
    )


_OPEN = open_opt_outs(MOST)
_OPT_OUTS = select(func.count(), func.min(_OPEN.c.accepted_at)).where(
    _OPEN.c.state == bindparam("state")
)


def opt_outs(connection: Connection) -> dict[State, Depth]:
    """Opt-outs that are not confirmed, by their state; the oldest is exact."""
    found: dict[State, Depth] = {}
    for state in OPEN_STATES:
        count, oldest = connection.execute(_OPT_OUTS, {"state": state.value}).one()
        if count:
            found[state] = Depth(count, oldest)
    return found


def dead(connection: Connection, since: int) -> Depth:
    """What ended as dead since then (ms), by the newest outcome of each event: a replay that
    leaves it dead makes no second one, and one that mends it none at all."""
    front = _front(
        select(
            *(outcome.c[name] for name in ("event_id", "campaign", "phone", "replay_id")),
            outcome.c.decided_at,
        )
        .where(outcome.c.state == State.DEAD.value)
        .order_by(outcome.c.id.desc())
    )
    count, oldest = connection.execute(
        select(func.count(), func.min(front.c.decided_at)).where(
            front.c.decided_at >= since, newest.counts(front.c)
        )
    ).one()
    return Depth(count, oldest)


# ----------------------------------------------------------------------- lanes


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of all campaigns. ``most``: up to how many leads each was counted.

    ``depths``: only lanes in which somebody stands; of ``oldest``, see ``FRONT``.
    """

    most: int
    depths: Mapping[tuple[str, Lane], Depth]


def lanes(connection: Connection, campaigns: Iterable[str]) -> Lanes:
    """How many leads stand in each lane of these campaigns, and how long they have waited."""
    busy = _busy(connection, sorted(set(campaigns)))
    most = max(FRONT, min(MOST, MOST_IN_ALL // max(1, len(busy) * len(LANES))))
    found: dict[tuple[str, Lane], Depth] = {}
    for name in busy:
        for row in connection.execute(_LANES, {"campaign": name, "most": most}):
            if row.depth:
                found[name, Lane(row.lane)] = Depth(row.depth, row.oldest)
    return Lanes(most, found)


def _busy(connection: Connection, names: Sequence[str]) -> list[str]:
    """Of these campaigns, those that have a lead in a lane."""
    return [name for name in names if connection.scalar(_ANY, {"campaign": name}) is not None]


_ANY = (
    select(lead.c.id)
    .where(lead.c.campaign == bindparam("campaign"), lead.c.lane < int(Lane.IDLE))
    .order_by(lead.c.lane)
    .limit(1)
)


def _of_lane(lane: Lane) -> Select[Any]:
    here = (lead.c.campaign == bindparam("campaign"), lead.c.lane == int(lane))
    of_lane = select(literal(1)).select_from(lead).where(*here).order_by(lead.c.due_at)
    counted = of_lane.limit(bindparam("most")).subquery()
    first = select(lead.c.waiting_since).where(*here).order_by(lead.c.due_at).limit(FRONT)
    return select(
        literal(int(lane)).label("lane"),
        select(func.count()).select_from(counted).scalar_subquery().label("depth"),
        _least(first).label("oldest"),
    )


def _least(statement: Select[Any]) -> ScalarSelect[Any]:
    front = statement.subquery()
    return select(func.min(front.c.waiting_since)).scalar_subquery()


_LANES = union_all(*(_of_lane(lane) for lane in LANES))

_IN_FLIGHT = _front(
    select(literal_column("1")).select_from(lead).where(LEASED).order_by(lead.c.lease_until)
)


def in_flight(connection: Connection) -> int:
    """How many leads some worker holds at the moment."""
    return connection.execute(select(func.count()).select_from(_IN_FLIGHT)).scalar_one()
