"""A nudge from the web process to the worker that there is something to do.

Only a nudge: the work itself is in the database, and a worker that hears nothing still looks from
time to time. On SQLite a datagram to a socket beside the database file; on PostgreSQL NOTIFY.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func

from bridge.store.bulk import run
from bridge.store.database import Connection, Database

CHANNEL = "crm_bridge"
LONGEST_PATH = 100
"""What a Unix socket's path may measure on every system, with a margin."""

DEAF_S = 0.01
"""How long nobody listens after a nudge: in a flood there is one for every group of webhooks."""


def _socket_path(database: Database) -> Path | None:
    if database.path is None:
        return None
    path = Path(f"{database.path.resolve()}.wake")
    return path if len(str(path).encode()) <= LONGEST_PATH else None


def notify(connection: Connection) -> None:
    """On PostgreSQL, nudge whoever listens when this transaction commits."""
    if connection.dialect.name == "postgresql":
        run(connection, f"NOTIFY {CHANNEL}")


def nudge() -> ColumnElement[Any]:
    """The same as a part of a statement."""
    return func.pg_notify(CHANNEL, "")


class Bell:
    """The side that nudges on SQLite, after a commit. ``ring`` never waits and never fails."""

    def __init__(self, database: Database) -> None:
        self._path = _socket_path(database)
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        """Nudge whoever listens."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(b"!", str(self._path))


def listen(database: Database, heard: Callable[[], None], stopping: Callable[[], bool]) -> None:
    """Call ``heard`` at every nudge, until ``stopping``; looks up from listening every second.

    And once as soon as it listens, for what came before.

    Errors: ``StoreBusy`` when PostgreSQL hangs up.
    """
    if not database.is_sqlite:
        _listen_postgres(database, heard, stopping)
        return
    path = _socket_path(database)
    if path is None:
        return
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(path))
        heard()
        ear.settimeout(1.0)
        while not stopping():
            with contextlib.suppress(TimeoutError):
                ear.recv(16)
                ear.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while ear.recv(16):
                        pass
                heard()
                time.sleep(DEAF_S)
            ear.settimeout(1.0)
    path.unlink(missing_ok=True)


def _listen_postgres(
    database: Database, heard: Callable[[], None], stopping: Callable[[], bool]
) -> None:
    with database.listening() as raw:
        raw.autocommit = True
        raw.execute(f"LISTEN {CHANNEL}")
        heard()
        while not stopping():
            # a list, since all that came while nobody listened are one nudge
            if list(raw.notifies(timeout=1.0, stop_after=1)):
                heard()
                time.sleep(DEAF_S)
