"""A short, seeded part of the crash matrix; ``make faults`` runs the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.story import CAMPAIGNS

from .one_run import run
from .plan import drawn
from .server import Server

SEEDS = {"sqlite": (1, 3), "postgresql": (4, 6)}


@pytest.mark.parametrize(
    ("engine", "seed"), [(engine, seed) for engine, seeds in SEEDS.items() for seed in seeds]
)
def test_whatever_is_killed_and_however_the_api_lies_every_promise_holds(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str, seed: int
) -> None:
    plan = drawn(seed, engine, CAMPAIGNS)
    server = None
    if engine == "postgresql":
        postgres = request.getfixturevalue("postgres")
        server = Server(postgres, request.getfixturevalue("postgres_template"))
    figures = run(plan, tmp_path, server)
    assert figures.blows == len(plan.actions)
