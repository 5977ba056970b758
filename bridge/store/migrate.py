"""Bring the database to the schema of this version: forwards only, in one transaction."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bridge.errors import SchemaError
from bridge.store.database import Database

LOCK = 0x63726D
"""The number under which migrations of one PostgreSQL database wait for each other."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@lru_cache(maxsize=1)
def newest() -> str:
    """The revision that this version works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError("this installation holds no migrations; install crm-bridge again")
    return head


def current(connection: Connection) -> str | None:
    """The revision that the database has; None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(database: Database) -> tuple[str | None, str]:
    """Upgrade the database; returns the revision before and after.

    Errors: ``SchemaError`` if the database was made by a newer version.
    """
    config = _config()
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    if database.path is not None:
        database.path.parent.mkdir(parents=True, exist_ok=True)
    with database.write() as connection:
        if not database.is_sqlite:  # two that migrate at once would both make the tables
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        before = current(connection)
        if before is not None and before not in known:
            raise SchemaError(
                f"the database has schema {before}, which this version does not know: it was made "
                "by a newer crm-bridge. Install that version again, or restore a backup."
            )
        if before != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return before, newest()


def check(database: Database) -> None:
    """Errors: ``SchemaError`` unless the database has the schema of this version."""
    with database.read() as connection:
        have = current(connection)
    if have != newest():
        state = "is empty" if have is None else f"has schema {have}"
        raise SchemaError(
            f"the database {state}; this version needs {newest()}. Run “crm-bridge migrate”."
        )
