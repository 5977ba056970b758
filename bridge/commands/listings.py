"""What the listing commands share: the database, and how a row is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from bridge.clock import iso
from bridge.settings import Settings
from bridge.store import revision
from bridge.store.database import Connection, Database

json_option = click.option("--json", "json_", is_flag=True, help="As JSON.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows at most."
)
before_option = click.option(
    "--before", type=int, help="Only rows with a smaller id: the next page."
)


@contextmanager
def opened() -> Iterator[Database]:
    """The configured database. Errors: ``StoreError``, ``SchemaError``."""
    database = Database(Settings.current()["DATABASE_URL"])
    try:
        revision.check(database)
        yield database
    finally:
        database.close()


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection to the configured database. Errors: ``StoreError``, ``SchemaError``."""
    with opened() as database, database.read() as connection:
        yield connection


@contextmanager
def writing() -> Iterator[Connection]:
    """The same in a transaction that writes: committed at the end, undone on any error."""
    with opened() as database, database.write() as connection:
        yield connection


def with_times(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """The row with these times as text, in UTC."""
    return {k: iso(v) if k in names else v for k, v in row.items()}
