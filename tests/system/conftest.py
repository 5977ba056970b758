"""Real processes for each test: a sandbox that stands for the campaign API, and a bridge.

A test marked ``on_both_engines`` runs once over SQLite, with one web process and one worker, and
once over PostgreSQL, with two of each on one database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge
from sandbox_client import Sandbox
from store.postgres import Postgres

from .mapping_files import write_mappings

MakeBridge = Callable[..., Bridge]

ENGINES = ("sqlite", "postgresql")
on_both_engines = pytest.mark.parametrize("engine", ENGINES)

CAMPAIGNS = {"one": "camp_one", "two": "c2FtcGxl/Y2FtcGFpZ24="}


def bridge_over(
    folder: Path,
    sandbox: Sandbox,
    *,
    mappings: Path | None = None,
    campaigns: Mapping[str, str] = CAMPAIGNS,
    settings: Mapping[str, str] | None = None,
    database_url: str | None = None,
    processes: int = 1,
    **tuning: Any,
) -> Bridge:
    """A bridge, not started yet, that sends to the sandbox."""
    if mappings is None:
        mappings = write_mappings(folder / "mappings", campaigns, **tuning)
    return Bridge(
        folder,
        mappings=mappings,
        api_url=sandbox.url,
        api_token=sandbox.token,
        settings=settings,
        database_url=database_url,
        processes=processes,
    )


@contextmanager
def shared_database(engine: str, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What ``bridge_over`` needs for an engine: on PostgreSQL a database, and two of each kind."""
    if engine == "sqlite":
        yield {}
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = postgres.create(request.getfixturevalue("postgres_template"))
    yield {"database_url": postgres.url(name), "processes": 2}
    # it goes with its server: dropping it would wait for a checkpoint


@pytest.fixture
def engine() -> str:
    """The engine of a test that does not say otherwise."""
    return "sqlite"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A running sandbox that has the usual campaigns."""
    with Sandbox(tmp_path, campaigns=list(CAMPAIGNS.values())) as running:
        yield running


@pytest.fixture
def make_bridge(
    tmp_path: Path, sandbox: Sandbox, engine: str, request: pytest.FixtureRequest
) -> Iterator[MakeBridge]:
    """Makes bridges over the sandbox; whatever they started has ended when the test ends."""
    with shared_database(engine, request) as over, ExitStack() as stack:

        def make(**options: Any) -> Bridge:
            return stack.enter_context(bridge_over(tmp_path, sandbox, **{**over, **options}))

        yield make
