"""How few turns of its protocol PostgreSQL is asked for, and that none of them was needed."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bridge.errors import StoreBusy, StoreError
from bridge.store import campaigns, deliveries, leads
from bridge.store.bulk import run
from bridge.store.database import Database, commit_later

from .postgres import Postgres
from .rows import a_delivery, stored

# SQLite runs in the process itself
pytestmark = pytest.mark.parametrize("engine", ["postgresql"])

PREPARED = text("SELECT statement FROM pg_prepared_statements")
SESSION = text("SELECT pg_backend_pid()")


def session(database: Database) -> int:
    """The server's process behind the connection that is used next."""
    with database.read() as connection:
        return int(connection.execute(SESSION).scalar() or 0)


def hang_up(postgres: Postgres, pids: set[int]) -> None:
    """The server closes these sessions, and has done so when this returns."""
    listed = ", ".join(map(str, sorted(pids)))
    postgres.execute(f"SELECT pg_terminate_backend(pid, 30000) FROM unnest(ARRAY[{listed}]) pid")


@pytest.fixture
def idle(database: Database, postgres: Postgres) -> Database:
    """A database all of whose pooled connections the server has closed."""
    inside, pids, lock = threading.Barrier(4), set[int](), threading.Lock()

    def use() -> None:
        with database.read() as connection:
            pid = int(connection.execute(SESSION).scalar() or 0)
            with lock:
                pids.add(pid)
            inside.wait(30)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pids) == 4
    hang_up(postgres, pids)
    return database


def test_a_write_notices_that_the_server_has_hung_up_and_goes_on(idle: Database) -> None:
    row = a_delivery()
    with idle.write() as connection:
        deliveries.add(connection, [row])
    with idle.read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is not None


def test_a_read_notices_it(idle: Database) -> None:
    with idle.read() as connection:
        assert leads.next_due(connection, "main") == {}


def test_a_question_notices_it(idle: Database) -> None:
    assert idle.ask(lambda connection: leads.next_due(connection, "main")) == {}


def test_what_is_put_is_there_though_the_server_has_hung_up(idle: Database) -> None:
    row = a_delivery()
    idle.put(partial(deliveries.put, rows=[row]))
    with idle.read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is not None


def test_what_was_put_when_the_server_hung_up_is_there_once(
    database: Database, postgres: Postgres
) -> None:
    def put(connection: Any) -> None:
        deliveries.put(connection, rows)
        calls.append(int(run(connection, "SELECT pg_backend_pid()")[0][0]))
        if len(calls) == 1:
            hang_up(postgres, {calls[0]})
            run(connection, "SELECT 1")

    rows, calls = [a_delivery(), a_delivery()], list[int]()
    database.put(put)
    assert len(set(calls)) == 2, "it was done again, by another connection"
    with database.read() as connection:
        listed = deliveries.listing(connection, source=None, before=None, limit=10)
    assert sorted(row["receipt"] for row in listed) == sorted(row.receipt for row in rows)


def test_what_the_database_refuses_is_not_put_again(database: Database) -> None:
    def put(connection: Any) -> None:
        calls.append(1)
        run(connection, "SELECT 1/0")

    calls: list[int] = []
    with pytest.raises(StoreError, match="division by zero"):
        database.put(put)
    assert calls == [1]


def test_who_is_hung_up_on_in_the_middle_is_told_and_leaves_nothing(
    database: Database, postgres: Postgres
) -> None:
    def write() -> None:
        with database.write() as connection:
            deliveries.add(connection, [row])
            hang_up(postgres, {int(connection.execute(SESSION).scalar() or 0)})
            campaigns.known(connection, "main")

    row = a_delivery()
    with pytest.raises(StoreBusy):
        write()
    with database.read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is None


@pytest.mark.parametrize("how", ["ROLLBACK", "SELECT 1/0"])
def test_a_transaction_that_was_undone_is_no_success(database: Database, how: str) -> None:
    """Also if whoever gave the statement that failed goes on as if nothing had happened."""

    def write() -> None:
        with database.write() as connection:
            deliveries.add(connection, [row])
            with suppress(DBAPIError):
                run(connection, how)

    row = a_delivery()
    with pytest.raises(StoreError, match="ended before"):
        write()
    with database.write() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is None
        deliveries.add(connection, [row])
    with database.read() as connection:
        assert deliveries.by_receipt(connection, row.receipt) is not None


def test_a_read_throws_nothing_away_that_was_prepared(database: Database) -> None:
    for _ in range(4):
        with database.read() as connection:
            leads.next_due(connection, "main")
    with database.write() as connection:
        prepared = connection.execute(PREPARED).scalars().all()
    assert any("min(lead.due_at)" in statement for statement in prepared)


def test_one_connection_does_what_one_thread_asks(database: Database) -> None:
    assert len({session(database) for _ in range(9)}) == 1


def test_plans_are_made_for_the_tables_as_they_are(database: Database) -> None:
    with database.read() as connection:
        assert connection.exec_driver_sql("SHOW plan_cache_mode").scalar() == "force_custom_plan"


def test_each_statement_of_a_question_sees_what_is_there(database: Database) -> None:
    def look(connection: Any) -> tuple[bool, bool]:
        before = deliveries.by_receipt(connection, row.receipt)
        stored(database, row)
        return before is None, deliveries.by_receipt(connection, row.receipt) is not None

    row = a_delivery()
    assert database.ask(look) == (True, True)


def test_only_the_transaction_that_says_so_is_not_waited_for(database: Database) -> None:
    show = "SHOW synchronous_commit"
    with database.write() as connection:
        commit_later(connection)
        assert connection.exec_driver_sql(show).scalar() == "off"
    for _ in range(2):
        with database.write() as connection:
            assert connection.exec_driver_sql(show).scalar() == "on"
