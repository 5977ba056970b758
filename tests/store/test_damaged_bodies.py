"""A packed body that the disk has damaged stops nobody, and nothing is told of it as if true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner
from sqlalchemy import select, text

from bridge.commands.deliveries import command
from bridge.commands.mapping_payload import delivery_of
from bridge.enrich import Lookups
from bridge.map.search import search
from bridge.operate.audit import Audit
from bridge.operate.export.records import delivery as record_of
from bridge.store import deliveries, digest, erasing, evidence, pages
from bridge.store.audit import bodies
from bridge.store.database import Database
from bridge.store.packing import DAMAGED, packed
from bridge.store.schema import delivery

from .replaying import HEAD, LOOK_UP, RULES, World
from .rows import NOW, cell

FORM = HEAD.replace("receive:\n", "receive:\n  decode: form\n")
"""Of a form less has to be whole: a page of zeros is a name without a value."""

BIG = json.dumps(
    [{"id": n, "phone": f"+1415555{n:04d}", "dnc": True, "at": NOW} for n in range(100)]
).encode()
CONTENT, SIZE = packed(BIG)

BROKEN: dict[str, tuple[bytes, int]] = {
    "a bit": (CONTENT[:60] + bytes([CONTENT[60] ^ 1]) + CONTENT[61:], len(BIG)),
    "cut short": (CONTENT[:-1], len(BIG)),
    "zeros": (bytes(len(CONTENT)), len(BIG)),
    "a size below nothing": (CONTENT, -1),
    "another size": (CONTENT, len(BIG) - 1),
    "a size that no memory holds": (CONTENT, 2**31 - 1),
}


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def spoil(world: World, receipt: str, case: str) -> None:
    body, size = BROKEN[case]
    with world.database.write() as connection:
        connection.execute(
            text("UPDATE delivery SET body = :body, body_size = :size WHERE receipt = :receipt"),
            {"body": body, "size": size, "receipt": receipt},
        )


def spoilt(world: World, case: str) -> str:
    """A delivery that waits, damaged on the disk; returns its receipt."""
    receipt = world.receive(BIG)
    spoil(world, receipt, case)
    return receipt


def row_of(world: World, receipt: str) -> int:
    with world.database.read() as connection:
        query = select(delivery.c.id).where(delivery.c.receipt == receipt)
        return int(connection.scalar(query) or 0)


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("mapping", [HEAD + RULES, FORM + RULES], ids=["json", "form"])
def test_it_ends_as_a_dead_letter_that_says_so_and_holds_up_nobody(
    world: World, mapping: str, case: str
) -> None:
    world.write(mapping)
    receipt = spoilt(world, case)
    behind = world.receive(
        {"id": 1, "phone": "+14155550101", "dnc": True, "at": NOW}, source="other"
    )
    while world.worker().take_in():
        pass
    [row] = world.outcomes(receipt=receipt)
    assert (row["state"], row["message"]) == ("dead", DAMAGED)
    assert {row["state"] for row in world.outcomes(receipt=behind)} == {"waiting"}
    world.replay(receipt=receipt)
    rows = world.outcomes(receipt=receipt)
    assert [(one["state"], one["message"]) for one in rows] == [("dead", DAMAGED)] * 2


@pytest.mark.parametrize("case", BROKEN)
def test_nothing_of_it_is_evidence_neither_told_nor_left(world: World, case: str) -> None:
    receipt = spoilt(world, case)
    number = row_of(world, receipt)
    with world.database.write() as connection:
        deliveries.take(connection, [number], {})
        [row] = evidence.deliveries(connection, [number])
        page = pages.delivery_by_receipt(connection, receipt)
    record = record_of(row, bodies=True)
    parts = ("bytes", "body_sha256", "body", "body_base64")
    assert [record[name] for name in parts] == [None] * 4
    assert record["problem"] == DAMAGED
    assert page is not None
    assert (page["body"], page["damaged"]) == (BROKEN[case][0], DAMAGED)
    with world.database.write() as connection:
        assert erasing.bodies(connection, digest.load(connection), [number], NOW) == [number]
    assert cell(world.database, "body_hash", "delivery", number) is None
    assert cell(world.database, "body", "delivery", number) == b""


def test_who_asks_for_the_body_by_hand_is_told(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    receipt = spoilt(world, "cut short")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    done = CliRunner().invoke(command, ["--body", receipt])
    assert done.exit_code == 1
    assert done.stdout_bytes == CONTENT[:-1]
    assert DAMAGED in done.stderr
    with world.database.read() as connection, pytest.raises(ClickException, match="is damaged"):
        delivery_of("crm", receipt, connection)


def test_what_is_whole_says_nothing_of_damage(world: World) -> None:
    values: dict[str, Any] = {"body": CONTENT, "body_size": SIZE}
    receipt = world.receive(BIG)
    with world.database.write() as connection:
        connection.execute(delivery.update().values(values))
        found = deliveries.by_receipt(connection, receipt)
        page = pages.delivery_by_receipt(connection, receipt)
    assert found is not None
    assert page is not None
    assert (found.body, found.damaged) == (page["body"], page["damaged"]) == (BIG, None)


def test_what_a_worker_of_the_version_before_erased_is_not_called_damaged(world: World) -> None:
    receipt = world.receive(BIG)
    values = {"body": b"", "body_size": SIZE, "erased_at": NOW}  # it knows no size
    with world.database.write() as connection:
        connection.execute(delivery.update().values(values))
        [row] = evidence.deliveries(connection, [row_of(world, receipt)])
        page = pages.delivery_by_receipt(connection, receipt)
    assert record_of(row, bodies=True)["problem"] is None
    assert page is not None
    assert page["damaged"] is None


def test_what_was_damaged_while_a_look_up_was_waited_for_ends_and_says_so(world: World) -> None:
    world.write(HEAD + LOOK_UP + RULES)
    about = {"phone": "+14155550101", "dnc": True, "at": NOW, "contact": "7"}
    receipt = world.receive([{"id": n, **about} for n in range(3)])
    while world.worker().take_in():
        pass
    assert world.outcomes(receipt=receipt) == []
    spoil(world, receipt, "a size below nothing")
    lookups = Lookups(world.mappings.mappings["crm"].lookups, search, wait=lambda _seconds: True)
    try:
        while world.worker().look_up("crm", lookups):
            pass
    finally:
        lookups.close()
    rows = world.outcomes(receipt=receipt)
    assert [(row["state"], row["message"]) for row in rows] == [("dead", DAMAGED)] * 3


@pytest.mark.parametrize("room", [1, 10_000_000])
def test_a_full_audit_names_what_is_damaged_however_long_ago_it_came(
    world: World, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The hourly one does not read bodies. What is erased is gone, and not damaged."""
    monkeypatch.setattr(bodies, "MOST_BYTES", room)
    world.write(HEAD + RULES)
    receipts = [world.receive(BIG.replace(b'"id": ', b'"id": 9%d' % n)) for n in range(4)]
    world.receive({"id": 1, "phone": "+14155550101", "dnc": True, "at": NOW})
    at_once = row_of(world, spoilt(world, "zeros"))
    while world.worker().take_in():
        pass

    def found(*, full: bool) -> set[tuple[int, str]]:
        report = Audit(world.database, standing_period=10**12, full=full).run()
        return {(breach.id, breach.broken.code) for breach in report.breaches.values()}

    assert found(full=True) == {(at_once, "body-damaged")}
    with world.database.write() as connection:
        erasing.bodies(connection, digest.load(connection), [at_once], NOW)
    assert found(full=True) == set()
    for receipt, case in zip(receipts, ("a bit", "cut short", "another size"), strict=False):
        spoil(world, receipt, case)
    assert found(full=False) == set()
    assert found(full=True) == {(row_of(world, one), "body-damaged") for one in receipts[:3]}
