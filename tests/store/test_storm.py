"""Whoever opted out last is out everywhere, in whatever order things happen: a seeded part.

The whole is ``PYTHONPATH=tests python -m store.storm --runs 200``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.store.database import Database

from . import storm


@pytest.mark.parametrize("seed", [12, 26])
def test_no_opt_out_is_lost_in_a_storm(database: Database, tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    assert storm.run(database, folder, seed) == []
