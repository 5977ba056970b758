"""Refusals: requests that did not pass verification, kept whole and within bounds.

A body is never cut, since it is to be verified again once a wrong secret is corrected. What is
bounded is how many rows and bytes there are, in all and of one network, so that a stranger who
sends and sends neither fills the disk nor pushes out what others sent. ``refusal_room`` decides
which requests are worth a row; this module speaks the SQL.
"""

from __future__ import annotations

import heapq
import ipaddress
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from bridge import jsontext
from bridge.store.schema import refusal

NOT_KEPT = "bridge-dropped"
"""The header under which what is stored of a request says what was not: of a delivery what its
source drops from the body, of a refusal also its credentials by name, and ``BODY``. Whoever sends a
header of this name finds it replaced."""

BODY = "the body"

ROW_BYTES = 300
"""What a row takes beside the texts of the request, in bytes, roughly."""

_WITH_PORT = re.compile(r"\[?([0-9A-Fa-f.:]+?)\]?(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class NewRefusal:
    """A refused request. ``headers`` keep signatures, never plain credentials; see ``NOT_KEPT``.

    ``passed_over``: how many others of the same network were only counted since its last row.
    """

    receipt: str
    source: str
    received_at: int
    address: str
    reason: str
    method: str
    url: str
    headers: dict[str, list[str]]
    body: bytes = field(repr=False)
    passed_over: int = 0

    @property
    def network(self) -> str:
        """Whose share the request counts to."""
        return network_of(self.address)

    @property
    def size(self) -> int:
        """The bytes that a row for this request takes, roughly."""
        headers = sum(len(name) + sum(map(len, values)) for name, values in self.headers.items())
        return ROW_BYTES + len(self.body) + len(self.url) + len(self.reason) + headers


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: rows and bytes in all, and of these rows and bytes of one network."""

    rows: int
    total_bytes: int
    network_rows: int
    network_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """How much there is."""

    rows: int = 0
    bytes: int = 0

    def plus(self, rows: int, size: int) -> Held:
        """So much more; negative numbers are less."""
        return Held(self.rows + rows, self.bytes + size)


def network_of(address: str) -> str:
    """The network that an address belongs to: itself for IPv4, its /64 for IPv6.

    Whoever has one IPv6 address usually has a whole /64. A port behind the address, as some
    proxies write it, does not count; a text that is no address is a network of its own.
    """
    text = address
    if address.startswith("[") or address.count(":") == 1:
        match = _WITH_PORT.fullmatch(address)
        text = match[1] if match else address
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def held(connection: Connection, networks: Iterable[str] | None = None) -> dict[str, Held]:
    """What there is of each network, or of these."""
    columns = (refusal.c.network, func.count(), func.sum(refusal.c.size))
    query = select(*columns).group_by(refusal.c.network)
    if networks is not None:
        query = query.where(refusal.c.network.in_(networks))
    return {network: Held(count, int(size)) for network, count, size in connection.execute(query)}


def add(connection: Connection, rows: Sequence[NewRefusal], bounds: Bounds) -> None:
    """Store refused requests; what is in their way is deleted.

    That is, of a network over its share the oldest of its own, and while there is too much in
    all, the oldest of the network that holds the most bytes then. A little more than needed goes,
    so that not every call has to delete. What comes must fit the bounds by itself.
    """
    coming: dict[str, Held] = defaultdict(Held)
    for row in rows:
        coming[row.network] = coming[row.network].plus(1, row.size)
    _within_shares(connection, coming, bounds)
    _within_all(connection, coming, bounds)
    connection.execute(
        insert(refusal),
        [
            {
                "receipt": row.receipt,
                "source": row.source,
                "received_at": row.received_at,
                "address": row.address,
                "network": row.network,
                "reason": row.reason,
                "method": row.method,
                "url": row.url,
                "headers": jsontext.dumps(row.headers),
                "body": row.body,
                "size": row.size,
                "passed_over": row.passed_over,
            }
            for row in rows
        ],
    )


def expire(connection: Connection, before: int, most: int = 500) -> int:
    """Delete up to ``most`` refusals received before a time; returns how many."""
    old = select(refusal.c.id).where(refusal.c.received_at < before)
    return _delete(connection, connection.scalars(old.limit(most)).all())


def listing(
    connection: Connection, *, source: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The newest refusals, without bodies and headers."""
    query = select(
        refusal.c.id,
        refusal.c.receipt,
        refusal.c.source,
        refusal.c.received_at,
        refusal.c.address,
        refusal.c.method,
        refusal.c.reason,
        func.length(refusal.c.body).label("bytes"),
        refusal.c.passed_over,
    ).order_by(refusal.c.id.desc())
    if source is not None:
        query = query.where(refusal.c.source == source)
    if before is not None:
        query = query.where(refusal.c.id < before)
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """A refused request as it was kept, to be judged again."""

    id: int
    receipt: str
    source: str
    received_at: int
    address: str
    method: str
    url: str
    headers: dict[str, list[str]]
    body: bytes = field(repr=False)


def page(
    connection: Connection,
    *,
    after: int,
    limit: int,
    source: str | None = None,
    receipt: str | None = None,
) -> list[KeptRefusal]:
    """Refusals with an id above ``after``, the oldest first, whole."""
    query = select(
        refusal.c.id,
        refusal.c.receipt,
        refusal.c.source,
        refusal.c.received_at,
        refusal.c.address,
        refusal.c.method,
        refusal.c.url,
        refusal.c.headers,
        refusal.c.body,
    ).where(refusal.c.id > after)
    if source is not None:
        query = query.where(refusal.c.source == source)
    if receipt is not None:
        query = query.where(refusal.c.receipt == receipt)
    return [
        KeptRefusal(**{**row._mapping, "headers": jsontext.loads(row.headers)})
        for row in connection.execute(query.order_by(refusal.c.id).limit(limit))
    ]


def take(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Take refusals away, and say which of them were still there.

    Compare-and-set: who takes one away stores it as a delivery in the same transaction.
    """
    rows = connection.execute(
        delete(refusal).where(refusal.c.id.in_(sorted(ids))).returning(refusal.c.id)
    )
    return {row.id for row in rows}


def by_source(connection: Connection) -> dict[str, int]:
    """How many refusals are kept of each source."""
    rows = connection.execute(select(refusal.c.source, func.count()).group_by(refusal.c.source))
    return {row[0]: row[1] for row in rows}


def oldest_of_the_largest(
    rows: Iterable[tuple[int, str, int]], too_many: int, too_large: int
) -> list[int]:
    """Which rows to delete so that there are ``too_many`` fewer and ``too_large`` bytes less.

    ``rows``: id, network and bytes, the oldest first. Always the oldest of the network that holds
    the most bytes at that point, so that nobody falls below what the largest still has.
    """
    queues: dict[str, deque[tuple[int, int]]] = defaultdict(deque)
    sizes: dict[str, int] = defaultdict(int)
    for id_, network, size in rows:
        queues[network].append((id_, size))
        sizes[network] += size
    heap = [(-size, network) for network, size in sizes.items()]
    heapq.heapify(heap)
    gone: list[int] = []
    while heap and (too_many > 0 or too_large > 0):
        _, network = heapq.heappop(heap)
        id_, size = queues[network].popleft()
        gone.append(id_)
        too_many, too_large = too_many - 1, too_large - size
        sizes[network] -= size
        if queues[network]:
            heapq.heappush(heap, (-sizes[network], network))
    return gone


def _within_shares(connection: Connection, coming: dict[str, Held], bounds: Bounds) -> None:
    gone: list[int] = []
    for network, there in held(connection, coming).items():
        then = there.plus(coming[network].rows, coming[network].bytes)
        too_many, too_large = then.rows - bounds.network_rows, then.bytes - bounds.network_bytes
        if too_many > 0 or too_large > 0:
            rows = _rows(connection, refusal.c.network == network)
            gone += oldest_of_the_largest(rows, too_many, too_large)
    _delete(connection, gone)


def _within_all(connection: Connection, coming: dict[str, Held], bounds: Bounds) -> None:
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(refusal.c.size), 0))
    ).one()
    count += sum(some.rows for some in coming.values())
    size = int(size) + sum(some.bytes for some in coming.values())
    too_many, too_large = count - bounds.rows, size - bounds.total_bytes
    if too_many <= 0 and too_large <= 0:
        return
    if too_many > 0:
        too_many += bounds.rows // 16
    if too_large > 0:
        too_large += bounds.total_bytes // 16
    _delete(connection, oldest_of_the_largest(_rows(connection), too_many, too_large))


def _rows(connection: Connection, *where: ColumnElement[bool]) -> Iterator[tuple[int, str, int]]:
    query = select(refusal.c.id, refusal.c.network, refusal.c.size).where(*where)
    for row in connection.execute(query.order_by(refusal.c.id)):
        yield row.id, row.network, row.size


def _delete(connection: Connection, ids: Sequence[int]) -> int:
    """Delete these; rows that another process is deleting just now are left to it."""
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        mine = select(refusal.c.id).where(refusal.c.id.in_(some))
        locked = connection.scalars(mine.with_for_update(skip_locked=True)).all()
        connection.execute(delete(refusal).where(refusal.c.id.in_(locked)))
    return len(ids)
