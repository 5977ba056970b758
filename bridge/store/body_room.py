"""How many bodies of deliveries are held in memory at a time: by their bytes, not their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sqlalchemy import Connection, select

from bridge.store.bulk import Query, among, listed
from bridge.store.packing import size_of_body
from bridge.store.schema import delivery

Row = TypeVar("Row")


def fitting(rows: Iterable[Row], size: Callable[[Row], int], most_bytes: int) -> Iterator[Row]:
    """As many rows, from the first, as have room together; the first in any case.

    ``size``: the bytes that a row adds; one that adds none has room wherever the one before it has.
    """
    whole = 0
    for place, row in enumerate(rows):
        more = size(row)
        whole += more
        if place and more and whole > most_bytes:
            return
        yield row


_SIZES = Query(select(delivery.c.id, size_of_body()).where(among(delivery.c.id, "ids")))


def sizes(connection: Connection, ids: Iterable[int]) -> dict[int, int]:
    """The bytes of the bodies of these deliveries, as they came."""
    return dict(_SIZES.all(connection, ids=listed(sorted(set(ids)))))
