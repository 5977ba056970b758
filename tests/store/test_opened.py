"""Connections to SQLite stay open between transactions, but never one with which something went
wrong, and none that was to be opened anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from bridge.errors import StoreBusy, StoreError
from bridge.store.database import Connection, Database
from bridge.store.engines import sqlite_engine
from bridge.store.opened import Opened

from .fresh import prepare


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(found)
    yield found
    found.close()


def driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def used(database: Database, *, write: bool) -> Any:
    """The driver's connection of a transaction."""
    with database.write() if write else database.read() as connection:
        return driver(connection)


def is_open(raw: Any) -> bool:
    try:
        raw.execute("SELECT 1")
    except Exception:  # noqa: BLE001 - the driver's own kind
        return False
    return True


@pytest.mark.parametrize("write", [True, False])
def test_the_next_transaction_has_the_connection_of_the_last(
    database: Database, *, write: bool
) -> None:
    first = used(database, write=write)
    assert used(database, write=write) is first
    assert not first.in_transaction


def test_writing_and_reading_have_connections_of_their_own(database: Database) -> None:
    assert used(database, write=True) is not used(database, write=False)


def test_an_error_leaves_nothing_behind_for_the_next_transaction(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE half (id INTEGER)"))
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(StoreError, match="no such table"):
        fail()
    with database.write() as connection:
        assert driver(connection).in_transaction
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE name = 'half'"))
        assert names.all() == []


def test_as_many_read_at_once_as_there_are_threads(database: Database) -> None:
    together = threading.Barrier(8, timeout=30)
    found: list[object] = []

    def read() -> None:
        with database.read() as connection:
            connection.execute(text("SELECT count(*) FROM lead")).scalar()
            together.wait()
            found.append(driver(connection))
            together.wait()

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(map(id, found))) == 8
    assert any(used(database, write=False) is one for one in found)


@pytest.mark.parametrize("write", [True, False])
def test_after_closing_every_connection_is_a_new_one(database: Database, *, write: bool) -> None:
    idle = used(database, write=write)
    database.close()
    assert not is_open(idle)
    with database.write() if write else database.read() as connection:
        in_use = driver(connection)
        assert in_use is not idle
        database.close()  # as after trouble with the files, which another thread came upon
        assert is_open(in_use)
    assert not is_open(in_use)
    assert used(database, write=write) not in (idle, in_use)


def test_what_is_opened_while_the_others_are_being_closed_is_none_of_them(
    database: Database,
) -> None:
    engine = sqlite_engine(database.url, 5.0, 4, 4_000)
    opened = Opened(engine)
    with opened.one() as first, opened.one() as second:
        before = {driver(first), driver(second)}
    closed: list[object] = []
    meanwhile: list[Any] = []

    def open_one(*_: object) -> None:
        closed.append(None)
        if len(closed) == len(before):
            with opened.one() as connection:
                meanwhile.append(driver(connection))

    event.listen(engine, "checkin", open_one)
    opened.close()
    event.remove(engine, "checkin", open_one)
    with opened.one() as connection:
        meanwhile.append(driver(connection))
    opened.close()
    assert len(meanwhile) > 1
    assert before.isdisjoint(meanwhile)


def test_nobody_goes_on_with_a_file_that_was_replaced(tmp_path: Path, database: Database) -> None:
    stale = {used(database, write=True), used(database, write=False)}
    path = tmp_path / "bridge.db"
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    prepare(other)
    other.close()
    meanwhile: list[Any] = []

    def look() -> None:
        try:
            meanwhile.append(used(database, write=False))
        except StoreBusy as error:
            meanwhile.append(error)

    def look_beside(*_: object) -> None:
        if not meanwhile:
            thread = threading.Thread(target=look)
            thread.start()
            thread.join(30)

    event.listen(database.engine, "checkin", look_beside)
    (tmp_path / "other.db").replace(path)
    with pytest.raises(StoreBusy, match="was replaced"):
        used(database, write=False)
    assert len(meanwhile) == 1
    assert stale.isdisjoint(meanwhile)
