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


def test_every_library_that_runs_has_one_home() -> None:
    whole = [
        contract
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("source_modules") == ["bridge"]
    ]
    held = {module for contract in whole for module in contract["forbidden_modules"]}
    names = [re.split(r"[\[<>=]", text)[0] for text in PROJECT["project"]["dependencies"]]
    assert {MODULES.get(name, name) for name in names} <= held
