"""The shipped mappings do what their cases say, and a case that is wrong is told."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import pytest

from bridge.errors import MappingError
from bridge.map import MappingSet, SourceMapping, load_cases, load_mappings, run_cases
from bridge.map.load import CaseMappings
from bridge.model import Delivery, Json, Known, Mapped, State
from bridge.receive.decode import decode as decode_body
from bridge.settings import Environment

from .conftest import SHIPPED

NOTHING = Known()
SOURCES = sorted(
    path.name.removesuffix(".yaml")
    for path in SHIPPED.glob("*.yaml")
    if not path.name.endswith(".cases.yaml") and path.name != "campaigns.yaml"
)


decode = partial(decode_body, max_depth=100)


@cache
def shipped(**environment: str) -> MappingSet:
    return load_mappings(
        SHIPPED,
        Environment(environment),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
        placeholders=True,
    )


@pytest.fixture(scope="module")
def plain() -> MappingSet:
    """The shipped files, with no setting set."""
    return shipped()


@pytest.mark.parametrize("source", SOURCES)
def test_every_case_passes(source: str, plain: MappingSet) -> None:
    cases = load_cases(SHIPPED / f"{source}.cases.yaml")
    assert len(cases) >= 5
    under = CaseMappings(Environment({})).under
    results = run_cases(plain.mappings[source], cases, decode=decode, under=under)
    assert [(r.line, r.name, r.differences) for r in results if not r.passed] == []


PAGES = "".join(
    page.read_text(encoding="utf-8") for page in (SHIPPED.parent / "docs" / "crms").glob("*.md")
)


@pytest.mark.parametrize("source", SOURCES)
def test_a_page_says_how_it_is_set_up(source: str) -> None:
    assert f"mappings/{source}.yaml" in PAGES
    assert f"/hooks/{source}" in PAGES


PRIVACY = "HUBSPOT_PRIVACY_DELETION_OPTS_OUT"


def test_settings_change_what_a_mapping_does() -> None:
    (case,) = [
        case
        for case in load_cases(SHIPPED / "hubspot.cases.yaml")
        if case.name == "a privacy deletion goes to every number that is remembered"
    ]
    off = shipped(**{PRIVACY: "no"}).mappings["hubspot"]
    (result,) = run_cases(off, [case], decode=decode)
    assert "skipped: privacy deletions are switched off" in result.differences[0]
    other = shipped(HUBSPOT_OPT_OUT_PROPERTY="no_calls").mappings["hubspot"]
    results = run_cases(other, load_cases(SHIPPED / "hubspot.cases.yaml"), decode=decode)
    assert not results[0].passed


DND = {"type": "ContactDndUpdate", "id": "C", "phone": "+14155550123", "dnd": True}


@pytest.mark.parametrize("locations", ["L", "K,L", "K, L", "L,K"])
def test_other_locations_change_no_lead_once_locations_are_listed(locations: str) -> None:
    mapping = shipped(GHL_LOCATIONS=locations).mappings["gohighlevel"]
    tag = {**DND, "type": "ContactTagUpdate", "tags": ["do not call"]}
    change = {**DND, "type": "ContactUpdate", "firstName": "Jane"}
    gone = {**DND, "type": "ContactDelete"}
    for event in (DND, tag, change, gone):
        assert mapped_as(mapping, {**event, "locationId": "L"}).updates
        for other in ("M", "", "l", None, 5, "K, L", ["L"]):
            mapped = mapped_as(mapping, {**event, "locationId": other}, Known(opted_out=True))
            assert mapped.state is State.SKIPPED
            assert mapped.reason == "the event is of a location that GHL_LOCATIONS does not list"
            assert (mapped.updates, mapped.phones, mapped.opts_out) == ((), (), None)


def test_any_location_counts_while_none_is_listed() -> None:
    mapping = shipped().mappings["gohighlevel"]
    for location in ("M", None):
        assert mapped_as(mapping, {**DND, "locationId": location}).updates


def test_an_event_id_that_everybody_shares_swallows_nobodys_opt_out() -> None:
    mapping = shipped().mappings["generic"]
    jane = {"event_id": "undefined", "phone": "+14155550123", "first_name": "Jane"}
    events = [
        jane,
        {**jane, "do_not_call": True},
        {**jane, "phone": "+14155550124"},
        {"event_id": "undefined", "phone_number": "+14155550123"},
        {"event_id": "undefined", "contact_id": "42"},
        {"phone": "+14155550123"},
        {"phone": "+14155550123"},
        {"event_id": "", "phone": "+14155550123"},
    ]
    keys = [event.key for event in mapping.split(events, delivery_of("generic"))]
    assert len(set(keys)) == len(events)
    (again,) = mapping.split(dict(jane), delivery_of("generic"))
    assert again.key == keys[0]


@pytest.mark.parametrize(
    "found", ["{", "[]", "5", '{"contact": []}', '{"contact": "x"}', "[" * 100_000]
)
def test_trying_with_records_that_are_no_json_says_so(tmp_path: Path, found: str) -> None:
    """``mapping try --found`` is told apart from a fault of the program."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bridge.cli", "mapping", "try", "hubspot"),
            str(SHIPPED / "payloads" / "hubspot-app-creation.json"),
            *("--found", found),
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "BRIDGE_MAPPINGS": str(SHIPPED)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--found" in done.stderr
    assert "Traceback" not in done.stderr


def delivery_of(source: str) -> Delivery:
    return Delivery(1, "r", source, 1_900_000_000_000, "POST", {}, {}, b"", "x")


def mapped_as(mapping: SourceMapping, event: Json, known: Known = NOTHING) -> Mapped:
    (made,) = mapping.split(event, delivery_of(mapping.source.name))
    return mapping.apply(made, {}, known)


CASES = """\
- name: right
  payload: {phone: "+14155550123", do_not_call: true}
  expect:
    - updates: [{phone_number: "+14155550123", do_not_call: true}]
- name: wrong value
  payload: {phone: "+14155550123", first_name: Jane}
  expect:
    - updates: [{campaigns: all, phone_number: "+14155550123", first_name: Joan}]
- name: wrong number
  payload: {phone: "+14155550123", first_name: Jane}
  expect:
    - updates: [{campaigns: [main], phone_number: "+14155550199", first_name: Jane}]
- name: wrong kind
  payload: {phone: "+14155550123", first_name: Jane}
  expect:
    - skipped: because
- name: wrong reason
  payload: {first_name: Jane}
  expect:
    - skipped: because
- name: wrong state
  payload: {first_name: Jane}
  expect:
    - dead: no phone
- name: wrong count
  payload: [{}, {}]
  expect: []
- name: not decodable
  body: "{"
  expect: []
- name: true is not one
  payload: {phone: "+14155550123", custom_fields: {a: true}}
  expect:
    - updates: [{phone_number: "+14155550123", custom_fields: {a: 1}}]
"""


def test_differences_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "generic.cases.yaml").write_text(CASES)
    cases = load_cases(tmp_path / "generic.cases.yaml")
    results = run_cases(shipped().mappings["generic"], cases, decode=decode)
    assert [(r.name, r.line) for r in results if r.passed] == [("right", 1)]
    told = {r.name: " | ".join(r.differences) for r in results}
    assert told["wrong value"] == ('+14155550123 in main: expected first_name "Joan", found "Jane"')
    assert "found no update" in told["wrong number"]
    assert "not expected" in told["wrong number"]
    assert "found updates" in told["wrong kind"]
    assert "no phone number" in told["wrong reason"]
    assert f"expected dead, found {State.SKIPPED}" in told["wrong state"]
    assert "expected 0 events, found 2" in told["wrong count"]
    assert "cannot be decoded" in told["not decodable"]
    assert not next(r for r in results if r.name == "true is not one").passed


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("{}", "wrong-type", 1),
        ("- name: a\n  payload: 1\n", "missing-key", 1),
        ("- name: a\n  expect: []\n", "one-payload", 1),
        ("- name: a\n  payload_file: nowhere\n  expect: []\n", "no-file", 2),
        ("- name: a\n  payload: 1\n  expect:\n    - updated: []\n", "unknown-key", 4),
        ("- name: a\n  payload: 1\n  received_at: today\n  expect: []\n", "bad-time", 3),
        ("- name: a\n  payload: 1\n  expect:\n    - {skipped: a, dead: b}\n", "one-outcome", 4),
        ("- name: [\n", "yaml-syntax", 2),
    ],
)
def test_mistakes_in_cases_are_told(tmp_path: Path, text: str, code: str, line: int) -> None:
    path = tmp_path / "x.cases.yaml"
    path.write_text(text)
    with pytest.raises(MappingError) as caught:
        load_cases(path)
    assert (code, line) in [(m.code, m.line) for m in caught.value.mistakes]


def test_the_document_shows_what_works(tmp_path: Path) -> None:
    """The whole file in docs/mappings.md loads."""
    text = (SHIPPED.parent / "docs" / "mappings.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]
    (whole,) = [block for block in blocks if block.startswith("source: hubspot")]
    (tmp_path / "hubspot.yaml").write_text(whole)
    (campaigns,) = [block for block in blocks if block.startswith("campaigns:")]
    (tmp_path / "campaigns.yaml").write_text(campaigns)
    loaded = load_mappings(
        tmp_path,
        Environment({}),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
    )
    assert loaded.mappings["hubspot"].source.missing
