"""Deliveries: each webhook request as it arrived, stored before anything else happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, insert, literal_column, select, update

from bridge import jsontext
from bridge.model import Delivery
from bridge.store import revision, tally
from bridge.store.body_room import fitting
from bridge.store.bulk import Query, among, insert_many, listed
from bridge.store.packing import DAMAGED, size_of_body, unpacked, whole
from bridge.store.schema import STORED, compatibility, delivery, heartbeat
from bridge.store.wakeup import nudge


@dataclass(slots=True)
class NewDelivery:
    """A verified request on its way to disk. ``headers`` and ``query`` hold no credentials.

    ``body``, ``body_size``: as ``packing.packed`` gives them, or as it came and None.
    Nobody changes one after it was made; see "What a lead costs" in ARCHITECTURE.md.
    """

    receipt: str
    source: str
    received_at: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)
    address: str
    scheme: str
    problem: str | None = None
    body_size: int | None = None


_NEW = (
    "receipt",
    "source",
    "received_at",
    "method",
    "path",
    "query",
    "headers",
    "body",
    "address",
    "scheme",
    "state",
    "problem",
    "body_size",
)
_ADD = insert_many(delivery, _NEW)
_PUT = insert_many(
    delivery,
    _NEW,
    # What is there already is written again as it is: a transaction that writes nothing waits
    # neither for the disk nor for a standby, and what the first one wrote may be on no other yet.
    on_conflict=lambda new: new.on_conflict_do_update(
        index_elements=[delivery.c.receipt], set_={"receipt": delivery.c.receipt}
    ),
    returning=(delivery.c.id,),
    within=lambda adding: select(nudge()).add_cte(adding.cte("added")),
)


def add(connection: Connection, rows: Sequence[NewDelivery]) -> None:
    """Store deliveries, in their order."""
    _ADD.execute(connection, _values(rows))


def put(connection: Connection, rows: Sequence[NewDelivery]) -> None:
    """Store deliveries, in their order; on PostgreSQL whoever listens is nudged as well.

    There it is one statement, and a second time it changes nothing; see ``Database.put``.
    """
    statement = _ADD if connection.dialect.name == "sqlite" else _PUT
    statement.execute(connection, _values(rows))


def _values(rows: Sequence[NewDelivery]) -> list[tuple[Any, ...]]:
    return [
        (
            row.receipt,
            row.source,
            row.received_at,
            row.method,
            row.path,
            jsontext.dumps(row.query),
            jsontext.dumps(row.headers),
            row.body,
            row.address,
            row.scheme,
            "stored",
            row.problem,
            row.body_size,
        )
        for row in rows
    ]


_COLUMNS = (  # in the order of a Delivery
    delivery.c.id,
    delivery.c.receipt,
    delivery.c.source,
    delivery.c.received_at,
    delivery.c.method,
    delivery.c.query,
    delivery.c.headers,
    delivery.c.body,
    delivery.c.scheme,
    delivery.c.body_size,
)

_NEXT = Query(
    select(delivery.c.id, size_of_body())
    # the concatenation keeps SQLite from going through all deliveries of a source
    .where(STORED, among(delivery.c.source + literal_column("''"), "sources"))
    .order_by(delivery.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)

_BY_IDS = Query(select(*_COLUMNS).where(among(delivery.c.id, "ids")))


def next_stored(
    connection: Connection,
    sources: Iterable[str],
    limit: int,
    most_bytes: int = 32_000_000,
    *,
    besides: Collection[int] = (),
) -> list[Delivery]:
    """Deliveries of these sources that nobody has worked on, oldest first.

    As many as fit into ``limit`` and, but for the first, into ``most_bytes`` of bodies.
    ``besides``: ids that are left out. On PostgreSQL they stay locked to this transaction, and
    those that another one holds are passed over.
    """
    most = limit + len(besides)
    rows = _NEXT.all(connection, sources=listed(sorted(sources)), limit=most)
    others = islice((row for row in rows if row[0] not in besides), limit)
    ids = [number for number, _ in fitting(others, itemgetter(1), most_bytes)]
    found = by_ids(connection, ids) if ids else {}
    return [found[number] for number in ids]


_WAITING = (
    select(delivery.c.id, delivery.c.source, size_of_body())
    .where(STORED, delivery.c.id > bindparam("above"), delivery.c.id < bindparam("below"))
    .limit(bindparam("limit"))
)
_OLDEST_FIRST = Query(_WAITING.order_by(delivery.c.id))
_NEWEST_FIRST = Query(_WAITING.order_by(delivery.c.id.desc()))


@dataclass(frozen=True, slots=True)
class Span:
    """Deliveries with ids above one and below another, looked at from either end."""

    above: int
    below: int
    newest_first: bool = False


def waiting(
    connection: Connection, sources: Container[str], span: Span, limit: int, most_bytes: int
) -> tuple[list[int], list[int]]:
    """The ids of deliveries of a span that nobody has worked on; none is locked.

    Returns those of these sources, and all that were looked at: ``limit`` at most, with no more
    bytes of bodies than given, but at least one.
    """
    order = _NEWEST_FIRST if span.newest_first else _OLDEST_FIRST
    looked_at: list[int] = []
    ids: list[int] = []
    size = 0
    rows = order.all(connection, above=span.above, below=span.below, limit=limit)
    for number, source, length in rows:
        if source in sources:
            size += length
            if ids and size > most_bytes:
                break
            ids.append(number)
        looked_at.append(number)
    return ids, looked_at


_BODIES = Query(
    select(delivery.c.id, delivery.c.source, delivery.c.body, delivery.c.body_size).where(
        among(delivery.c.id, "ids")
    )
)


def bodies(connection: Connection, ids: Iterable[int]) -> list[tuple[int, str, bytes]]:
    """What deliveries hold: (id, source, body)."""
    rows = _BODIES.all(connection, ids=listed(ids))
    return [(number, source, unpacked(body, size)) for number, source, body, size in rows]


def newest(connection: Connection) -> int:
    """The highest id there is; 0 without any delivery."""
    return connection.execute(select(func.max(delivery.c.id))).scalar() or 0


_STILL = Query(
    select(delivery.c.id, size_of_body())
    .where(STORED, among(delivery.c.id, "ids"))
    .order_by(delivery.c.id)
    .with_for_update(skip_locked=True)
)


def still_stored(connection: Connection, ids: Iterable[int]) -> list[tuple[int, int]]:
    """Of these deliveries those that nobody has worked on, oldest first, with the bytes of their
    bodies; locked like the next."""
    return [(number, size) for number, size in _STILL.all(connection, ids=listed(sorted(ids)))]


def by_ids(connection: Connection, ids: Iterable[int]) -> dict[int, Delivery]:
    """Deliveries by id."""
    rows = _BY_IDS.all(connection, ids=listed(sorted(set(ids))))
    return {row[0]: _delivery(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Head:
    """A delivery without what it holds. ``taken``: a worker has turned it into events.

    ``size``: the bytes of its body. ``erased``: what it held is gone.
    """

    id: int
    receipt: str
    source: str
    version: str
    taken: bool
    size: int
    erased: bool = False


_HEAD = (
    delivery.c.id,
    delivery.c.receipt,
    delivery.c.source,
    delivery.c.version,
    delivery.c.state,
    size_of_body().label("size"),
    delivery.c.erased_at,
)


def _heads(rows: Iterable[Any]) -> list[Head]:
    return [
        Head(
            r.id,
            r.receipt,
            r.source,
            r.version or "",
            r.state == "done",
            r.size,
            r.erased_at is not None,
        )
        for r in rows
    ]


def between(
    connection: Connection, after: str, before: str, limit: int, *, newest_first: bool = False
) -> list[Head]:
    """Deliveries with receipts above one and below another, in the order of receipts.

    Receipts begin with the time of receipt, so that this is the order of time.
    """
    order = delivery.c.receipt.desc() if newest_first else delivery.c.receipt
    rows = connection.execute(
        select(*_HEAD)
        .where(delivery.c.receipt > after, delivery.c.receipt < before)
        .order_by(order)
        .limit(limit)
    )
    return _heads(rows)


def heads(connection: Connection, ids: Iterable[int]) -> dict[int, Head]:
    """Deliveries by id, without what they hold."""
    rows = connection.execute(select(*_HEAD).where(delivery.c.id.in_(sorted(set(ids)))))
    return {head.id: head for head in _heads(rows)}


def erased(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Of these deliveries, those that hold nothing any more; locks them all."""
    rows = connection.execute(
        select(delivery.c.id, delivery.c.erased_at)
        .where(delivery.c.id.in_(sorted(set(ids))))
        .order_by(delivery.c.id)
        .with_for_update()
    )
    return {row.id for row in rows if row.erased_at is not None}


def by_receipt(connection: Connection, receipt: str) -> Delivery | None:
    """The delivery with this receipt, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(delivery.c.receipt == receipt)).first()
    return None if row is None else _delivery(row)


def _delivery(row: Any) -> Delivery:
    number, receipt, source, received_at, method, query, headers, stored, scheme, size = row
    body = whole(stored, size)
    return Delivery(
        number,
        receipt,
        source,
        received_at,
        method,
        jsontext.loads(query),
        jsontext.loads(headers),
        stored if body is None else body,
        scheme,
        DAMAGED if body is None else None,
    )


def take(connection: Connection, ids: Sequence[int], version_of: dict[int, str]) -> set[int]:
    """Mark deliveries as worked on, and say which of them were still free.

    Compare-and-set: whoever takes a delivery first has it; its events belong into the same
    transaction.
    """
    taken: set[int] = set()
    came: Counter[int] = Counter()
    by_version: dict[str, list[int]] = {}
    for number in ids:
        by_version.setdefault(version_of.get(number, ""), []).append(number)
    for version, numbers in by_version.items():
        for number, received_at in _TAKE.all(
            connection, ids=listed(numbers), the_version=version, known=revision.newest()
        ):
            taken.add(number)
            came[received_at // tally.MINUTE * tally.MINUTE] += 1
    for minute, count in came.items():
        tally.note(connection, [("", tally.ACCEPTED, count)], minute, total=False)
    return taken


_TAKE = Query(
    update(delivery)
    .where(
        among(delivery.c.id, "ids"),
        delivery.c.state == "stored",
        # what a newer version stores may be of another kind than this one reads
        exists(
            select(compatibility.c.name).where(
                compatibility.c.name == "schema", compatibility.c.oldest <= bindparam("known")
            )
        ),
    )
    .values(state="done", version=bindparam("the_version"))
    .returning(delivery.c.id, delivery.c.received_at)
)


def listing(
    connection: Connection, *, source: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The newest deliveries, without their bodies."""
    query = select(
        delivery.c.id,
        delivery.c.receipt,
        delivery.c.source,
        delivery.c.received_at,
        delivery.c.method,
        delivery.c.path,
        delivery.c.scheme,
        delivery.c.state,
        delivery.c.problem,
        delivery.c.version,
        size_of_body().label("bytes"),
    ).order_by(delivery.c.id.desc())
    if source is not None:
        query = query.where(delivery.c.source == source)
    if before is not None:
        query = query.where(delivery.c.id < before)
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


def last_version(connection: Connection, source: str) -> str | None:
    """The mapping version that took in the newest delivery of a source; None if none was."""
    return connection.execute(
        select(delivery.c.version)
        .where(delivery.c.source == source, delivery.c.version.is_not(None))
        .order_by(delivery.c.id.desc())
        .limit(1)
    ).scalar()


def last_by_source(connection: Connection, sources: Iterable[str]) -> dict[str, int]:
    """When each source was last heard of."""
    found: dict[str, int] = {}
    for name in sources:
        when = connection.execute(
            select(delivery.c.received_at)
            .where(delivery.c.source == name)
            .order_by(delivery.c.id.desc())
            .limit(1)
        ).scalar()
        if when is not None:
            found[name] = when
    return found


def prove_writable(connection: Connection, name: str, now: int) -> None:
    """Write one small row, which shows that the database takes a write."""
    changed = connection.execute(update(heartbeat).where(heartbeat.c.name == name).values(at=now))
    if changed.rowcount == 0:
        connection.execute(insert(heartbeat).values(name=name, at=now))
