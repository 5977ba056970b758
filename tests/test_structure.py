"""The rules of structure leave nothing out: import-linter holds them, and here is what it holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = {"pyjwt": "jwt", "python-dotenv": "dotenv", "pyyaml": "yaml"}
"""Under which name a library is imported, where that is another than its own."""
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]


def contract(name: str) -> dict[str, Any]:
    return next(one for one in CONTRACTS if one["name"] == name)


def test_every_module_has_its_place() -> None:
    paths = (ROOT / "bridge").iterdir()
    there = {
        f"bridge.{path.stem}"
        for path in paths
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    leaves = contract("Leaves know leaves only")
    assert {*leaves["source_modules"], *leaves["forbidden_modules"]} == there
    sandbox = contract("The sandbox knows nothing of the bridge")
    assert {*sandbox["forbidden_modules"], "bridge.sandbox"} == there
    stages = set(contract("Stages are strangers to each other")["modules"]) | {"bridge.store"}
    up = contract("Stages do not reach up to the steps, the pipeline and the processes")
    assert {*up["source_modules"], "bridge.sandbox"} == stages
    assert {*up["forbidden_modules"], *stages, *leaves["source_modules"]} == there
    steps = contract("Steps and pipeline do not reach up to the processes")
    assert {*steps["source_modules"], *steps["forbidden_modules"]} == {*up["forbidden_modules"]}


def test_every_library_that_runs_has_one_home() -> None:
    whole = [one for one in CONTRACTS if one.get("source_modules") == ["bridge"]]
    held = {module for one in whole for module in one["forbidden_modules"]}
    names = [re.split(r"[\[<>=]", text)[0] for text in PROJECT["project"]["dependencies"]]
    assert {MODULES.get(name, name) for name in names} <= held
