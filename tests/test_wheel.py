"""The program as a wheel holds everything it needs: in an empty folder, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.dear_setup

PAYLOAD = "mappings/payloads/ghl-contact-update.json"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("bridge", "mappings"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=unwanted)
    for name in ("pyproject.toml", "README.md"):
        shutil.copyfile(ROOT / name, source / name)
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which that wheel is installed."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--quiet", "--no-deps", "--no-index", "--target", str(target), wheel)
    return target


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def crm_bridge(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a folder, with nothing set."""
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_wheel_holds_every_mapping_file_once_and_as_a_file(wheel: Path) -> None:
    held = [name for name in ZipFile(wheel).namelist() if "shipped_mappings/" in name]
    files = [path.relative_to(ROOT / "mappings") for path in (ROOT / "mappings").rglob("*.*")]
    assert sorted(held) == sorted(f"bridge/shipped_mappings/{file.as_posix()}" for file in files)


def test_the_installed_program_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import bridge; print(bridge.__file__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_without_mapping_files_a_command_says_how_to_get_them(
    installed: Path, tmp_path: Path
) -> None:
    assert crm_bridge(installed, tmp_path, "migrate").returncode == 0
    for command in (("web",), ("worker",), ("run",), ("mapping", "check")):
        done = crm_bridge(installed, tmp_path, *command)
        assert done.returncode != 0, command
        assert "crm-bridge mapping init" in done.stdout + done.stderr, command
        assert "Traceback" not in done.stderr, command


def test_mapping_init_makes_an_empty_folder_ready(installed: Path, tmp_path: Path) -> None:
    made = crm_bridge(installed, tmp_path, "mapping", "init")
    assert (made.returncode, made.stderr) == (0, "")
    assert "mappings/hubspot.yaml" in made.stdout
    checked = crm_bridge(installed, tmp_path, "mapping", "check")
    assert checked.returncode == 0, checked.stderr
    assert "gohighlevel.yaml  HighLevel app webhooks  ready" in checked.stdout
    tested = crm_bridge(installed, tmp_path, "mapping", "test")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    tried = crm_bridge(installed, tmp_path, "mapping", "try", "gohighlevel", PAYLOAD)
    assert tried.returncode == 0, tried.stderr


def test_mapping_init_overwrites_nothing(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "generic.yaml").write_text("mine", encoding="utf-8")
    done = crm_bridge(installed, tmp_path, "mapping", "init", "mine")
    assert done.returncode == 2
    assert "already holds generic.yaml" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["generic.yaml"]
    assert (folder / "generic.yaml").read_text(encoding="utf-8") == "mine"


def test_the_demonstration_runs_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    done = crm_bridge(installed, tmp_path, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every event ended as it must." in done.stdout
    assert "WRONG" not in done.stdout
