"""The demonstration empties a folder only if it made it itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.demo.stage import MARKER, DemoFailed, empty


def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--folder", str(tmp_path)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    assert (tmp_path / "thesis" / "chapter.txt").read_text(encoding="utf-8") == "years of work"


def test_a_folder_of_an_earlier_demonstration_is_emptied(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "new" / "demo", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    empty(folder)
    (folder / "mappings").mkdir()
    (folder / "mappings" / "old.yaml").touch()
    (folder / "bridge.db").touch()
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    empty(folder)
    assert [path.name for path in folder.iterdir()] == [MARKER]
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


def test_a_file_in_place_of_the_folder_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "demo-data"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(DemoFailed, match="cannot be used"):
        empty(path)
    assert path.read_text(encoding="utf-8") == "mine"
