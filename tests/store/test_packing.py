"""Large bodies are stored packed, and nobody who reads them notices."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from bridge.errors import SchemaError
from bridge.operate.export.records import delivery as record_of
from bridge.store import deliveries, digest, erasing, evidence, pages, revision
from bridge.store.database import Database
from bridge.store.deliveries import Span
from bridge.store.packing import DAMAGED, LEAST_BYTES, packed, unpacked
from bridge.store.schema import delivery

from .rows import NOW, a_delivery, stored

LARGE = (
    b"[" + b",".join(b'{"objectId": %d, "changeSource": "CRM_UI"}' % n for n in range(500)) + b"]"
)
SMALL = b'{"raw": "\x00\xff bytes"}'
RANDOM = os.urandom(20_000)


def given_as(body: bytes, **changes: Any) -> deliveries.NewDelivery:
    content, size = packed(body)
    return a_delivery(body=content, body_size=size, **changes)


@given(
    st.one_of(
        st.binary(max_size=3 * LEAST_BYTES),
        st.binary(min_size=1, max_size=40).map(
            lambda some: some * (1 + 2 * LEAST_BYTES // len(some))
        ),
    )
)
def test_what_is_packed_comes_out_as_it_was(body: bytes) -> None:
    content, size = packed(body)
    assert unpacked(content, size) == body
    assert len(content) <= len(body)
    assert (size is None) is (content == body)


def test_only_what_becomes_smaller_is_packed() -> None:
    assert packed(SMALL) == (SMALL, None)
    assert packed(RANDOM) == (RANDOM, None)
    assert packed(LARGE[: LEAST_BYTES - 1]) == (LARGE[: LEAST_BYTES - 1], None)
    content, size = packed(LARGE)
    assert size == len(LARGE)
    assert len(content) < len(LARGE) / 5
    assert packed(LARGE[:LEAST_BYTES])[1] == LEAST_BYTES


def test_any_program_that_knows_zlib_can_unpack_it() -> None:
    """docs/operations.md says so to those who have a copy of the database and no bridge."""
    assert zlib.decompress(packed(LARGE)[0]) == LARGE


@pytest.mark.parametrize(("more", "worth"), [(0.09, False), (0.14, True)])
def test_it_has_to_become_smaller_by_a_tenth(more: float, worth: bool) -> None:
    body = RANDOM + bytes(int(more * len(RANDOM)))
    assert (packed(body)[1] is not None) is worth


def test_everybody_reads_the_body_as_it_came(database: Database) -> None:
    bodies = [SMALL, LARGE, RANDOM]
    rows = stored(database, *map(given_as, bodies))
    assert [row.body for row in rows] == bodies
    ids = [row.id for row in rows]
    with database.read() as connection:
        length = select(func.length(delivery.c.body)).where(delivery.c.id == ids[1])
        assert (connection.scalar(length) or 0) in range(1, 5000)
        assert [row.body for row in deliveries.next_stored(connection, ["hubspot"], 9)] == bodies
        assert [row.body for row in deliveries.by_ids(connection, ids).values()] == bodies
        assert sorted(deliveries.bodies(connection, ids)) == [
            (number, "hubspot", body) for number, body in zip(ids, bodies, strict=True)
        ]
        shown = [pages.delivery_by_receipt(connection, row.receipt) for row in rows]
        exported = {row["id"]: row for row in evidence.deliveries(connection, ids)}
    for number, page, body in zip(ids, shown, bodies, strict=True):
        assert page is not None
        assert (page["body"], page["bytes"]) == (body, len(body))
        assert "body_size" not in page
        record = record_of(exported[number], bodies=True)
        assert record["body_sha256"] == sha256(body).hexdigest()
        assert record["bytes"] == len(body)


def test_bounds_on_memory_count_what_comes_out(database: Database) -> None:
    rows = stored(database, *(given_as(LARGE) for _ in range(4)))
    most = 2 * len(LARGE)
    with database.read() as connection:
        assert len(deliveries.next_stored(connection, ["hubspot"], 9, most)) == 2
        ids, _ = deliveries.waiting(connection, {"hubspot"}, Span(0, rows[-1].id + 1), 9, most)
        assert len(ids) == 2
        sizes = [size for _, size in deliveries.still_stored(connection, [row.id for row in rows])]
        assert sizes == [len(LARGE)] * 4
        heads = deliveries.heads(connection, [row.id for row in rows]).values()
        assert [head.size for head in heads] == sizes
        listing = deliveries.listing(connection, source=None, before=None, limit=9)
        assert [row["bytes"] for row in listing] == sizes
        between = evidence.heads_between(connection, "", "~", 9)
        assert [head.size for head in between] == sizes


def test_a_process_that_cannot_unpack_does_not_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision, "newest", lambda: "0011")
    with pytest.raises(SchemaError, match="cannot go on"):
        revision.still_fits(database)


def test_what_is_erased_leaves_the_hash_of_the_body_as_it_came(database: Database) -> None:
    packed_row, plain_row = stored(database, given_as(LARGE), a_delivery(body=LARGE))
    ids = [packed_row.id, plain_row.id]
    with database.write() as connection:
        deliveries.take(connection, ids, {})
        assert erasing.bodies(connection, digest.load(connection), ids, NOW) == ids
    with database.read() as connection:
        hashes = set(connection.scalars(select(delivery.c.body_hash)))
        assert len(hashes) == 1
        assert hashes != {None}
        for number in ids:
            assert deliveries.by_ids(connection, [number])[number].body == b""
        heads = deliveries.heads(connection, ids)
        assert {head.size for head in heads.values()} == {0}


def test_as_much_is_erased_at_once_as_memory_has_to_hold(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "MOST_BYTES", 2 * len(LARGE))
    ids = [row.id for row in stored(database, *(given_as(LARGE) for _ in range(3)))]
    with database.write() as connection:
        deliveries.take(connection, ids, {})
        assert erasing.bodies(connection, digest.load(connection), ids, NOW) == ids[:2]


def test_a_damaged_body_holds_up_nobody_and_is_told_of(database: Database) -> None:
    damaged, whole = stored(database, given_as(LARGE), given_as(LARGE))
    content, _ = packed(LARGE)
    with database.write() as connection:
        broken = content[:40] + b"\x00" + content[41:]
        connection.execute(update(delivery).where(delivery.c.id == damaged.id).values(body=broken))
    with database.read() as connection:
        found = deliveries.next_stored(connection, ["hubspot"], 9)
    assert [row.body for row in found] == [broken, LARGE]
    assert whole.body == LARGE
    assert [row.damaged for row in found] == [DAMAGED, None]


BROKEN: dict[str, tuple[bytes, int]] = {
    "cut short": (packed(LARGE)[0][:-1], len(LARGE)),
    "no bytes": (b"", len(LARGE)),
    "zeros": (bytes(len(packed(LARGE)[0])), len(LARGE)),
    "not packed": (LARGE, len(LARGE)),
    "no size": (packed(LARGE)[0], 0),
    "a size below nothing": (packed(LARGE)[0], -1),
    "a size that is too small": (packed(LARGE)[0], len(LARGE) - 1),
    "a size that is too large": (packed(LARGE)[0], len(LARGE) + 1),
    "a size that no memory holds": (packed(LARGE)[0], 2**31 - 1),
    "a size that no machine has": (packed(LARGE)[0], 2**63 - 1),
}


@pytest.mark.parametrize("case", BROKEN)
def test_whatever_the_disk_made_of_a_body_is_given_as_it_is(case: str) -> None:
    stored_as, size = BROKEN[case]
    assert unpacked(stored_as, size) == stored_as


def test_what_is_damaged_takes_no_more_memory_than_its_size_tells() -> None:
    content = zlib.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        assert unpacked(content, 10_000) == content
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
