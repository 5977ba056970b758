"""Bring the database to the schema of this version: forwards only, a transaction a step."""

from __future__ import annotations

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from bridge import logs
from bridge.errors import SchemaError, StoreBusy, StoreError
from bridge.store.database import Database
from bridge.store.revision import MIGRATIONS, current, newest

LOCK = 0x63726D
"""The number under which migrations of one PostgreSQL database wait for each other."""

PATIENCE_S = 60.0
AGAIN_S = 0.5
LOCK_MS = 400
"""Half of what a webhook waits for the database by default."""

log = logs.get("migrate")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def migrate(database: Database, patience_s: float = PATIENCE_S) -> tuple[str | None, str]:
    """Upgrade the database; returns the revision before and after.

    Each migration is a transaction of its own. On PostgreSQL it waits for a table no longer than
    ``LOCK_MS``, since whoever comes after it waits as well; what it does not get it tries again
    until ``patience_s`` is over. It says so when it begins to wait.

    Errors: ``SchemaError`` if the database was made by a newer version; ``StoreBusy``.
    """
    if database.path is not None:
        _make_file(database.path)
    deadline = time.monotonic() + patience_s
    first: tuple[str | None] | None = None
    waits = False
    while True:
        try:
            before, after = _step(database)
        except StoreBusy as error:
            if time.monotonic() > deadline:
                raise
            if not waits:
                log.warning("waiting for the database", reason=str(error), seconds=patience_s)
            waits = True
            time.sleep(AGAIN_S)
            continue
        except StoreError as error:
            if database.path is None or "file is not a database" not in str(error):
                raise
            raise StoreError(
                f"{database.path} is a file of something else, and no SQLite database. Name "
                "another in DATABASE_URL, or restore a backup."
            ) from None
        first = first or (before,)
        if after == newest():
            return first[0], after


def _step(database: Database) -> tuple[str | None, str]:
    """One migration, if there is one to do: the revision before and after."""
    config = _config()
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    with database.write() as connection:
        if not database.is_sqlite:  # two that migrate at once would both make the tables
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MS}")
        before = current(connection)
        if before is not None and before not in known:
            raise SchemaError(
                f"the database has schema {before}, which this version does not know: it was made "
                "by a newer crm-bridge. Install that version again, or restore a backup."
            )
        if before != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "+1")
        return before, current(connection) or ""


def _make_file(path: Path) -> None:
    """Errors: ``StoreError`` if there is no database file, and none can be made."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder. Name a file in DATABASE_URL, such as {path}/bridge.db."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the database file {path} cannot be made ({error.strerror}). "
            "Name one in DATABASE_URL that this user may write."
        ) from None
