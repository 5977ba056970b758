"""The tutorial in docs/mappings.md does what it says, step by step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import cli

from .conftest import SHIPPED

PAGE = (SHIPPED.parent / "docs" / "mappings.md").read_text(encoding="utf-8")
TUTORIAL = PAGE[PAGE.index("## From a payload") : PAGE.index("## The tools")]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TUTORIAL, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder after the first three steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRIDGE_CAMPAIGN_ID", "camp_1")
    monkeypatch.setenv("BRIDGE_API_TOKEN", "t")
    assert run("init").exit_code == 0
    found = tmp_path / "mappings"
    (payload, mapping, _, _) = [text for _, text in BLOCKS]
    (found / "payloads" / "acme.json").write_text(payload)
    (found / "acme.yaml").write_text(mapping)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["mapping", *arguments])


def test_the_file_is_right_and_does_what_the_case_expects(folder: Path) -> None:
    checked = run("check", "--strict")
    assert "acme.yaml  Acme CRM  not configured: set ACME_TOKEN" in checked.stdout
    assert (checked.exit_code, checked.stderr) == (0, "")
    tried = run("try", "acme", "mappings/payloads/acme.json", "--json")
    (event,) = json.loads(tried.stdout)
    (update,) = event["updates"]
    assert update["do_not_call"] is True
    assert (update["first_name"], update["last_name"]) == ("Jane", "Doe")
    case = BLOCKS[-1][1]
    (folder / "acme.cases.yaml").write_text(case)
    done = run("test", "acme")
    assert done.exit_code == 0, done.output
    assert "1 of 1 cases pass" in done.stdout


def test_a_case_is_made_as_it_says(folder: Path) -> None:
    done = run("case", "--source", "acme", "mappings/payloads/acme.json", "--write")
    assert done.exit_code == 0, done.output
    assert run("test", "acme").exit_code == 0


def test_the_mistake_is_told_as_it_is_shown(folder: Path) -> None:
    path = folder / "acme.yaml"
    path.write_text(path.read_text().replace("do_not_call != `null`", "do_not_call = 'Yes'"))
    told = run("check").stderr.splitlines()
    shown = BLOCKS[2][1].splitlines()
    begin, _, end = shown[0].partition("…")
    assert told[0].startswith(begin.rstrip())
    assert told[0].endswith(end.lstrip())
    assert told[1:3] == shown[1:]
