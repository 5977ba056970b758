"""The migrations make exactly the declared schema, once, and refuse what they do not know."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from bridge.errors import SchemaError, StoreError
from bridge.model import State
from bridge.store import history, migrate, revision
from bridge.store.database import Database
from bridge.store.schema import whole


def upgrade_to(connection: Connection, goal: str) -> None:
    """Bring an empty database to the schema that an earlier version made."""
    config = Config()
    config.set_main_option("script_location", str(revision.MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, goal)


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def test_migrations_make_exactly_the_declared_schema(empty: Database) -> None:
    assert migrate.migrate(empty) == (None, revision.newest())
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, whole()) == []


def test_every_declared_index_is_there_with_its_condition(database: Database) -> None:
    dialect = database.engine.dialect.name
    with database.read() as connection:
        inspector = inspect(connection)
        for table in whole().sorted_tables:
            made = {
                index["name"]: index["dialect_options"].get(f"{dialect}_where")
                for index in inspector.get_indexes(table.name)
                if "duplicates_constraint" not in index
            }
            for index in table.indexes:
                declared = index.dialect_options[dialect]["where"]
                assert index.name in made
                assert (made[index.name] is None) == (declared is None), index.name


def test_a_second_migration_changes_nothing(database: Database) -> None:
    assert migrate.migrate(database) == (revision.newest(), revision.newest())
    revision.check(database)


def test_the_newest_revision_is_the_head_of_the_chain(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(revision.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [revision.newest()]
    with database.read() as connection:
        known = MigrationContext.configure(connection).get_current_revision()
        assert revision.current(connection) == known == revision.newest()


def test_processes_may_migrate_at_once(empty_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": empty_url, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "bridge.cli", "migrate"]
    running = [subprocess.Popen(command, env=environment, cwd=tmp_path) for _ in range(3)]
    assert [process.wait(240) for process in running] == [0, 0, 0]
    database = Database(empty_url)
    revision.check(database)
    database.close()


def test_an_empty_database_is_refused_with_the_command_to_run(empty: Database) -> None:
    if empty.path is not None:
        empty.path.touch()
    with pytest.raises(SchemaError, match=r"is empty.*crm-bridge migrate"):
        revision.check(empty)


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=r"9999.*newer crm-bridge"):
        migrate.migrate(database)
    with pytest.raises(SchemaError, match="has schema 9999"):
        revision.check(database)
    with database.read() as connection:
        assert revision.current(connection) == "9999"


def test_the_folder_of_a_new_sqlite_database_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'folder' / 'bridge.db'}")
    migrate.migrate(database)
    revision.check(database)
    database.close()


def test_the_outcomes_of_the_first_schema_are_those_of_the_first_way(empty: Database) -> None:
    columns = (
        "event_id, delivery_id, receipt, source, campaign, phone, state, fields, opts_out, rules, "
        "event_time, key, version, accepted_at, tries, doubtful, message"
    )
    values = "1, 1, 'r', 'crm', 'main', '+1', 'dead', '{}', false, '[]', 5, 'k', 'v', 5, 0, false"
    row = f"INSERT INTO outcome ({columns}) VALUES ({values}, 'why')"
    if empty.path is not None:
        empty.path.touch()
    with empty.write() as connection:
        upgrade_to(connection, "0001")
        connection.execute(text(row))
    migrate.migrate(empty)
    with empty.write() as connection:
        connection.execute(text(row.replace("1, 1,", "2, 1,")))
        seen = connection.execute(text("SELECT id, replay_id, message FROM outcome ORDER BY id"))
        assert [tuple(one) for one in seen] == [(1, 0, "why"), (2, 0, "why")]
    with pytest.raises(StoreError, match=r"(?i)unique"), empty.write() as connection:
        connection.execute(text(row))


def test_replays_of_before_are_counted_when_counts_begin(empty: Database) -> None:
    columns = (
        "event_id, delivery_id, receipt, source, campaign, phone, state, fields, opts_out, rules, "
        "event_time, key, version, accepted_at, tries, doubtful, message, replay_id"
    )
    rest = "'{}', false, '[]', 5, 'k', 'v', 5, 0, false, ''"
    rows = [(1, "dead", 0), (1, "updated", 1), (2, "updated", 1), (3, "in_flight", 1)]
    if empty.path is not None:
        empty.path.touch()
    with empty.write() as connection:
        upgrade_to(connection, "0008")
        for event, state, replay in rows:
            values = f"{event}, 1, 'r', 'crm', 'main', '+1', '{state}', {rest}, {replay}"
            connection.execute(text(f"INSERT INTO outcome ({columns}) VALUES ({values})"))
    migrate.migrate(empty)
    with empty.read() as connection:
        found = history.counts_of_replays(connection, [1])
    assert found == {1: {State.UPDATED: 2, State.IN_FLIGHT: 1}}
