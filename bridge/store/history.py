"""What became of events before, as replays ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, func, select

from bridge import jsontext
from bridge.model import State
from bridge.store import tally
from bridge.store.bulk import among, listed
from bridge.store.schema import REPLAYED, outcome


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of an event before, for one campaign and lead; empty both: of it as a whole."""

    id: int
    event_id: int
    delivery_id: int
    receipt: str
    source: str
    campaign: str
    phone: str
    state: State
    fields: dict[str, Any]
    version: str
    accepted_at: int
    doubtful: bool
    message: str
    replay_id: int
    erased_at: int | None = None

    @property
    def lead_free(self) -> bool:
        """Whether it speaks of the event as a whole, since there was no lead to update."""
        return not self.campaign


_EARLIER = (
    outcome.c.id,
    outcome.c.event_id,
    outcome.c.delivery_id,
    outcome.c.receipt,
    outcome.c.source,
    outcome.c.campaign,
    outcome.c.phone,
    outcome.c.state,
    outcome.c.fields,
    outcome.c.version,
    outcome.c.accepted_at,
    outcome.c.doubtful,
    outcome.c.message,
    outcome.c.replay_id,
    outcome.c.erased_at,
)


def _earlier(rows: Iterable[Any]) -> list[Earlier]:
    return [
        Earlier(**{**row._mapping, "state": State(row.state), "fields": jsontext.loads(row.fields)})
        for row in rows
    ]


def of_deliveries(connection: Connection, delivery_ids: Sequence[int]) -> list[Earlier]:
    """Every outcome of these deliveries, of their first way and of replays, oldest first."""
    return _of(connection, outcome.c.delivery_id, delivery_ids)


def all_of_events(connection: Connection, event_ids: Sequence[int]) -> list[Earlier]:
    """Every outcome of these events, of their first way and of replays, oldest first."""
    return _of(connection, outcome.c.event_id, event_ids)


def _of(connection: Connection, column: Column[int], ids: Sequence[int]) -> list[Earlier]:
    # sorted here: for an order by id SQLite would rather go through the whole table
    query = select(*_EARLIER).where(among(column, "ids"))
    return sorted(_earlier(connection.execute(query, {"ids": listed(ids)})), key=lambda one: one.id)


def in_state(
    connection: Connection, state: State, *, after: int, up_to: int, limit: int
) -> list[Earlier]:
    """Outcomes in a state with an id above ``after`` and at most ``up_to``, by id."""
    return _earlier(
        connection.execute(
            select(*_EARLIER)
            .where(outcome.c.state == state.value, outcome.c.id > after, outcome.c.id <= up_to)
            .order_by(outcome.c.id)
            .limit(limit)
        )
    )


def last_id(connection: Connection) -> int:
    """The id of the newest outcome; 0 if there is none."""
    return connection.execute(select(func.max(outcome.c.id))).scalar() or 0


def counts_of_replays(
    connection: Connection, replay_ids: Sequence[int]
) -> dict[int, dict[State, int]]:
    """How many outcomes of each replay stand in each state.

    What is on its way is never much (``BRIDGE_REPLAY_OPEN``) and is counted; the rest is kept
    count of, since a replay may have made millions.
    """
    found: dict[int, dict[State, int]] = {replay_id: {} for replay_id in replay_ids}
    for replay_id, kinds in tally.of_replays(connection, replay_ids).items():
        counted = {State(kind): count for kind, count in kinds.items() if count > 0}
        counted.pop(State.WAITING, None)  # it counts what is in flight as well
        found[replay_id] |= counted
    for row in connection.execute(_OPEN_OF_REPLAYS, {"replays": listed(replay_ids)}):
        found[row.replay_id][State(row.state)] = row.total
    return found


_OPEN_OF_REPLAYS = (
    select(outcome.c.replay_id, outcome.c.state, func.count().label("total"))
    .where(
        REPLAYED,
        among(outcome.c.replay_id, "replays"),
        outcome.c.state.in_([State.WAITING.value, State.IN_FLIGHT.value]),
    )
    .group_by(outcome.c.replay_id, outcome.c.state)
)


def open_of_replay(connection: Connection, replay_id: int) -> int:
    """How many updates of a replay are on their way; standing opt-outs are not among them."""
    rows = connection.execute(
        select(func.count()).where(
            REPLAYED,
            outcome.c.replay_id == replay_id,
            outcome.c.state.in_([State.WAITING.value, State.IN_FLIGHT.value]),
        )
    )
    return int(rows.scalar_one())
