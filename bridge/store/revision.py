"""Which schema a database has, and whether this version of the program can work with it.

Known without Alembic, which takes a good part of a process's start to load.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from bridge.errors import SchemaError
from bridge.store.database import Database
from bridge.store.schema import compatibility

MIGRATIONS = Path(__file__).parent / "migrations"


@lru_cache(maxsize=1)
def newest() -> str:
    """The revision that this version works with: migrations follow one another by number."""
    found = [path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")]
    if not found:
        raise SchemaError("this installation holds no migrations; install crm-bridge again")
    return max(found)


def current(connection: Connection) -> str | None:
    """The revision that the database has; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def check(database: Database) -> None:
    """Errors: ``SchemaError`` unless the database has the schema of this version."""
    if database.path is not None and not database.path.exists():
        raise SchemaError(
            f"there is no database file {database.path}. Run “crm-bridge migrate”, or put the "
            "file back."
        )
    with database.read() as connection:
        have = current(connection)
    if have != newest():
        state = "is empty" if have is None else f"has schema {have}"
        raise SchemaError(
            f"the database {state}; this version needs {newest()}. Run “crm-bridge migrate”."
        )


def still_fits(database: Database) -> None:
    """Whether a process that is running may go on; it has passed ``check`` when it began.

    Its database may have been upgraded meanwhile. Every migration says which schema the oldest
    version knows that can go on with the new one. Errors: ``SchemaError``.
    """
    with database.read() as connection:
        have = current(connection)
        if have == newest():
            return
        oldest = None
        if have is not None and have > newest():
            oldest = connection.scalar(
                select(compatibility.c.oldest).where(compatibility.c.name == "schema")
            )
    if oldest is None or oldest > newest():
        raise SchemaError(
            f"the database has schema {have or 'none'}, with which this process cannot go on. "
            "Restart it with the version that made the schema."
        )
