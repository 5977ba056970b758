"""The benchmarks run, at sizes at which their speed means nothing, and their books balance.

Each starts a bridge of its own, which takes seconds. So the suite runs those that between them use
every part of ``bench/``; ``make bench-smoke`` runs all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rig import free_port
from bench.table import BENCHMARKS

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, tuple[str, int]] = {
    "accept": ("sqlite", 40),
    "bulk": ("postgresql", 4),
    "drain": ("postgresql", 40),
    "end-to-end": ("sqlite", 40),
    "look-ups": ("postgresql", 40),
    "idle": ("sqlite", 5),
    "backlog": ("postgresql", 20),
    "untaken": ("sqlite", 1000),
    "flood": ("postgresql", 1000),
    "burst": ("sqlite", 200),
    "growth": ("sqlite", 60),
    "soak": ("postgresql", 2),
    "scale-out": ("postgresql", 10),
    "start-up": ("sqlite", 1),
}
"""The engine and the size of each."""

ALL = os.environ.get("BRIDGE_TEST_BENCHMARKS") == "all"
ALWAYS = ("accept", "backlog", "burst")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.parametrize("name", TINY if ALL else ALWAYS)
def test_a_benchmark_runs_and_its_books_balance(name: str, tmp_path: Path) -> None:
    engine, size = TINY[name]
    figures = tmp_path / "figures.json"
    measured = ["--size", str(size), "--rounds", "1", "--json", str(figures)]
    if name == "accept":  # the sink answers whatever comes, so that it can be its own peer
        port = free_port()
        measured += ["--sink-port", str(port), "--peer", f"http://127.0.0.1:{port}/anything"]
    ran = run(name, "--engine", engine, *measured)
    assert ran.returncode in (0, 1), ran.stderr  # 1: a target was missed, which says nothing here
    written = json.loads(figures.read_text())
    assert written["machine"]["libraries"]["flask"]
    assert 0 < written["machine"]["whole cores"] <= written["machine"]["cores"]
    (report,) = written["reports"]
    assert report["durability"]
    found = {row["name"]: row["value"] for row in report["rows"]}
    assert 0 < found["cores in use"] <= 100
    assert 0 <= found["cores taken by the host"] <= 100.01 - found["cores in use"]
    books = [row for row in report["rows"] if row["target"] == "at most 0"]
    assert [row for row in books if not row["met"]] == []
    assert books or name == "start-up"
    if name == "accept":
        assert found["peer's calls of the sink"] == size
    assert ran.returncode == int(any(row["met"] is False for row in report["rows"]))


def test_every_benchmark_has_a_size_for_this() -> None:
    assert TINY.keys() == BENCHMARKS.keys()
    assert all(TINY[name][0] in one.engines for name, one in BENCHMARKS.items())


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    ran = run("acept")
    assert ran.returncode == 2
    assert "acept" in ran.stderr
    assert all(name in ran.stderr for name in BENCHMARKS)
