"""Durability settings, waiting for the lock, and errors that hold no secret."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.errors import SettingError, StoreBusy, StoreError
from bridge.store import deliveries, queues
from bridge.store.database import Database
from bridge.store.queues import Depth

from .fresh import prepare
from .postgres import Postgres
from .rows import NOW, a_delivery, stored

PASSWORD = "correct-horse-battery"


def test_every_sqlite_connection_writes_through_to_disk(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").touch()
    database = Database(f"sqlite:///{tmp_path / 'bridge.db'}", pool_size=3)
    seen = set()
    with ExitStack() as open_ones:
        for _ in range(6):
            connection = open_ones.enter_context(database.read())
            seen.add(id(connection.connection.driver_connection))
            pragmas = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "busy_timeout")
            ]
            assert pragmas[:2] == ["wal", 2]
            assert isinstance(pragmas[2], int)
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert len(seen) == 6, "each of these was a connection of its own"
    database.close()


def test_postgres_waits_for_the_disk_at_every_commit(
    postgres: Postgres, postgres_template: str
) -> None:
    name = postgres.create(postgres_template)
    database = Database(postgres.url(name))
    with database.write() as connection:
        for setting in ("synchronous_commit", "fsync", "full_page_writes"):
            assert connection.exec_driver_sql(f"SHOW {setting}").scalar() == "on"
    database.close()
    postgres.drop(name)


def test_what_was_committed_is_seen_by_another_process(
    database: Database, opened: Callable[..., Database]
) -> None:
    (row,) = stored(database, a_delivery())
    with opened().read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) == row


def test_an_error_in_a_write_undoes_it(database: Database) -> None:
    row = a_delivery()
    with suppress(ZeroDivisionError), database.write() as connection:
        deliveries.add(connection, [row])
        assert 1 / 0
    with database.read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is None


def test_what_a_reader_sees_does_not_change_under_it(
    database: Database, opened: Callable[..., Database]
) -> None:
    other = opened()
    with other.read() as connection:
        assert queues.deliveries_by_source(connection) == {}
        stored(database, a_delivery())
        assert queues.deliveries_by_source(connection) == {}
    with other.read() as connection:
        assert queues.deliveries_by_source(connection) == {"hubspot": Depth(1, NOW)}


def test_a_writer_that_waits_too_long_for_the_lock_is_told_that_it_is_busy(
    database: Database, opened: Callable[..., Database]
) -> None:
    with database.write() as connection:
        deliveries.prove_writable(connection, "web", 1)
    impatient = opened(busy_timeout_s=0.2)
    with database.write() as connection:
        deliveries.prove_writable(connection, "web", 2)
        with pytest.raises(StoreBusy), impatient.write() as second:
            deliveries.prove_writable(second, "web", 3)
    with impatient.write() as connection:
        deliveries.prove_writable(connection, "web", 4)


def test_a_lock_of_a_foreign_sqlite_process_makes_it_busy(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    path.touch()
    database = Database(f"sqlite:///{path}", busy_timeout_s=0.1)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked"), database.write():
        pass
    foreign.execute("ROLLBACK")
    foreign.close()
    with database.write():
        pass
    database.close()


def test_writers_of_one_process_take_turns(database: Database) -> None:
    def count_up() -> None:
        for _ in range(20):
            with database.write() as connection:
                connection.exec_driver_sql("UPDATE heartbeat SET at = at + 1")

    with database.write() as connection:
        deliveries.prove_writable(connection, "web", 0)
    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT at FROM heartbeat").scalar() == 80


def test_who_gives_way_is_patient_with_the_other_writes_of_its_process(tmp_path: Path) -> None:
    """Else what an opt-out's call came to is lost for the rests of those that go before it."""
    prepare(Database(f"sqlite:///{tmp_path / 'bridge.db'}"))
    failed = {share: one_waits_for_another(tmp_path / "bridge.db", share) for share in (0.01, 1.0)}
    assert failed == {0.01: None, 1.0: "another write of this process took too long"}


def one_waits_for_another(path: Path, share: float) -> str | None:
    """What a write says that waits longer than the lock's time-out for another of its process."""
    database = Database(f"sqlite:///{path}", busy_timeout_s=0.1, share=share)
    told: list[str | None] = []

    def write() -> None:
        try:
            with database.write() as connection:
                deliveries.prove_writable(connection, "worker", 1)
            told.append(None)
        except StoreBusy as error:
            told.append(str(error))

    waiting = threading.Thread(target=write)
    with database.write():
        waiting.start()
        waiting.join(0.5)
    waiting.join(60)
    database.close()
    return told[0]


def test_a_missing_table_is_an_error_that_does_not_pass(empty_url: str) -> None:
    database = Database(empty_url)
    if database.path is not None:
        database.path.touch()
    with pytest.raises(StoreError) as caught, database.write() as connection:
        deliveries.add(connection, [a_delivery()])
    assert not isinstance(caught.value, StoreBusy)
    database.close()


def test_a_row_twice_is_an_error_without_its_contents(database: Database) -> None:
    row = a_delivery(body=b"+14155550123 said no", headers={"x": PASSWORD})
    stored(database, row)
    with pytest.raises(StoreError) as caught, database.write() as connection:
        deliveries.add(connection, [row])
    assert not isinstance(caught.value, StoreBusy)
    shown = "".join(traceback.format_exception(caught.value))
    assert "said no" not in shown
    assert PASSWORD not in shown


def test_a_server_out_of_reach_is_busy_and_shows_no_password() -> None:
    database = Database(f"postgresql://bridge:{PASSWORD}@127.0.0.1:1/bridge", busy_timeout_s=1.0)
    with pytest.raises(StoreBusy) as caught, database.read():
        pass
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in repr(database)


def test_a_pool_without_a_free_connection_is_busy(
    postgres: Postgres, postgres_template: str
) -> None:
    name = postgres.create(postgres_template)
    database = Database(postgres.url(name), pool_size=1, busy_timeout_s=0.1)
    with database.read(), pytest.raises(StoreBusy, match="no database connection"), database.read():
        pass
    database.close()
    postgres.drop(name)


def test_a_connection_that_the_server_cuts_is_busy_and_the_next_works(
    postgres: Postgres, postgres_template: str
) -> None:
    name = postgres.create(postgres_template)
    database = Database(postgres.url(name))

    def cut_short() -> None:
        with database.write() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            postgres.execute(f"SELECT pg_terminate_backend({pid})")
            deliveries.add(connection, [a_delivery()])

    with pytest.raises(StoreBusy):
        cut_short()
    with database.write() as connection:
        deliveries.add(connection, [a_delivery()])
        assert connection.execute(text("SELECT count(*) FROM delivery")).scalar() == 1
    database.close()
    postgres.drop(name)


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://bridge:{PASSWORD}@host:port/bridge",
        f"postgres://bridge:pass@word:{PASSWORD}/bridge",
        f"postgresql+nothing://bridge:{PASSWORD}@host/bridge",
        f"mysql://bridge:{PASSWORD}@host/bridge",
        f"{PASSWORD}",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_an_unusable_address_is_named_as_a_setting_without_showing_it(url: str) -> None:
    with pytest.raises(SettingError, match="DATABASE_URL must be") as caught:
        Database(url)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("prefix", ["postgres://", "postgresql://", "postgresql+psycopg://"])
def test_every_spelling_of_a_postgres_address_works(
    postgres: Postgres, postgres_template: str, prefix: str
) -> None:
    rest = postgres.url(postgres_template).partition("://")[2]
    database = Database(prefix + rest)
    assert not database.is_sqlite
    assert database.path is None
    with database.read() as connection:
        assert queues.deliveries_by_source(connection) == {}
    database.close()


def test_a_transaction_that_ended_before_its_commit_is_no_success(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(database)

    def write_what_is_undone() -> None:
        with database.write() as connection:
            deliveries.add(connection, [a_delivery()])
            # as SQLite itself does when a disk is full in the middle of a statement
            connection.connection.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]

    with pytest.raises(StoreError, match="ended before"):
        write_what_is_undone()
    row = a_delivery()
    assert [found.receipt for found in stored(database, row)] == [row.receipt]
    with database.read() as connection:
        listed = deliveries.listing(connection, source=None, before=None, limit=9)
    assert [found["receipt"] for found in listed] == [row.receipt]
    database.close()
