"""What an export is made of: deliveries with their events and outcomes, read part by part.

A part is a few deliveries and all that belongs to them, bounded in rows and bytes, so that neither
memory nor a transaction grows with what is exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from bridge import jsontext
from bridge.store import digest
from bridge.store.bulk import among, listed
from bridge.store.packing import DAMAGED, size_of_body, whole
from bridge.store.pages import LAST_CALL
from bridge.store.schema import (
    batch,
    clue,
    delivery,
    event,
    lead,
    mapping_version,
    operator_action,
    outcome,
    refusal,
    replay,
)

AT_A_TIME = 5_000
"""Ids that one query gathers."""


@dataclass(frozen=True, slots=True)
class Head:
    """A delivery to be read: ``size`` of its body in bytes."""

    id: int
    receipt: str
    source: str
    size: int


@dataclass(frozen=True, slots=True)
class Only:
    """Which outcomes of a delivery are meant; nothing set: all.

    ``phones`` as outcomes have them, ``events`` by id: outcomes of any of both. ``campaign``:
    those of this one, and of events that led to no lead update.
    """

    phones: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    campaign: str | None = None

    @property
    def some(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.phones or self.events or self.campaign)

    def condition(self) -> list[ColumnElement[bool]]:
        """As a condition on outcomes."""
        found: list[ColumnElement[bool]] = []
        if self.phones or self.events:
            found.append(or_(outcome.c.phone.in_(self.phones), outcome.c.event_id.in_(self.events)))
        if self.campaign:
            found.append(outcome.c.campaign.in_((self.campaign, "")))
        return found


# --------------------------------------------------------------------------- which deliveries

_HEAD = (
    delivery.c.id,
    delivery.c.receipt,
    delivery.c.source,
    size_of_body().label("size"),
)


def heads_between(connection: Connection, after: str, before: str, limit: int) -> list[Head]:
    """Deliveries with receipts above one and below another, in the order of receipts.

    Receipts begin with the time of receipt, so that this is the order of time.
    """
    rows = connection.execute(
        select(*_HEAD)
        .where(delivery.c.receipt > after, delivery.c.receipt < before)
        .order_by(delivery.c.receipt)
        .limit(limit)
    )
    return [Head(*row) for row in rows]


def heads(connection: Connection, ids: Sequence[int]) -> list[Head]:
    """Deliveries by id, in the order of receipts; those that are gone are left out."""
    rows = connection.execute(
        select(*_HEAD).where(among(delivery.c.id, "ids")).order_by(delivery.c.receipt),
        {"ids": listed(ids)},
    )
    return [Head(*row) for row in rows]


def count_between(connection: Connection, after: str, before: str, most: int) -> int:
    """How many deliveries there are between two receipts; counts no further than ``most`` + 1."""
    inner = (
        select(delivery.c.receipt)
        .where(delivery.c.receipt > after, delivery.c.receipt < before)
        .limit(most + 1)
        .subquery()
    )
    return int(connection.scalar(select(func.count()).select_from(inner)) or 0)


def written(connection: Connection, phones: Iterable[str]) -> tuple[str, ...]:
    """Numbers in E.164 as outcomes have them: as they are, and as hashes where they were erased."""
    hashes = digest.load(connection)
    return tuple(form for phone in phones for form in (phone, hashes.of(phone)))


def deliveries_of(
    connection: Connection, phone: str, after: int, limit: int = AT_A_TIME
) -> list[tuple[int, int]]:
    """Outcomes of a number as it is written, by id above ``after``: (outcome, delivery)."""
    rows = connection.execute(
        select(outcome.c.id, outcome.c.delivery_id)
        .where(outcome.c.phone == phone, outcome.c.id > after)
        .order_by(outcome.c.id)
        .limit(limit)
    )
    return [(row.id, row.delivery_id) for row in rows]


def events_of(
    connection: Connection, clue_digest: str, after: int, limit: int = AT_A_TIME
) -> list[tuple[int, int | None]]:
    """Events that a clue leads to, by id above ``after``: (event, delivery); None: it is gone."""
    rows = connection.execute(
        select(clue.c.event_id, event.c.delivery_id)
        .outerjoin(event, event.c.id == clue.c.event_id)
        .where(clue.c.digest == clue_digest, clue.c.phone == "", clue.c.event_id > after)
        .order_by(clue.c.event_id)
        .limit(limit)
    )
    return [(row.event_id, row.delivery_id) for row in rows]


def rows_of(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """How many events and outcomes belong to each delivery; those without any are left out."""
    found: dict[int, int] = {}
    for column in (event.c.delivery_id, outcome.c.delivery_id):
        query = select(column, func.count()).where(among(column, "ids")).group_by(column)
        for number, count in connection.execute(query, {"ids": listed(ids)}):
            found[number] = found.get(number, 0) + count
    return found


# --------------------------------------------------------------------------- what belongs to them


def deliveries(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Whole deliveries, in the order of receipts; body None, and a problem, where it is damaged."""
    rows = connection.execute(
        select(delivery).where(among(delivery.c.id, "ids")).order_by(delivery.c.receipt),
        {"ids": listed(ids)},
    )
    found: list[dict[str, Any]] = []
    for row in rows:
        body = whole(row.body, row.body_size)
        found.append(
            {
                **row._mapping,
                "headers": jsontext.loads(row.headers),
                "query": jsontext.loads(row.query),
                "body": body,
                "problem": DAMAGED if body is None and row.erased_at is None else row.problem,
            }
        )
    return found


def events(connection: Connection, ids: Sequence[int], only: Only) -> list[dict[str, Any]]:
    """The events of some deliveries: all, or those that have an outcome which is meant."""
    query = select(event).where(among(event.c.delivery_id, "ids"))
    if only.some:
        meant = exists().where(and_(outcome.c.event_id == event.c.id, *only.condition()))
        query = query.where(or_(meant, event.c.id.in_(only.events)))
    query = query.order_by(event.c.delivery_id, event.c.ordinal)
    return [dict(row._mapping) for row in connection.execute(query, {"ids": listed(ids)})]


_OUTCOME: Select[Any] = (
    select(
        outcome,
        *LAST_CALL,
        lead.c.opted_out.label("lead_opted_out"),
        lead.c.lane.label("lead_lane"),
        lead.c.due_at.label("lead_due_at"),
    )
    .outerjoin(batch, batch.c.id == outcome.c.batch_id)
    .outerjoin(lead, lead.c.id == outcome.c.lead_id)
)


def outcomes(
    connection: Connection, ids: Sequence[int], only: Only, *, after: int, limit: int
) -> list[dict[str, Any]]:
    """Outcomes of some deliveries by id above ``after``, each with its last call and its lead."""
    query = (
        _OUTCOME.where(among(outcome.c.delivery_id, "ids"), outcome.c.id > after, *only.condition())
        .order_by(outcome.c.id)
        .limit(limit)
    )
    return [
        {
            **row._mapping,
            "fields": jsontext.loads(row.fields),
            "rules": jsontext.loads(row.rules),
        }
        for row in connection.execute(query, {"ids": listed(ids)})
    ]


def mappings(connection: Connection, versions: Sequence[str]) -> list[dict[str, Any]]:
    """The texts behind mapping versions, as far as they are kept."""
    rows = connection.execute(
        select(mapping_version)
        .where(mapping_version.c.version.in_(versions))
        .order_by(mapping_version.c.version)
    )
    return [{**row._mapping, "routing": jsontext.loads(row.routing)} for row in rows]


# --------------------------------------------------------------------------- beside them


def refusals(
    connection: Connection, since: int, until: int, after: int, limit: int
) -> list[dict[str, Any]]:
    """Requests refused in a time that are kept still, by id above ``after``."""
    columns = [column for column in refusal.c if column.name not in ("network", "headers")]
    rows = connection.execute(
        select(*columns)
        .where(refusal.c.received_at >= since, refusal.c.received_at < until, refusal.c.id > after)
        .order_by(refusal.c.id)
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def replays(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Replays by id."""
    columns = (
        replay.c.id,
        replay.c.created_at,
        replay.c.ended_at,
        replay.c.state,
        replay.c.selection,
        replay.c.mapping,
        replay.c.marks,
    )
    rows = connection.execute(
        select(*columns).where(among(replay.c.id, "ids")).order_by(replay.c.id),
        {"ids": listed(ids)},
    )
    return [{**row._mapping, "selection": jsontext.loads(row.selection)} for row in rows]


def actions(
    connection: Connection,
    since: int,
    until: int,
    *,
    subjects: Sequence[str] | None,
    after: int,
    limit: int,
) -> list[dict[str, Any]]:
    """What people did by hand in a time, to these or to anything, by id above ``after``."""
    query = (
        select(operator_action)
        .where(
            operator_action.c.at >= since,
            operator_action.c.at < until,
            operator_action.c.id > after,
        )
        .order_by(operator_action.c.id)
        .limit(limit)
    )
    given = {}
    if subjects is not None:
        query = query.where(among(operator_action.c.subject, "subjects"))
        given = {"subjects": listed(subjects)}
    return [
        {**row._mapping, "details": jsontext.loads(row.details)}
        for row in connection.execute(query, given)
    ]
