"""Waiting for a condition, and running two things at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from sqlalchemy import text

from bridge.store.database import Database

T = TypeVar("T")
_PAUSE = threading.Event()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; it fails the test if it does not in time."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "waited in vain"
        _PAUSE.wait(0.005)


def somebody_waits_for_a_lock(database: Database) -> bool:
    """Whether a transaction of this PostgreSQL database waits for another one."""
    with database.read() as connection:
        return bool(
            connection.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            ).scalar()
        )


def while_open(database: Database, first: Callable[..., T], second: Callable[[], T]) -> tuple[T, T]:
    """Run ``second`` in another thread while the transaction in which ``first`` ran is open.

    ``first`` takes a connection and opens nothing; ``second`` opens its own transaction. On
    PostgreSQL the first commits once the second waits for it; on SQLite once that has begun.
    """
    started = threading.Event()

    def run() -> T:
        started.set()
        return second()

    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            mine = first(connection)
            other: Future[T] = pool.submit(run)
            started.wait(10)
            if not database.is_sqlite:
                until(lambda: other.done() or somebody_waits_for_a_lock(database))
        return mine, other.result(20)
