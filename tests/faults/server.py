"""The PostgreSQL of the fault tests: a fresh, migrated database for each run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from store.postgres import Postgres, running

from bridge.store.database import Database
from bridge.store.migrate import migrate


@dataclass(frozen=True)
class Server:
    """A running server and the name of a migrated database to copy."""

    postgres: Postgres
    template: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a new database, dropped at the end."""
        name = self.postgres.create(self.template)
        try:
            yield self.postgres.url(name)
        finally:
            self.postgres.drop(name)

    def cut(self, url: str) -> None:
        """Break every connection to a database; new ones are taken."""
        name = urlsplit(url).path.lstrip("/")
        theirs = f"datname = '{name}' AND pid <> pg_backend_pid()"
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {theirs}"
        self.postgres.execute(query)


@contextmanager
def serving() -> Iterator[Server]:
    """A server for a script; in pytest the fixtures ``postgres`` and ``postgres_template``."""
    with running() as postgres:
        name = postgres.create()
        database = Database(postgres.url(name))
        migrate(database)
        database.close()
        yield Server(postgres, name)
