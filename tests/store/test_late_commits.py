"""What is taken in may reach PostgreSQL's disk a moment later, and nothing is lost by that."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import event

from bridge.model import Lane, State
from bridge.steps.claim import claim
from bridge.store.database import Connection, Database

from .fresh import prepare
from .postgres import Postgres, running
from .replaying import CONSENT, HEAD, LOOK_UP, RULES, World

# SQLite waits for the disk at every commit
ENGINE = "postgresql"

OPT_OUT = {"id": 1, "phone": "+14155550100", "at": 1_700_000_000_000, "dnc": True}


@pytest.fixture
def late(database: Database) -> list[Connection]:
    """The transactions whose commit PostgreSQL was not to wait for, by its own word."""
    found: list[Connection] = []

    def look(connection: Connection) -> None:
        if connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off":
            found.append(connection)

    event.listen(database.engine, "commit", look)
    return found


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    (tmp_path / "mappings").mkdir()
    return World(database, tmp_path / "mappings")


@pytest.mark.parametrize("engine", [ENGINE])
def test_what_leads_to_calls_is_not_waited_for(world: World, late: list[Connection]) -> None:
    world.receive(OPT_OUT)
    assert world.worker().take_in() == 1
    assert len(late) == 1


@pytest.mark.parametrize("engine", [ENGINE])
@pytest.mark.parametrize(
    "last",
    [
        pytest.param(OPT_OUT, id="a copy"),
        pytest.param({"id": 2, "at": 1_700_000_000_000}, id="nothing to send"),
        pytest.param(b"no JSON", id="cannot be read"),
    ],
)
def test_what_ends_here_is_on_disk_before_it_is_told(
    world: World, late: list[Connection], last: Any
) -> None:
    world.take_in(OPT_OUT)
    late.clear()
    world.receive({**OPT_OUT, "id": 3})
    world.receive(last)
    assert world.worker().take_in() == 2
    assert late == []


@pytest.mark.parametrize("engine", [ENGINE])
def test_what_waits_for_a_look_up_is_on_disk(world: World, late: list[Connection]) -> None:
    world.write(HEAD + LOOK_UP + CONSENT)
    world.receive({"id": 1, "contact": "7", "at": 1_700_000_000_000, "dnc": True})
    assert world.worker().take_in() == 1
    assert late == []


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own, which writes late what nobody waits for."""
    with running() as found:
        found.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        found.execute("SELECT pg_reload_conf()")
        yield found


def crash(server: Postgres) -> None:
    """The server ends without writing anything more, and comes up again."""
    folder = Path(parse_qs(urlsplit(server.admin).query)["host"][0])
    pid = int((folder / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 30
    while (folder / "postmaster.pid").exists() and Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the server does not end"
        time.sleep(0.01)
    server.start()


def test_a_server_that_fails_has_all_of_it_or_the_delivery(
    server: Postgres, tmp_path: Path
) -> None:
    """Taken in again if it was lost; never without it once anybody could act on it."""
    database = Database(server.url(server.create()))
    prepare(database)
    (tmp_path / "mappings").mkdir()
    world = World(database, tmp_path / "mappings")
    world.write(HEAD + RULES, ("one",))
    world.receive(OPT_OUT)
    assert world.worker().take_in() == 1
    crash(server)
    again = world.worker().take_in()
    assert again in (0, 1)  # 0 where something else of the server had to reach the disk meanwhile
    assert [row["state"] for row in world.outcomes()] == [State.WAITING.value]
    campaign = world.mappings.campaigns["one"]
    taken = claim(world.worker()._equipment, campaign, Lane.OPT_OUT)
    assert [one.sent.payload["do_not_call"] for one in taken.claimed] == [True]
    crash(server)
    assert world.worker().take_in() == 0
    assert [row["state"] for row in world.outcomes()] == [State.IN_FLIGHT.value]
    database.close()
