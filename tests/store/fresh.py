"""A new database in the schema of this version, without going through every migration again.

The migrations themselves are proven by ``test_migrations``, ``test_upgrades`` and whatever calls
``crm-bridge migrate``. Elsewhere a new SQLite file is a copy of one that this process migrated.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from bridge.store import revision
from bridge.store.database import Database
from bridge.store.migrate import migrate


@cache
def migrated_file() -> bytes:
    """An SQLite database without rows, as it lies on disk."""
    with tempfile.TemporaryDirectory(prefix="crm-bridge-fresh-") as folder:
        path = Path(folder) / "bridge.db"
        database = Database(f"sqlite:///{path}")
        migrate(database)
        database.close()
        assert [found.name for found in Path(folder).iterdir()] == ["bridge.db"], "all is in it"
        return path.read_bytes()


def prepare(database: Database) -> None:
    """Give a database this version's schema; one that has it already, by a template, keeps it.

    For a ``Database`` that has not been used yet: its file must not be open while it is made.
    """
    if database.path is not None and not database.path.exists():
        database.path.write_bytes(migrated_file())
        return
    with database.read() as connection:
        have = revision.current(connection)
    if have != revision.newest():
        migrate(database)
