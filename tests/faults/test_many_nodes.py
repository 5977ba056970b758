"""Three web processes and three workers: two are killed, one sleeps past its lease."""

from __future__ import annotations

from pathlib import Path

from store.postgres import Postgres

from .nodes import plan_of, run
from .server import Server


def test_two_dead_nodes_and_one_that_sleeps_cost_no_promise(
    tmp_path: Path, postgres: Postgres, postgres_template: str
) -> None:
    figures = run(plan_of(seed=1, events=500), tmp_path, Server(postgres, postgres_template))
    assert figures["leads freed from lost workers"] >= 1
