"""What the console shows of mapping files and their cases is what the command line says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.live import load
from bridge.settings import Environment, Settings
from bridge.store.database import Database
from bridge.trial import Trials

SHIPPED = Path(__file__).parents[1] / "mappings"
CAMPAIGNS = """\
campaigns:
  main: {id: camp_1}
  unset: {id: "${UNSET_CAMPAIGN}"}
"""
CRM = """\
source: crm
title: "A CRM of ${OWNER:-nobody}"
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
rules:
  - name: opt-out
    when: "kind == '${STOP_WORD:-stop}'"
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
  - name: details
    lead: {phone_number: phone, first_name: {value: "${CRM_TOKEN}"}, last_name: {value: "${HOME}"}}
"""
OPT_OUT = """\
- name: an opt-out
  payload: {kind: stop, phone: "+14155550123"}
  expect:
    - updates:
        - phone_number: "+14155550123"
          do_not_call: true
          first_name: test-CRM_TOKEN
          last_name: test-HOME
"""
OTHER_WORD = OPT_OUT.replace("an opt-out", "another word").replace("kind: stop", "kind: end")
CASES = OPT_OUT + OTHER_WORD + "  settings: {STOP_WORD: end}\n"
SET = {
    "CRM_TOKEN": "crm-token-of-the-tests",
    "BRIDGE_API_TOKEN": "api-token-of-the-tests",
    "HOME": "/home/somebody",
    "STOP_WORD": "halt",
    "OWNER": "Ada",
    "HUBSPOT_OPT_OUT_PROPERTY": "dnc",
    "BRIDGE_DEFAULT_REGION": "DE",
    "BRIDGE_MAX_DEPTH": "2",
}


def trials(folder: Path, tmp_path: Path) -> Trials:
    url = f"sqlite:///{tmp_path}/bridge.db"
    settings = Settings(Environment({**SET, "BRIDGE_MAPPINGS": str(folder), "DATABASE_URL": url}))
    current = load(settings)

    def here(work: Callable[[], Any]) -> Any:
        return work()

    return Trials(settings, lambda: current, Database(url), here)


def test_every_case_of_every_shipped_file_passes_whatever_is_set(tmp_path: Path) -> None:
    files = trials(SHIPPED, tmp_path).shelf()
    assert len(files) > 20
    for file in files:
        assert file["cases_problem"] == ""
        assert [case for case in file["cases"] if not case["passed"]] == []
        assert [rule["name"] for rule in file["rules"] if not rule["reached"]] == []
        assert len(file["cases"]) >= 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "mappings"
    found.mkdir()
    (found / "campaigns.yaml").write_text(CAMPAIGNS)
    (found / "crm.yaml").write_text(CRM)
    (found / "crm.cases.yaml").write_text(CASES)
    return found


@pytest.mark.parametrize("broken", [False, True])
def test_a_case_sees_its_own_settings_and_none_of_the_process(
    folder: Path, tmp_path: Path, broken: bool
) -> None:
    """Also where a file has just been broken, and those in force are shown."""
    shown = trials(folder, tmp_path)
    if broken:
        (folder / "other.yaml").write_text("source: [")
    (file,) = shown.shelf()
    assert [case["differences"] for case in file["cases"]] == [[], []]
    assert all(rule["reached"] for rule in file["rules"])


def test_a_case_that_fails_tells_no_setting_of_the_process(folder: Path, tmp_path: Path) -> None:
    cases = folder / "crm.cases.yaml"
    cases.write_text(CASES.replace("test-", "guessed-"))
    shown = trials(folder, tmp_path)
    for break_it in (False, True):
        if break_it:
            (folder / "other.yaml").write_text("source: [")
            cases.write_text(CASES.replace("test-", "thought-"))
        (file,) = shown.shelf()
        assert not any(case["passed"] for case in file["cases"])
        for secret in ("CRM_TOKEN", "BRIDGE_API_TOKEN", "HOME"):
            assert SET[secret] not in str(file)


def test_the_version_is_the_one_that_outcomes_name(folder: Path, tmp_path: Path) -> None:
    shown = trials(folder, tmp_path)
    (file,) = shown.shelf()
    in_force = shown._current().mappings["crm"]
    assert file["version"] == in_force.version
    assert file["title"] == "A CRM of Ada"
    assert file["state"] == "ready"


def drafted(shown: Trials, payload: Any) -> dict[str, Any]:
    return shown.draft("crm", CRM, json.dumps(payload).encode(), {})


def test_a_rule_is_told_with_the_conditions_that_decided(folder: Path, tmp_path: Path) -> None:
    shown = trials(folder, tmp_path)
    [event] = drafted(shown, {"kind": "stop", "phone": "+14155550123"})["events"]
    opt_out, details = event["rules"]
    assert (opt_out["fired"], details["fired"]) == (False, True)
    assert opt_out["conditions"] == [
        {"text": "kind == 'halt'", "holds": False, "values": {"kind": '"stop"'}}
    ]
    assert details["conditions"] == []
    [event] = drafted(shown, {"kind": "halt" * 99, "phone": "+14155550123"})["events"]
    assert len(event["rules"][0]["conditions"][0]["values"]["kind"]) <= 101


def test_more_events_than_one_delivery_may_hold_are_told_as_a_worker_does(
    folder: Path, tmp_path: Path
) -> None:
    shown = trials(folder, tmp_path)
    told = drafted(shown, [{"kind": "stop"}] * 1001)
    assert told["events"] == []
    assert told["problem"].startswith("dead: the delivery holds 1,001 events, and 1,000 are")
    assert len(drafted(shown, [{"kind": "stop"}] * 1000)["events"]) == 20
