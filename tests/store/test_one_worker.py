"""On SQLite one worker is at work at a time, by whatever name it knows the database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bridge.worker import _alone

from .waiting import until


@pytest.mark.parametrize("second", ["bridge.db", "release/bridge.db", "next/bridge.db"])
def test_a_second_worker_waits_for_the_end_of_the_first(tmp_path: Path, second: str) -> None:
    """A release that links to a file beside it begins while the one before still ends."""
    path = tmp_path / "shared" / "bridge.db"
    path.parent.mkdir()
    path.touch()
    (tmp_path / "bridge.db").symlink_to(path)
    (tmp_path / "release").symlink_to(path.parent)
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "bridge.db").symlink_to("../bridge.db")
    asked: list[bool] = []
    alone = threading.Event()

    def stopping() -> bool:
        asked.append(alone.is_set())
        return False

    def work() -> None:
        with _alone(tmp_path / second, stopping):
            alone.set()

    with _alone(path, lambda: False):
        other = threading.Thread(target=work)
        other.start()
        until(lambda: len(asked) > 2 or alone.is_set())  # it has tried twice by then
        assert not alone.is_set()
    until(alone.is_set)
    other.join(10)
