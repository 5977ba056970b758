"""The demonstration shows the whole way, and says so by its exit code when it does not go well.

That it ends well is shown from a wheel (``test_wheel``). It brings its own copy of the shipped
mapping files: spoilt ones are in a copy of the program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bridge

PROGRAM = Path(bridge.__file__).parent
SAMPLE = "first_name: {from: propertyValue,"
"""Of the rule that takes a changed first name."""


def spoil(folder: Path, before: str, after: str) -> Path:
    """A copy of the program whose HubSpot mapping says something else; the folder it is in.

    What is compiled comes along: a copy has the times of its files.
    """
    shutil.copytree(PROGRAM, folder / "bridge")
    mapping = folder / "bridge" / "shipped_mappings" / "hubspot.yaml"
    text = mapping.read_text(encoding="utf-8")
    assert before in text
    mapping.write_text(text.replace(before, after), encoding="utf-8")
    return folder


def demo(folder: Path, program: Path) -> subprocess.CompletedProcess[str]:
    """Run a program's demonstration to its end; its files go into ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--folder", str(folder / "demo")],
        env={"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(program)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_mapping_that_does_not_load_fails_the_demonstration(tmp_path: Path) -> None:
    done = demo(tmp_path, spoil(tmp_path, SAMPLE, f"x{SAMPLE}"))
    assert done.returncode not in (0, None)
    assert "Every event ended as it must." not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_mapping_that_fills_the_wrong_field_fails_the_demonstration(tmp_path: Path) -> None:
    done = demo(tmp_path, spoil(tmp_path, SAMPLE, SAMPLE.replace("first_name", "last_name")))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT as it must be" in done.stderr
    assert "first_name" in done.stderr
    assert "Something went wrong." in done.stdout
