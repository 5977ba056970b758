"""From every released schema, with its rows, to this version's; and who goes on meanwhile.

``released/`` holds each schema as it was released, made by its own migrations, with rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bridge.errors import SchemaError, StoreBusy
from bridge.operate.audit import Audit
from bridge.store import deliveries, migrate, revision
from bridge.store.database import Connection, Database

from .idle_worker import idle_worker
from .replaying import World
from .rows import a_delivery

RELEASED = Path(__file__).parent / "released"
REVISIONS = sorted({path.name.split(".")[0] for path in RELEASED.glob("*.sql")})
PATIENCE_S = 0.8
"""How long a webhook, and a health check's small write, waits for the database by default."""

MANY = 100_000


def make(database: Database, revision: str) -> None:
    """The schema and rows as they were released."""
    if database.path is not None:
        database.path.touch()
    engine = database.engine.dialect.name
    with database.write() as connection:
        for line in (RELEASED / f"{revision}.{engine}.sql").read_text().splitlines():
            connection.exec_driver_sql(line)


def everything(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of the first schema, by column."""
    tables = [
        "delivery",
        "event",
        "lead",
        "outcome",
        "batch",
        "contact",
        "campaign",
        "refusal",
        "heartbeat",
    ]
    return {
        name: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {name}"))]
        for name in tables
    }


def add_as_before(connection: Connection) -> None:
    """A delivery as the first release stores one, which knows no later column."""
    row = a_delivery()
    values = {
        "receipt": row.receipt,
        "source": row.source,
        "received_at": row.received_at,
        "method": row.method,
        "path": row.path,
        "query": "{}",
        "headers": "{}",
        "body": row.body,
        "address": row.address,
        "scheme": row.scheme,
        "state": "stored",
    }
    names = ", ".join(values)
    given = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO delivery ({names}) VALUES ({given})"), values)


@pytest.fixture
def old(empty_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = Database(empty_url)
    make(database, getattr(request, "param", "0001"))
    yield database
    database.close()


@pytest.mark.parametrize("old", REVISIONS, indirect=True)
def test_an_upgrade_keeps_every_row_as_it_was(old: Database) -> None:
    with old.read() as connection:
        before = everything(connection)
    assert all(before.values())
    assert migrate.migrate(old)[1] == revision.newest()
    revision.check(old)
    with old.read() as connection:
        after = everything(connection)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows, table
    report = Audit(old, standing_period=1826 * 86_400_000, full=True).run()
    assert report.clean, report.breaches


def test_webhooks_are_taken_while_a_database_with_many_rows_is_upgraded(
    old: Database, empty_url: str
) -> None:
    _multiply(old)
    web = Database(empty_url, busy_timeout_s=PATIENCE_S, statement_timeout_s=PATIENCE_S + 1)
    done = threading.Event()

    def take() -> tuple[int, float]:
        """As the web process of the release before: ready, and webhooks on disk."""
        count, longest = 0, 0.0
        while not done.is_set():
            began = time.monotonic()
            with web.write() as connection:
                deliveries.prove_writable(connection, "web", 1)
                add_as_before(connection)
            longest = max(longest, time.monotonic() - began)
            count += 1
        return count, longest

    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(take)
        try:
            migrate.migrate(old)
        finally:
            done.set()
        count, longest = taking.result(60)  # a write that waits for too long is StoreBusy
    web.close()
    assert count > 0
    with old.read() as connection:
        stored = connection.scalar(text("SELECT count(*) FROM delivery"))
    assert stored == 3 + MANY + count
    print(f"{count} writes during the upgrade, the longest took {longest:.3f} s")  # noqa: T201


def _multiply(database: Database) -> None:
    series = "WITH RECURSIVE s(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM s WHERE n < :many) "
    blob = "CAST('{}' AS BLOB)" if database.is_sqlite else "CAST('{}' AS bytea)"
    head = (
        "INSERT INTO delivery (receipt, source, received_at, method, path, query, headers, body, "
        "address, scheme, state, version) "
    )
    rows = (
        "SELECT 'many ' || n, 'hubspot', 1, 'POST', '/', '{}', '{}', "
        f"{blob}, '', '', 'done', 'v1' FROM s"
    )
    whole = head + series + rows if database.is_sqlite else series + head + rows
    with database.write() as connection:
        connection.execute(text(whole), {"many": MANY})


def test_an_upgrade_waits_for_those_who_hold_a_table_and_holds_up_nobody(
    old: Database, opened_at: Callable[..., Database]
) -> None:
    reader, web = opened_at(), opened_at(busy_timeout_s=PATIENCE_S)
    if old.is_sqlite:
        pytest.skip("on SQLite readers hold up nobody")
    with ThreadPoolExecutor(1) as pool:
        with reader.read() as connection:  # as a long listing would
            connection.execute(text("SELECT count(*) FROM delivery"))
            upgrading = pool.submit(migrate.migrate, old)
            for _ in range(20):
                with web.write() as other:
                    add_as_before(other)
            assert not upgrading.done()
        assert upgrading.result(60)[1] == revision.newest()


@pytest.fixture
def opened_at(empty_url: str) -> Iterator[Callable[..., Database]]:
    made: list[Database] = []

    def open_one(**options: Any) -> Database:
        made.append(Database(empty_url, **options))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def test_an_upgrade_that_gets_no_turn_gives_up_between_two_steps_and_goes_on_later(
    old: Database, opened_at: Callable[..., Database]
) -> None:
    short = opened_at(busy_timeout_s=0.2)
    with old.write() as connection:
        connection.execute(text("UPDATE delivery SET path = path"))
        with capture_logs() as told, pytest.raises(StoreBusy):
            migrate.migrate(short, patience_s=2.0)
    (line,) = [one for one in told if one["event"] == "waiting for the database"]
    assert (line["seconds"], line["log_level"]) == (2.0, "warning")
    assert line["reason"]
    with old.read() as connection:
        begun = revision.current(connection)
        assert begun is not None
        assert begun < revision.newest()
    assert migrate.migrate(short) == (begun, revision.newest())


def test_a_running_process_goes_on_with_a_newer_schema_that_says_so(database: Database) -> None:
    revision.still_fits(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9998'"))
    revision.still_fits(database)
    with pytest.raises(SchemaError, match="9998"):
        revision.check(database)  # but none begins
    with database.write() as connection:
        connection.execute(text("UPDATE compatibility SET oldest = '9998'"))
    with pytest.raises(SchemaError, match="cannot go on"):
        revision.still_fits(database)


def test_a_running_process_does_not_go_on_with_an_older_schema(old: Database) -> None:
    with pytest.raises(SchemaError, match="cannot go on"):
        revision.still_fits(old)


def test_a_table_that_was_changed_right_after_the_look_ends_the_worker_as_well(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = revision.still_fits

    def look(seen: Database) -> None:
        plain(seen)
        with database.write() as connection:
            connection.execute(text("UPDATE compatibility SET oldest = '9998'"))
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            connection.execute(text("DROP TABLE IF EXISTS worker"))

    monkeypatch.setattr(revision, "still_fits", look)
    with idle_worker(World(database, tmp_path), url, monkeypatch) as (worker, _):
        worker._tend()
        assert worker.bells.stopping
        assert "9999" in str(worker._outgrown)


def test_a_worker_takes_in_nothing_once_the_schema_has_outgrown_it(
    database: Database, tmp_path: Path
) -> None:
    """Also before it ends: what is there may be stored in a way that it cannot read."""
    world = World(database, tmp_path)
    receipt = world.receive({"id": 1, "phone": "+14155550101", "dnc": True, "at": 1})
    with database.write() as connection:
        connection.execute(text("UPDATE compatibility SET oldest = '9998'"))
    world.worker().take_in()
    assert world.outcomes() == []
    with database.write() as connection:
        connection.execute(text("UPDATE compatibility SET oldest = '0012'"))
    world.worker().take_in()
    assert {row["receipt"] for row in world.outcomes()} == {receipt}
