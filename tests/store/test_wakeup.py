"""A nudge reaches who listens; without one the work is still found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from bridge.errors import StoreBusy
from bridge.store import deliveries
from bridge.store.database import Database
from bridge.store.wakeup import CHANNEL, Bell, listen, notify

from .postgres import Postgres
from .rows import a_delivery
from .waiting import until


class Ear:
    """A listener in a thread. ``error``: what ended it."""

    def __init__(self, database: Database) -> None:
        self.heard = 0
        self.error: Exception | None = None
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(database,), daemon=True)

    def _run(self, database: Database) -> None:
        try:
            listen(database, self._hear, self._stop.is_set)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _hear(self) -> None:
        self.heard += 1

    def stop(self) -> None:
        self._stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def listening(database: Database) -> Iterator[Ear]:
    ear = Ear(database)
    ear.thread.start()
    yield ear
    ear.stop()


def nudge(database: Database, bell: Bell) -> None:
    """What the web process does around a commit."""
    with database.write() as connection:
        notify(connection)
    bell.ring()


def test_a_nudge_is_heard_in_another_process(
    database: Database, opened: Callable[..., Database]
) -> None:
    bell = Bell(database)
    with listening(opened()) as ear:

        def nudged() -> bool:
            nudge(database, bell)
            return ear.heard > 0

        until(nudged)
        before = ear.heard
        nudge(database, bell)
        until(lambda: ear.heard > before)


def test_whoever_begins_to_listen_looks_for_what_came_before(
    database: Database, opened: Callable[..., Database]
) -> None:
    nudge(database, Bell(database))
    with listening(opened()) as ear:
        until(lambda: ear.heard == 1)


def test_nudges_that_came_while_nobody_listened_are_heard_as_one(
    database: Database, opened: Callable[..., Database]
) -> None:
    """Else a worker would be woken for long after a flood, and for nothing."""
    busy, go_on, heard = threading.Event(), threading.Event(), list[int]()

    def hear() -> None:
        heard.append(1)
        busy.set()
        go_on.wait(30)

    def stopping() -> bool:
        return len(heard) > 1

    listener = threading.Thread(target=listen, args=(opened(), hear, stopping), daemon=True)
    listener.start()
    assert busy.wait(30)
    bell = Bell(database)
    for _ in range(300):
        nudge(database, bell)
    go_on.set()
    listener.join(30)
    assert not listener.is_alive()
    assert len(heard) < 30


def test_a_nudge_of_a_transaction_that_fails_is_not_sent(
    database: Database, opened: Callable[..., Database]
) -> None:
    if database.is_sqlite:
        pytest.skip("on SQLite the bell is rung by hand, after the commit")
    with opened().listening() as heard_at_once:
        heard_at_once.autocommit = True
        heard_at_once.execute(f"LISTEN {CHANNEL}")
        with suppress(ZeroDivisionError), database.write() as connection:
            notify(connection)
            assert 1 / 0
        with database.write() as connection:
            notify(connection)
        first = list(heard_at_once.notifies(timeout=10, stop_after=1))
        rest = list(heard_at_once.notifies(timeout=0))
    assert (len(first), rest) == (1, [])


def test_ringing_without_a_listener_does_no_harm(database: Database) -> None:
    bell = Bell(database)
    for _ in range(1_000):
        bell.ring()
    nudge(database, bell)


def test_a_bell_outlives_a_listener_that_starts_again(
    database: Database, opened: Callable[..., Database]
) -> None:
    bell = Bell(database)
    for _ in range(2):
        with listening(opened()) as ear:
            until(lambda ear=ear: _ring_until_heard(database, bell, ear))  # type: ignore[misc]


def _ring_until_heard(database: Database, bell: Bell, ear: Ear) -> bool:
    nudge(database, bell)
    return ear.heard > 0


def test_a_path_too_long_for_a_socket_means_no_nudge_but_no_error(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / ('x' * 120)}.db")
    Bell(database).ring()
    listen(database, lambda: None, lambda: False)


def test_a_listener_whose_connection_is_cut_says_that_the_store_is_busy(
    postgres: Postgres, postgres_template: str
) -> None:
    name = postgres.create(postgres_template)
    database = Database(postgres.url(name))
    with listening(database) as ear:
        until(lambda: _ring_until_heard(database, Bell(database), ear))
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        )
        until(lambda: ear.error is not None)
    assert isinstance(ear.error, StoreBusy)
    database.close()
    postgres.drop(name)


def test_who_listens_hears_of_what_was_put(
    database: Database, opened: Callable[..., Database]
) -> None:
    with listening(opened()) as ear:
        until(lambda: ear.heard == 1)  # what came before it listened
        database.put(partial(deliveries.put, rows=[a_delivery()]))
        Bell(database).ring()
        until(lambda: ear.heard == 2)
