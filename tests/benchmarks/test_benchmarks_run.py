"""Every benchmark runs, at a size at which its speed means nothing, and its books balance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, tuple[str, int]] = {
    "accept": ("sqlite", 40),
    "bulk": ("postgresql", 4),
    "drain": ("sqlite", 40),
    "idle": ("postgresql", 5),
    "start-up": ("sqlite", 1),
}
"""The engine and size of each; together they see both."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nice", sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_runs_and_its_books_balance(name: str, tmp_path: Path) -> None:
    engine, size = TINY[name]
    figures = tmp_path / "figures.json"
    ran = run(
        name, "--engine", engine, "--size", str(size), "--rounds", "1", "--json", str(figures)
    )
    assert ran.returncode in (0, 1), ran.stderr  # 1: too slow, which says nothing here
    written = json.loads(figures.read_text())
    assert written["machine"]["libraries"]["flask"]
    (report,) = written["reports"]
    assert report["durability"]
    books = [row for row in report["rows"] if row["target"] == "at most 0"]
    assert books or name == "start-up"
    assert [row for row in books if not row["met"]] == []


def test_every_benchmark_is_tried() -> None:
    from bench.table import BENCHMARKS

    assert TINY.keys() == BENCHMARKS.keys()
