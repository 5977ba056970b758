"""Replays: what is to be mapped and sent again, what is left of it, and who works on it.

A replay is a row with a queue of deliveries. A worker takes some of them off and stores their
outcomes in one transaction, so that each is replayed once, whoever dies in between. One worker at
a time works on a replay, under a lease, newest deliveries first: so what is older finds the newer
in the ledger and is superseded instead of sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, or_, select, update

from bridge import jsontext
from bridge.store.database import clock_ms, upsert
from bridge.store.far_ahead import FarAhead
from bridge.store.schema import replay, replay_item

AT_A_TIME = 5000
"""Receipts in one statement."""


class ReplayState(StrEnum):
    """How far a replay is. Preparing: its deliveries are being selected."""

    PREPARING = "preparing"
    RUNNING = "running"
    CANCELLED = "cancelled"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as it stands. Times in milliseconds.

    ``selection`` and ``scan`` are JSON: what was asked for, and how far the selection has come.
    ``mapping``: ``current``, ``original`` or a version. ``marks``: whether it may send
    ``mark_as_unanswered``. ``rate``: events per second. ``tries``: failed look-ups in a row.
    """

    id: int
    created_at: int
    ended_at: int | None
    state: ReplayState
    selection: Mapping[str, Any]
    mapping: str
    marks: bool
    rate: float
    scan: Mapping[str, Any]
    deliveries: int
    deliveries_done: int
    next_at: int
    tries: int
    trouble: str


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery to be replayed; ``ordinals``: which of its events, None for all of them."""

    receipt: str
    delivery_id: int
    ordinals: frozenset[int] | None


def create(
    connection: Connection,
    *,
    selection: Mapping[str, Any],
    scan: Mapping[str, Any],
    mapping: str,
    marks: bool,
    rate: float,
    now: int,
) -> int:
    """Store a replay that is being prepared; returns its id."""
    key = connection.execute(
        insert(replay).values(
            created_at=now,
            ended_at=None,
            state=ReplayState.PREPARING.value,
            selection=jsontext.dumps(selection),
            mapping=mapping,
            marks=marks,
            rate=rate,
            scan=jsontext.dumps(scan),
            deliveries=0,
            deliveries_done=0,
            next_at=0,
            owner="",
            held_until=0,
            tries=0,
            trouble="",
        )
    ).inserted_primary_key
    if key is None:  # pragma: no cover - the table has a primary key
        raise LookupError("replay")
    return int(key[0])


def add_items(
    connection: Connection, replay_id: int, items: Iterable[Item], scan: Mapping[str, Any]
) -> bool:
    """Add selected deliveries, and note how far the selection has come.

    False if the replay is no longer being prepared; then nothing was added.
    """
    noted = connection.execute(
        update(replay)
        .where(replay.c.id == replay_id, replay.c.state == ReplayState.PREPARING.value)
        .values(scan=jsontext.dumps(scan))
    )
    if not noted.rowcount:
        return False
    values = [
        {
            "replay_id": replay_id,
            "receipt": item.receipt,
            "delivery_id": item.delivery_id,
            "ordinals": _written(item.ordinals),
        }
        for item in sorted(items, key=lambda item: item.receipt)
    ]
    if values:
        statement = upsert(connection, replay_item)
        new, old = statement.excluded.ordinals, replay_item.c.ordinals
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[replay_item.c.replay_id, replay_item.c.receipt],
                set_={"ordinals": case((or_(old == "", new == ""), ""), else_=old + "," + new)},
            ),
            values,
        )
    return True


def _written(ordinals: frozenset[int] | None) -> str:
    return "" if ordinals is None else ",".join(map(str, sorted(ordinals)))


def start(connection: Connection, replay_id: int) -> bool:
    """Let workers begin; False if the replay was not being prepared."""
    count = select(func.count()).where(replay_item.c.replay_id == replay_id).scalar_subquery()
    changed = connection.execute(
        update(replay)
        .where(replay.c.id == replay_id, replay.c.state == ReplayState.PREPARING.value)
        .values(state=ReplayState.RUNNING.value, deliveries=count)
    )
    return changed.rowcount > 0


def cancel(connection: Connection, replay_id: int, now: int) -> bool:
    """Stop a replay where it is; False if it has ended already. What it sent stays sent."""
    open_states = (ReplayState.PREPARING.value, ReplayState.RUNNING.value)
    changed = connection.execute(
        update(replay)
        .where(replay.c.id == replay_id, replay.c.state.in_(open_states))
        .values(state=ReplayState.CANCELLED.value, ended_at=now, owner="", held_until=0)
    )
    return changed.rowcount > 0


def resume(connection: Connection, replay_id: int, rate: float | None = None) -> bool:
    """Have a cancelled replay go on, at another rate if one is given.

    False if it was not cancelled.
    """
    # one whose selection was not finished has no number of deliveries yet
    finished = replay.c.deliveries > 0
    changed = connection.execute(
        update(replay)
        .where(replay.c.id == replay_id, replay.c.state == ReplayState.CANCELLED.value)
        .values(
            state=case((finished, ReplayState.RUNNING.value), else_=ReplayState.PREPARING.value),
            rate=replay.c.rate if rate is None else rate,
            ended_at=None,
            next_at=0,
            tries=0,
            trouble="",
        )
    )
    return changed.rowcount > 0


_COLUMNS = (
    replay.c.id,
    replay.c.created_at,
    replay.c.ended_at,
    replay.c.state,
    replay.c.selection,
    replay.c.mapping,
    replay.c.marks,
    replay.c.rate,
    replay.c.scan,
    replay.c.deliveries,
    replay.c.deliveries_done,
    replay.c.next_at,
    replay.c.tries,
    replay.c.trouble,
)


def _replay(row: Any) -> Replay:
    return Replay(
        **{
            **row._mapping,
            "state": ReplayState(row.state),
            "selection": jsontext.loads(row.selection),
            "scan": jsontext.loads(row.scan),
        }
    )


def find(connection: Connection, replay_id: int) -> Replay | None:
    """The replay of this id, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(replay.c.id == replay_id)).first()
    return None if row is None else _replay(row)


def listing(connection: Connection, *, before: int | None, limit: int) -> list[Replay]:
    """The newest replays."""
    query = select(*_COLUMNS).order_by(replay.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(replay.c.id < before)
    return [_replay(row) for row in connection.execute(query)]


def claim(connection: Connection, *, owner: str, lease_ms: int, now: int) -> Replay | None:
    """Take the replay that is due the longest and that nobody works on, for so long."""
    clock = clock_ms(connection)
    row = connection.execute(
        select(*_COLUMNS)
        .where(
            replay.c.state == ReplayState.RUNNING.value,
            replay.c.next_at <= now,
            or_(replay.c.held_until < clock, replay.c.owner == owner),
        )
        .order_by(replay.c.next_at, replay.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    connection.execute(
        update(replay).where(replay.c.id == row.id).values(owner=owner, held_until=clock + lease_ms)
    )
    return _replay(row)


def release_all(connection: Connection) -> None:
    """Let go of every replay: for a worker that knows that it is the only one."""
    connection.execute(update(replay).where(replay.c.held_until > 0).values(held_until=0))


def next_due(connection: Connection) -> int | None:
    """When the next step of any replay is due; None if none runs."""
    return connection.execute(
        select(func.min(replay.c.next_at)).where(replay.c.state == ReplayState.RUNNING.value)
    ).scalar()


def sooner(connection: Connection, now: int, *, within: int, events: int) -> int:
    """Have replays due now that are due more than ``within`` ms ahead, beside the time that
    ``events`` take at their rate; how many there were.

    None ever waits for so long: the clock that said when it is due was set back since.
    """
    return _FAR_AHEAD.due_now(connection, now, within=within, ms=1000 * events)


_FAR_AHEAD = FarAhead(
    replay.c.next_at,
    replay.c.state == ReplayState.RUNNING.value,
    more=bindparam("ms") / replay.c.rate,
)


def items(connection: Connection, replay_id: int, limit: int) -> list[Item]:
    """What is left of a replay, the newest first."""
    rows = connection.execute(
        select(replay_item.c.receipt, replay_item.c.delivery_id, replay_item.c.ordinals)
        .where(replay_item.c.replay_id == replay_id)
        .order_by(replay_item.c.receipt.desc())
        .limit(limit)
    )
    return [
        Item(
            row.receipt,
            row.delivery_id,
            frozenset(map(int, row.ordinals.split(","))) if row.ordinals else None,
        )
        for row in rows
    ]


def take(
    connection: Connection, replay_id: int, owner: str, receipts: Sequence[str], *, next_at: int
) -> set[str]:
    """Take deliveries off a replay, and say which were still on it; none if it was stopped.

    Who takes a delivery off has it; its outcomes belong into the same transaction.
    """
    held = connection.execute(
        update(replay)
        .where(
            replay.c.id == replay_id,
            replay.c.state == ReplayState.RUNNING.value,
            replay.c.owner == owner,
        )
        .values(tries=0, trouble="", next_at=next_at)
    )
    if not held.rowcount:
        return set()
    taken: set[str] = set()
    for begin in range(0, len(receipts), AT_A_TIME):
        rows = connection.execute(
            delete(replay_item)
            .where(
                replay_item.c.replay_id == replay_id,
                replay_item.c.receipt.in_(receipts[begin : begin + AT_A_TIME]),
            )
            .returning(replay_item.c.receipt)
        )
        taken.update(row.receipt for row in rows)
    connection.execute(
        update(replay)
        .where(replay.c.id == replay_id)
        .values(deliveries_done=replay.c.deliveries_done + len(taken))
    )
    return taken


def finish(connection: Connection, replay_id: int, now: int) -> bool:
    """End a replay on which nothing is left."""
    left = select(replay_item.c.receipt).where(replay_item.c.replay_id == replay_id).exists()
    changed = connection.execute(
        update(replay)
        .where(and_(replay.c.id == replay_id, replay.c.state == ReplayState.RUNNING.value, ~left))
        .values(state=ReplayState.DONE.value, ended_at=now, owner="", held_until=0)
    )
    return changed.rowcount > 0


def postpone(
    connection: Connection, replay_id: int, owner: str, *, next_at: int, trouble: str, tries: int
) -> None:
    """Put a replay off, and say why."""
    connection.execute(
        update(replay)
        .where(replay.c.id == replay_id, replay.c.owner == owner)
        .values(next_at=next_at, trouble=trouble, tries=tries)
    )
