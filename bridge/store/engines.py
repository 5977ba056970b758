"""How SQLite and PostgreSQL are opened, and how a transaction begins there."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bridge.errors import SettingError, StoreBusy, StoreError
from bridge.store.bulk import run

BEGIN = "bridge_begin"
"""Under which name an engine for PostgreSQL keeps how its transactions begin, if not by BEGIN;
None: each statement is one."""

_BEGUN = 2
"""libpq's number for a transaction that goes well so far (PQTRANS_INTRANS)."""

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ"

PREPARE_AFTER = 1
"""Uses of a statement by one connection to PostgreSQL before it is prepared there."""

LOOK_EVERY_S = 0.0003
"""How often a write looks whether SQLite's lock is free."""

_LOOKING = "looking"
"""Under which name a connection keeps that SQLite itself does not wait by it any more."""

WRITER_KIB = 16_000
READER_KIB = 4_000
"""What a connection to SQLite may keep of the database in memory."""

CHECKPOINT_PAGES = 4_000
"""How many pages of 4 KiB SQLite's log holds before they go into the database file. A page that
many commits change goes there once; at the standard 1,000 that would be every few batches."""

SPARED_PAGES = 8_000
"""The same in a process whose senders wait for its commits: it leaves that work to a worker as long
as there is one."""


def normal_url(url: str) -> str:
    """A database's URL as SQLAlchemy reads it. Errors: ``SettingError``."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):  # their texts quote the URL, which holds a password
        made = None
    if made is not None:
        if made.drivername in ("sqlite", "sqlite+pysqlite"):
            if made.database not in (None, "", ":memory:"):
                return url
        elif made.drivername == "postgresql+psycopg":
            return url
    raise SettingError(
        "DATABASE_URL must be sqlite:///path/to/file.db or postgresql://user:password@host/name; "
        "in a user or password, write @ : / and % as percent-escapes."
    )


def sqlite_engine(
    url: str,
    busy_timeout_s: float,
    pool_size: int,
    kib: int,
    flush: Callable[[Callable[[], None]], None] | None = None,
) -> Engine:
    """Connections to a SQLite file. ``kib``: memory of each; ``flush``: see ``Database``."""
    pages = CHECKPOINT_PAGES if flush is None else SPARED_PAGES
    _know_plain_values()
    name = make_url(url).database or ""
    # only a migration makes the file: an empty one in the place of one that is gone takes writes
    # which nobody ever sees
    address = name if name.startswith("file:") else f"file:{quote(name)}?mode=rw"

    class Flushed(sqlite3.Connection):
        def commit(self) -> None:
            if not self.in_transaction:
                # SQLite may undo all of a transaction for an error in one statement
                raise sqlite3.OperationalError("the transaction ended before its commit")
            if flush is None:
                super().commit()
            else:
                flush(super().commit)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            address,
            uri=True,
            check_same_thread=False,
            timeout=busy_timeout_s,
            isolation_level=None,
            factory=Flushed,
        )

    engine = create_engine(
        url,
        creator=connect,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
    )

    @event.listens_for(engine, "connect")
    def _configure(raw: Any, _record: Any) -> None:
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
        cursor.execute(f"PRAGMA cache_size=-{kib}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={pages}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.info.get("write"):
            _begin_immediate(connection, busy_timeout_s)
        else:
            connection.exec_driver_sql("BEGIN DEFERRED")

    return engine


def _know_plain_values() -> None:
    """Spare the driver a search.

    For each value that is no number or text it looks for somebody who makes one of it, in the type
    and then in the value, which takes longer than storing the value does. Here it finds somebody
    at once, who changes nothing.
    """
    sqlite3.register_adapter(bool, int)
    sqlite3.register_adapter(bytes, bytes)
    nothing: Any = {}
    sqlite3.register_adapter(type(None), nothing.get)


def _begin_immediate(connection: Connection, busy_timeout_s: float) -> None:
    """Take SQLite's write lock, looking for it often rather than sleeping ever longer."""
    raw: Any = connection.connection.driver_connection
    if not connection.info.get(_LOOKING):  # whoever has the lock waits for nothing else
        raw.execute("PRAGMA busy_timeout=0")
        connection.info[_LOOKING] = True
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise StoreBusy(f"the database is busy ({error})") from error
            time.sleep(LOOK_EVERY_S)
        else:
            return


def postgres_engine(
    url: str, busy_timeout_s: float, statement_timeout_s: float, pool_size: int
) -> Engine:
    """Connections to PostgreSQL, at most ``pool_size``; they prepare what is asked again."""
    # A network that swallows everything is noticed by nobody but this machine's TCP: what was
    # sent has to be acknowledged, and a server that is silent has to answer a probe.
    silence_s = max(1, math.ceil(statement_timeout_s))
    engine = create_engine(
        url,
        # the driver would ask for a turn of its own to begin; see ``_begin`` below
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        pool_use_lifo=True,  # so that few connections do most, which have prepared what is asked
        pool_recycle=1800,
        connect_args={
            "prepare_threshold": PREPARE_AFTER,
            "connect_timeout": max(1, int(busy_timeout_s)),
            # prepared for the tables as they are, not as they were when they were empty
            "options": f"-c lock_timeout={int(busy_timeout_s * 1000)}"
            f" -c statement_timeout={int(statement_timeout_s * 1000)}"
            " -c plan_cache_mode=force_custom_plan",
            "tcp_user_timeout": silence_s * 1000,
            "keepalives": 1,
            "keepalives_idle": silence_s,
            "keepalives_interval": max(1, silence_s // 3),
            "keepalives_count": 3,
        },
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        begin = options.get(BEGIN, "BEGIN")
        if begin is not None and options.get("isolation_level") != "AUTOCOMMIT":
            run(connection, begin)

    @event.listens_for(engine, "commit")
    def _commit(connection: Connection) -> None:
        # PostgreSQL answers the COMMIT of a transaction in which a statement failed by undoing it,
        # which is no error to the driver
        raw: Any = connection.connection.driver_connection
        if (
            connection.info.get("write")
            and not raw.closed
            and raw.info.transaction_status != _BEGUN
        ):
            raise StoreError("the transaction ended before its commit")

    return engine
