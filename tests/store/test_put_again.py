"""What PostgreSQL has on its own disk only is not confirmed where it owes a second copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from bridge.store import deliveries
from bridge.store.database import Database
from bridge.store.migrate import migrate

from .postgres import Postgres, running
from .rows import a_delivery
from .waiting import until

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """A server of its own, since it is set up anew; ``postgres`` says whether there can be one."""
    with running() as own:
        yield own


def owe_a_copy_to(server: Postgres, standby: str) -> None:
    server.execute(f"ALTER SYSTEM SET synchronous_standby_names TO '{standby}'")
    server.execute("SELECT pg_reload_conf()")
    until(lambda: server.execute("SHOW synchronous_standby_names") == [(standby,)])


def test_a_delivery_is_waited_for_until_the_standby_has_it_also_when_it_is_put_again(
    server: Postgres,
) -> None:
    row, done = a_delivery(), threading.Event()

    def put() -> None:
        database.put(partial(deliveries.put, rows=[row]))
        done.set()

    with closing(Database(server.url(server.create()))) as database:
        migrate(database)
        owe_a_copy_to(server, "one_that_is_away")
        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        until(lambda: bool(server.execute(WAITING)))
        ((first,),) = server.execute(WAITING)
        server.execute(f"SELECT pg_terminate_backend({first}, 30000)")
        until(lambda: done.is_set() or bool(server.execute(WAITING)))
        told = done.is_set()
        owe_a_copy_to(server, "")
        thread.join(30)
        with database.read() as connection:
            listed = deliveries.listing(connection, source=None, before=None, limit=10)
    assert not told
    assert done.is_set()
    assert [stored["receipt"] for stored in listed] == [row.receipt]
