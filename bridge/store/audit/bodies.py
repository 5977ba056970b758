"""Bodies of deliveries: what is stored packed can be unpacked, and is as long as it was."""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, select

from bridge.store.body_room import fitting
from bridge.store.packing import whole
from bridge.store.schema import delivery

PAGE = 500
MOST_BYTES = 8_000_000


class LookedAt(NamedTuple):
    """Of how many deliveries the bodies were looked at, the last id, and which are damaged."""

    number: int
    last: int
    damaged: list[int]


def look(connection: Connection, after: int) -> LookedAt:
    """Look at some packed bodies, from the first delivery after an id; ``number`` 0: no more."""
    d = delivery.c
    sizes = connection.execute(
        select(d.id, d.body_size)
        .where(d.id > after, d.body_size.is_not(None))
        .order_by(d.id)
        .limit(PAGE)
    ).all()
    ids = [number for number, _ in fitting(sizes, itemgetter(1), MOST_BYTES)]
    rows = connection.execute(select(d.id, d.body, d.body_size).where(d.id.in_(ids)))
    damaged = [row.id for row in rows if whole(row.body, row.body_size) is None]
    return LookedAt(len(ids), max(ids, default=after), sorted(damaged))
