"""The connection to the database: SQLite or PostgreSQL behind one face.

``read`` and ``write`` give a connection inside a transaction; the caller says where it begins and
ends, and every function of this package takes that connection. Errors of the database leave as
``StoreError``; those that may pass by themselves as ``StoreBusy``.

On SQLite a write begins with ``BEGIN IMMEDIATE``, so that a transaction that has begun cannot
fail for a lock; durability is WAL with ``synchronous=FULL``, every commit is on disk. SQLite lets
those who wait for its lock sleep for longer and longer, so that a busy worker would keep the web
process waiting; here they look every fraction of a millisecond, and a worker leaves a gap after
each of its transactions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bridge.clock import now_ms
from bridge.errors import StoreBusy, StoreError
from bridge.store.bulk import insert_into, run
from bridge.store.engines import (
    BEGIN,
    READER_KIB,
    SNAPSHOT,
    WRITER_KIB,
    normal_url,
    postgres_engine,
    sqlite_engine,
)
from bridge.store.opened import Opened
from bridge.store.right_of_way import LONGEST_REST_S, RightOfWay, mark_of

_LAST = "last"
"""Under which name a connection keeps what is done right before its commit."""

LONGEST_LOOK_MS = 1_000
"""A comparison of two clocks that takes longer says nothing: the process slept meanwhile."""

MOST_PATIENCE_S = 30.0
"""How long a write waits at most for the other writes of a process that gives way."""

_PASSING = (
    "database is locked",
    "database table is locked",
    "disk is full",
    "disk i/o error",
    "locking protocol",
    "readonly database",
    "unable to open database",
    "deadlock detected",
    "could not serialize",
    "too many connections",
    "no space left",
    "read-only transaction",
)

_FILE_TROUBLE = ("readonly", "disk I/O error", "unable to open", "is gone or was replaced")

__all__ = ["Connection", "Database", "at_the_end", "commit_later", "upsert"]

Found = TypeVar("Found")


class Database:
    """A database by URL. Opens no connection before the first use.

    ``busy_timeout_s``: how long a write waits for its turn before ``StoreBusy``; in a process that
    gives way, whose turns take longer, accordingly longer for the others of it. ``gap_s``: how
    long SQLite's lock is left to other processes after a write; ``share``: the part of the time
    that is used at least while another process has the right of way (see ``RightOfWay``); 1: never
    give way. ``statement_timeout_s``: how long PostgreSQL may work on one statement, and about how
    long its silence is borne, before ``StoreBusy``; no less than ``busy_timeout_s``. ``flush``:
    runs each commit on SQLite, which waits for the disk; it returns when that has ended, and passes
    its error on.
    """

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_s: float = 5.0,
        statement_timeout_s: float = 30.0,
        pool_size: int = 16,
        gap_s: float = 0.0,
        share: float = 1.0,
        flush: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.url = normal_url(url)
        self.is_sqlite = self.url.startswith("sqlite")
        self._gap_s = gap_s
        self._gives_way = share < 1
        # each turn of who gives way takes so many times as long
        self._patience_s = max(busy_timeout_s, min(MOST_PATIENCE_S, busy_timeout_s / share))
        self._turn = threading.Lock()
        name = make_url(self.url).database
        self._path = Path(name) if self.is_sqlite and name else None
        self._inode = 0
        self._ahead_ms = 0
        if self.is_sqlite:
            # All writes go by one connection: SQLite drops what a connection has in memory when
            # another one has written.
            self._engine = sqlite_engine(self.url, busy_timeout_s, 1, WRITER_KIB, flush)
            self._reader = sqlite_engine(self.url, busy_timeout_s, pool_size, READER_KIB)
            self._opened = {self._engine: Opened(self._engine), self._reader: Opened(self._reader)}
        else:
            self._engine = postgres_engine(
                self.url, busy_timeout_s, max(busy_timeout_s, statement_timeout_s), pool_size
            )
            self._reader = self._engine.execution_options(**{BEGIN: SNAPSHOT})
            self._asker = self._engine.execution_options(**{BEGIN: None})
        self.right_of_way = RightOfWay(mark_of(self.path), share)

    @property
    def engine(self) -> Engine:
        """The engine, for migrations only."""
        return self._engine

    @property
    def path(self) -> Path | None:
        """The database file, on SQLite."""
        return self._path

    def now_ms(self) -> int:
        """The present by the clock that all workers share, as far as ``measure_clock`` knows it.

        Due times go by it: a worker whose own clock is wrong must not put an opt-out off.
        """
        return now_ms() + self._ahead_ms

    def measure_clock(self, connection: Connection) -> int:
        """Compare this machine's clock with the database's; how far that is ahead (ms)."""
        if not self.is_sqlite:
            before = now_ms()
            shared = clock_ms(connection)
            after = now_ms()
            if abs(after - before) < LONGEST_LOOK_MS:
                self._ahead_ms = shared - (before + after) // 2
        return self._ahead_ms

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; what it sees does not change while it is open."""
        with self._renewed_after_trouble(), _translated():
            if self.is_sqlite:
                self._check_file()
            with self._begun(self._reader) as connection:
                yield connection

    def ask(self, look: Callable[[Connection], Found]) -> Found:
        """What a few quick statements find.

        On PostgreSQL each is a transaction by itself and sees what is there when it begins, which
        saves two turns of the protocol. ``look`` begins anew if the connection turns out to be
        lost.
        """
        if self.is_sqlite:
            with self.read() as connection:
                return look(connection)
        return self._each_by_itself(look)

    def put(self, add: Callable[[Connection], Found]) -> Found:
        """What one statement gives that writes, on disk when this returns.

        On PostgreSQL it is a transaction by itself, which saves the turns for the begin and the
        end of one. It is run once more if the connection turns out to be lost, maybe after it had
        been done: a second time must change nothing.
        """
        if self.is_sqlite:
            with self.write() as connection:
                return add(connection)
        return self._each_by_itself(add)

    def _each_by_itself(self, run_all: Callable[[Connection], Found]) -> Found:
        with _translated():
            try:
                with self._asker.connect() as connection:
                    return run_all(connection)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            self._engine.dispose()  # those that wait in the pool were closed as well
            with self._asker.connect() as connection:
                return run_all(connection)

    @contextmanager
    def write(self, *, urgent: bool = False) -> Iterator[Connection]:
        """A connection for writing: committed at the end, rolled back on any error.

        ``urgent``: it gives way to nobody.
        """
        with (
            self._renewed_after_trouble(),
            _translated(),
            self._turn_to_write(urgent=urgent),
        ):
            began = 0.0
            try:
                with self._begun(self._engine, write=True) as connection:
                    began = time.monotonic()
                    yield connection
                    for work in connection.info.pop(_LAST, ()):
                        work(connection)
            finally:
                if began and self._gives_way:
                    self.right_of_way.held(time.monotonic() - began)

    @contextmanager
    def _begun(self, engine: Engine, *, write: bool = False) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end, rolled back on any error.

        Also if it only read: whoever rolls back on PostgreSQL throws away what the connection has
        prepared. A connection that the server has closed since its last use is noticed here, before
        anything was done by it; then all that wait in the pool are opened anew.
        """
        if self.is_sqlite:
            with self._opened[engine].one() as connection, _set_up(connection, write=write).begin():
                yield connection
            return
        for last in (False, True):
            with engine.connect() as connection:
                try:
                    transaction = _set_up(connection, write=write).begin()
                except DBAPIError as error:
                    if last or not error.connection_invalidated:
                        raise
                    self._engine.dispose()  # those that wait in the pool were closed as well
                    continue
                with transaction:
                    yield connection
                return

    @contextmanager
    def _renewed_after_trouble(self) -> Iterator[None]:
        """After trouble with SQLite's files every connection is opened anew.

        One that was opened while the file system was read-only would stay so for good.
        """
        try:
            yield
        except StoreBusy as error:
            if self.is_sqlite and any(words in str(error) for words in _FILE_TROUBLE):
                self.close()
            raise

    def _check_file(self) -> None:
        """A file that is gone or was replaced would take writes that nobody ever sees again."""
        path = self.path
        try:
            inode = 0 if path is None else path.stat().st_ino
        except OSError:
            inode = 0
        before = self._inode
        replaced = before not in (0, inode)
        if replaced:
            self.close()  # before anybody takes the new one for known, and goes on with the old
        if inode or not before:
            self._inode = inode
        if replaced:
            raise StoreBusy(f"the database file {path} is gone or was replaced")

    @contextmanager
    def _turn_to_write(self, *, urgent: bool) -> Iterator[None]:
        """On SQLite the threads of a process take turns, since only one can write.

        Who gives way has no turn meanwhile, so that what is urgent goes before it.
        """
        if not self.is_sqlite:
            if not urgent:
                self.right_of_way.give_way()
            yield
            return
        began = time.monotonic()
        last, rested = began + self._patience_s, began + LONGEST_REST_S
        while True:
            if not urgent:
                self.right_of_way.give_way(rested - time.monotonic())
            if not self._turn.acquire(timeout=max(0.0, last - time.monotonic())):
                raise StoreBusy("another write of this process took too long")
            if urgent or time.monotonic() >= rested or not self.right_of_way.owed:
                break
            self._turn.release()  # whoever had it meanwhile owes for its work
        try:
            self._check_file()
            yield
            if self._gap_s:
                time.sleep(self._gap_s)
        finally:
            self._turn.release()

    @contextmanager
    def listening(self) -> Iterator[Any]:
        """The driver's own connection, for good: PostgreSQL's LISTEN needs one. Never pooled."""
        driver_error = self._engine.dialect.loaded_dbapi.Error
        with _translated():
            pooled = self._engine.raw_connection()
        try:
            yield pooled.driver_connection
        except driver_error as error:
            raise StoreBusy(f"the database hung up ({type(error).__name__})") from error
        finally:
            pooled.invalidate()

    def close(self) -> None:
        """Close all connections, those in use once their transaction has ended."""
        if self.is_sqlite:
            for opened in self._opened.values():
                opened.close()
        else:
            self._engine.dispose()


def _set_up(connection: Connection, *, write: bool) -> Connection:
    connection.info["write"] = write
    connection.info.pop(_LAST, None)
    return connection


def at_the_end(connection: Connection) -> list[Callable[[Connection], None]]:
    """What is done as the last thing of this transaction, right before its commit; to be added to.

    For rows that many transactions change: a lock that is taken last is held for a moment only,
    and whoever waits for it holds nothing that others need.
    """
    last: list[Callable[[Connection], None]] = connection.info.setdefault(_LAST, [])
    return last


def commit_later(connection: Connection) -> None:
    """Let this transaction's commit reach PostgreSQL's disk with the next one, if that comes soon.

    Only for what is done again from what is on disk already, should the server fail within the
    fraction of a second that this lasts, and what nobody acts on without a commit of his own: that
    one takes everything before it to the disk. Nothing of it is ever there in part.
    """
    if connection.dialect.name != "sqlite":
        run(connection, "SET LOCAL synchronous_commit TO off")


def clock_ms(connection: Connection) -> int:
    """The time that all workers share, in milliseconds since 1970 UTC: leases are reckoned by it.

    On PostgreSQL the server's; on SQLite there is one machine, and so its own.
    """
    if connection.dialect.name == "sqlite":
        return now_ms()
    ((seconds,),) = run(connection, "SELECT extract(epoch FROM clock_timestamp())")
    return round(float(seconds) * 1000)


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect of the connection."""
    return insert_into(table, connection.dialect.name)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SqliteError as error:  # of a statement that went to the driver by itself
        passing = any(words in str(error).lower() for words in _PASSING)
        raise _told(error, passing=passing) from error
    except DBAPIError as error:
        passing = error.connection_invalidated or any(
            words in str(error.orig).lower() for words in _PASSING
        )
        # PostgreSQL's own word for trouble that is not the statement's fault; SQLite says the
        # same of a table that is missing
        outside = isinstance(error, (OperationalError, InterfaceError))
        passing = passing or (outside and not isinstance(error.orig, SqliteError))
        raise _told(error.orig, passing=passing) from error
    except PoolTimeout as error:
        raise StoreBusy("no database connection became free in time") from error
    except (OverflowError, UnicodeEncodeError) as error:  # of a driver, before it asks
        what = "a number" if isinstance(error, OverflowError) else "a text"
        raise StoreError(f"{what} is nothing that a database can hold ({error})") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database layer failed ({type(error).__name__})") from error


def _told(error: object, *, passing: bool) -> StoreError:
    """What the driver said, in a line, as an error of ours."""
    brief = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    if passing:
        return StoreBusy(f"the database did not take the request ({brief})")
    return StoreError(f"the database refused a statement ({brief})")
