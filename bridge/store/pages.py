"""Pages of big tables, newest first, each read within a bounded time.

A page goes by an index where a filter has one. Any further filter is applied to a window of the
newest rows behind the cursor: rather than reading ten million rows for fifty that match, a page
says how far it has looked, and the next one goes on from there. So no filter needs an index of its
own, which every write would pay for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, union_all

from bridge import jsontext
from bridge.model import OPEN_STATES
from bridge.store import digest, newest, queues
from bridge.store.packing import DAMAGED, size_of_body, whole
from bridge.store.schema import STORED, batch, delivery, event, lead, outcome, refusal

WINDOW = 10_000
"""Rows that one page looks through for those that match."""

ALL = 2**62
OPT_OUTS = 500
"""Opt-outs of one phone number that are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. ``cursor``: where the next page begins; None at the end.

    ``looked_through``: more may match, and the page ended since it had looked far enough.
    """

    rows: list[dict[str, Any]]
    cursor: int | None = None
    looked_through: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which outcomes; None: whichever. ``phone`` in E.164.

    ``newest``: only such as no replay has overtaken; one outcome of an event for each lead.
    """

    state: str | None = None
    campaign: str | None = None
    source: str | None = None
    receipt: str | None = None
    phone: str | None = None
    newest: bool = False


LAST_CALL = tuple(
    batch.c[name].label(f"batch_{name}")
    for name in ("status", "started_at", "elapsed_ms", "leads", "calls", "trouble", "detail")
)
"""What is shown of the call that carried an outcome last."""

_OUTCOME: Select[Any] = (
    select(
        outcome,
        event.c.ordinal,
        event.c.weak_time,
        event.c.duplicate_of,
        event.c.state.label("event_state"),
        delivery.c.scheme,
        delivery.c.received_at.label("delivered_at"),
        *LAST_CALL,
    )
    .outerjoin(event, event.c.id == outcome.c.event_id)
    .outerjoin(delivery, delivery.c.id == outcome.c.delivery_id)
    .outerjoin(batch, batch.c.id == outcome.c.batch_id)
)


def outcomes(connection: Connection, wanted: Wanted, *, before: int | None, limit: int) -> Page:
    """A page of outcomes, each with its event, delivery and last call."""
    by_index: list[ColumnElement[bool]] = []
    rest: list[str] = []
    forms = () if wanted.phone is None else _written(connection, wanted.phone)
    if wanted.receipt is not None:
        found = connection.scalar(select(delivery.c.id).where(delivery.c.receipt == wanted.receipt))
        by_index.append(outcome.c.delivery_id == (-1 if found is None else found))
    if wanted.state is not None and not by_index and not forms:
        by_index.append(outcome.c.state == wanted.state)
    elif wanted.state is not None:
        rest.append("state")
    rest += [name for name in ("campaign", "source") if getattr(wanted, name) is not None]
    if before is not None:
        by_index.append(outcome.c.id < before)
    if not rest and not wanted.newest:
        ids = list(connection.scalars(_newest(by_index, forms, limit + 1)))
        more, looked = (ids[limit - 1] if len(ids) > limit else None), False
    else:
        window = _newest(by_index, forms, WINDOW).subquery()
        match = [window.c[name] == getattr(wanted, name) for name in rest]
        match += [newest.counts(window.c)] if wanted.newest else []
        query = select(window.c.id).where(*match).order_by(window.c.id.desc()).limit(limit + 1)
        ids = list(connection.scalars(query))
        if len(ids) > limit:
            more, looked = ids[limit - 1], False
        else:
            last = select(window.c.id).order_by(window.c.id.desc()).offset(WINDOW - 1).limit(1)
            more = connection.scalar(last)
            looked = more is not None
    return Page(outcomes_by_id(connection, ids[:limit]), more, looked)


def _newest(
    conditions: Sequence[ColumnElement[bool]], forms: Sequence[str], most: int
) -> Select[Any]:
    """The newest outcomes like this, id first.

    ``forms``: only of a number that is written in these ways. Each way is read by itself, since
    only then the rows come from the index in their order.
    """
    found = select(*_LOOKED_AT).where(*conditions)
    found = found.order_by(outcome.c.id.desc()).limit(most)
    if not forms:
        return found
    each = [found.where(outcome.c.phone == form).subquery() for form in forms]
    both = union_all(*(select(one) for one in each)).subquery()
    return select(both).order_by(both.c.id.desc()).limit(most)


_LOOKED_AT = tuple(
    outcome.c[name]
    for name in (
        *("id", "state", "campaign", "source", "opts_out"),
        *("event_id", "phone", "replay_id"),
    )
)


def opt_outs(connection: Connection, phone: str, *, all_: bool = False) -> list[dict[str, Any]]:
    """The newest opt-outs of a phone number in E.164, in all campaigns, newest first.

    Among its newest outcomes, so many as a page looks through; ``all_``: among all there are.
    """
    found = _newest([], _written(connection, phone), ALL if all_ else WINDOW).subquery()
    query = select(found.c.id).where(found.c.opts_out).order_by(found.c.id.desc())
    return outcomes_by_id(connection, list(connection.scalars(query.limit(OPT_OUTS))))


def open_opt_outs(connection: Connection, most: int) -> list[dict[str, Any]]:
    """The oldest opt-outs that are not confirmed: up to ``most`` of each state, oldest first."""
    front = queues.open_opt_outs(most)
    query = select(front.c.id).where(front.c.state == bindparam("state"))
    ids: list[int] = []
    for state in OPEN_STATES:
        ids += connection.scalars(query, {"state": state.value})
    return sorted(outcomes_by_id(connection, ids), key=lambda row: row["accepted_at"])


def _written(connection: Connection, phone: str) -> list[str]:
    """A number as outcomes have it: as it is, or its hash where the person was erased."""
    return [phone, digest.load(connection).of(phone)]


def outcomes_by_id(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Outcomes by id, newest first."""
    if not ids:
        return []
    query = _OUTCOME.where(outcome.c.id.in_(ids)).order_by(outcome.c.id.desc())
    return [_unpacked(row) for row in connection.execute(query)]


def outcomes_of_events(connection: Connection, event_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The outcomes of some events, newest first."""
    if not event_ids:
        return []
    query = _OUTCOME.where(outcome.c.event_id.in_(event_ids)).order_by(outcome.c.id.desc())
    return [_unpacked(row) for row in connection.execute(query.limit(WINDOW))]


def _unpacked(row: Any) -> dict[str, Any]:
    values = dict(row._mapping)
    values["fields"] = jsontext.loads(values["fields"])
    values["rules"] = jsontext.loads(values["rules"])
    return values


_DELIVERY = (
    delivery.c.id,
    delivery.c.receipt,
    delivery.c.source,
    delivery.c.received_at,
    delivery.c.method,
    delivery.c.path,
    delivery.c.address,
    delivery.c.scheme,
    delivery.c.state,
    delivery.c.problem,
    delivery.c.version,
    delivery.c.erased_at,
    size_of_body().label("bytes"),
)


def deliveries(
    connection: Connection,
    *,
    source: str | None,
    waiting: bool,
    before: int | None,
    limit: int,
) -> Page:
    """A page of deliveries, without bodies. ``waiting``: only those nobody has worked on."""
    query = select(*_DELIVERY).order_by(delivery.c.id.desc())
    looked: list[ColumnElement[bool]] = [] if before is None else [delivery.c.id < before]
    if source is not None and waiting:
        # what waits is few or new; a window of it is looked through for the source
        inner = select(delivery.c.id, delivery.c.source).where(STORED, *looked)
        window = inner.order_by(delivery.c.id.desc()).limit(WINDOW).subquery()
        query = query.where(
            delivery.c.id.in_(select(window.c.id).where(window.c.source == source)), *looked
        )
    else:
        looked += [delivery.c.source == source] if source is not None else []
        query = query.where(STORED, *looked) if waiting else query.where(*looked)
    return _page(connection, query, limit)


def delivery_by_receipt(connection: Connection, receipt: str) -> dict[str, Any] | None:
    """One delivery with its headers, query and raw body.

    ``damaged``: why the body is not what came, but what the disk has made of it; None: it is.
    """
    d = delivery.c
    columns = (*_DELIVERY, d.headers, d.query, d.body, d.body_size)
    row = connection.execute(select(*columns).where(delivery.c.receipt == receipt)).first()
    if row is None:
        return None
    values = dict(row._mapping)
    values["headers"] = jsontext.loads(values["headers"])
    values["query"] = jsontext.loads(values["query"])
    body = whole(values["body"], values.pop("body_size"))
    values["damaged"] = DAMAGED if body is None and row.erased_at is None else None
    return values if body is None else {**values, "body": body}


def events_of_delivery(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    """The events of one delivery, in its order."""
    query = select(event).where(event.c.delivery_id == delivery_id).order_by(event.c.ordinal)
    return [dict(row._mapping) for row in connection.execute(query)]


def events_by_id(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Events by id, each with its delivery, newest first; those that are gone are left out."""
    if not ids:
        return []
    query = (
        select(event, delivery.c.receipt, delivery.c.received_at, delivery.c.scheme)
        .join(delivery, delivery.c.id == event.c.delivery_id)
        .where(event.c.id.in_(ids))
        .order_by(event.c.id.desc())
    )
    return [dict(row._mapping) for row in connection.execute(query)]


_REFUSAL = (
    refusal.c.id,
    refusal.c.receipt,
    refusal.c.source,
    refusal.c.received_at,
    refusal.c.address,
    refusal.c.method,
    refusal.c.url,
    refusal.c.reason,
    refusal.c.passed_over,
    func.length(refusal.c.body).label("bytes"),
)


def refusals(connection: Connection, *, source: str | None, before: int | None, limit: int) -> Page:
    """A page of refusals, without bodies; there are never many (BRIDGE_REFUSALS_KEPT)."""
    query = select(*_REFUSAL).order_by(refusal.c.id.desc())
    if source is not None:
        query = query.where(refusal.c.source == source)
    if before is not None:
        query = query.where(refusal.c.id < before)
    return _page(connection, query, limit)


def refusal_by_receipt(connection: Connection, receipt: str) -> dict[str, Any] | None:
    """One refusal with its headers and raw body."""
    columns = (*_REFUSAL, refusal.c.headers, refusal.c.body)
    row = connection.execute(select(*columns).where(refusal.c.receipt == receipt)).first()
    if row is None:
        return None
    return {**row._mapping, "headers": jsontext.loads(row.headers)}


def refusals_since(connection: Connection, since: int) -> dict[str, tuple[int, int]]:
    """By source: how many refusals of this time on are kept, and when the last one came."""
    rows = connection.execute(
        select(refusal.c.source, func.count(), func.max(refusal.c.received_at))
        .where(refusal.c.received_at >= since)
        .group_by(refusal.c.source)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def leads_of(connection: Connection, phones: Sequence[str]) -> list[dict[str, Any]]:
    """How some numbers stand in each campaign."""
    if not phones:
        return []
    query = select(lead).where(lead.c.phone.in_(phones)).order_by(lead.c.phone, lead.c.campaign)
    rows = [dict(row._mapping) for row in connection.execute(query.limit(WINDOW))]
    return [{**row, "ledger": jsontext.loads(row["ledger"])} for row in rows]


def lead_by_id(connection: Connection, id_: int) -> dict[str, Any] | None:
    """One lead."""
    row = connection.execute(select(lead).where(lead.c.id == id_)).first()
    return None if row is None else {**row._mapping, "ledger": jsontext.loads(row.ledger)}


def _page(connection: Connection, query: Select[Any], limit: int) -> Page:
    rows = [dict(row._mapping) for row in connection.execute(query.limit(limit + 1))]
    return Page(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)
