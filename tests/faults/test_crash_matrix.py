"""A short, seeded part of the crash matrix; ``make faults`` runs the whole.

On each engine the seed that has the most in one run: look-ups on both, and between them every kind
of blow but an API that sleeps and a worker that is asked to end, which system tests have.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from system.story import CAMPAIGNS

from .one_run import run
from .plan import drawn
from .server import Server

SEEDS = {"sqlite": 3, "postgresql": 3}


@pytest.mark.parametrize(("engine", "seed"), SEEDS.items())
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
