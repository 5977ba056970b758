"""Refusals: requests that did not pass verification, kept within bounds for a second look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select

from bridge import jsontext
from bridge.store.schema import refusal


@dataclass(frozen=True, slots=True)
class NewRefusal:
    """A refused request. ``headers`` keep signatures, never plain credentials."""

    receipt: str
    source: str
    received_at: int
    address: str
    reason: str
    method: str
    url: str
    headers: dict[str, list[str]]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: rows in all, rows from one address, bytes in all."""

    rows: int
    per_address: int
    total_bytes: int


def add(connection: Connection, rows: Sequence[NewRefusal], bounds: Bounds) -> int:
    """Keep refused requests as far as the bounds allow; returns how many were kept."""
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(refusal.c.size), 0))
    ).one()
    by_address = {
        row[0]: row[1]
        for row in connection.execute(
            select(refusal.c.address, func.count())
            .where(refusal.c.address.in_({row.address for row in rows}))
            .group_by(refusal.c.address)
        )
    }
    kept = []
    for row in rows:
        cost = len(row.body) + 500
        if (
            count >= bounds.rows
            or size + cost > bounds.total_bytes
            or by_address.get(row.address, 0) >= bounds.per_address
        ):
            continue
        count, size = count + 1, size + cost
        by_address[row.address] = by_address.get(row.address, 0) + 1
        kept.append(
            {
                "receipt": row.receipt,
                "source": row.source,
                "received_at": row.received_at,
                "address": row.address,
                "reason": row.reason,
                "method": row.method,
                "url": row.url,
                "headers": jsontext.dumps(row.headers),
                "body": row.body,
                "size": cost,
            }
        )
    if kept:
        connection.execute(insert(refusal), kept)
    return len(kept)


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
    ).order_by(refusal.c.id.desc())
    if source is not None:
        query = query.where(refusal.c.source == source)
    if before is not None:
        query = query.where(refusal.c.id < before)
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]
