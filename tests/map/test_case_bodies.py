"""A case sees what a worker would: lists made, what is dropped gone; its branches are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.map import CaseResult, SourceMapping, load_cases, run_cases
from bridge.map.case_maker import make_case
from bridge.map.coverage import Coverage
from bridge.map.document import parse_document
from bridge.map.load import CaseMappings
from bridge.map.trace import trace
from bridge.model import Delivery, Known
from bridge.receive.decode import decode
from bridge.settings import Environment

from .conftest import HEAD, One

RECEIVE = """\
  lists: [items]
  drop: {body: [session], headers: [X-Session], query: [sig]}
  events: items
  each: ids
"""
RULES = """\
define:
  word: {from: "_body.a.b || _body.c.d.e", to: [trim, upper]}
  who: {first: [name, _headers."x-session", _query.sig, _body.session]}
rules:
  - name: forget
    when: word == 'FORGET'
    erase: true
    channel: voice
    campaigns: main
    lead: {phone_number: _item, do_not_call: {value: true}, first_name: who}
"""
CASES = """\
- name: one item where a list belongs, and what must not be stored
  headers: {X-Session: kept out}
  query: {sig: kept out}
  %s
  expect:
    - erase: true
      updates: [{campaigns: [main], phone_number: "+14155550123", do_not_call: true}]
    - erase: true
      updates: [{campaigns: [main], phone_number: "+14155550124", do_not_call: true}]
"""
DATA = (
    '{"items": {"ids": ["+14155550123", "+14155550124"]}, "session": "no", "a": {"b": " forget "}}'
)


@pytest.fixture
def mapping(one: One) -> SourceMapping:
    return one(HEAD.replace("receive:\n", "receive:\n" + RECEIVE) + RULES)


def run(
    mapping: SourceMapping, folder: Path, text: str, coverage: Coverage | None = None
) -> list[CaseResult]:
    (folder / "crm.cases.yaml").write_text(text)
    return run_cases(
        mapping,
        load_cases(folder / "crm.cases.yaml"),
        decode=lambda how, body: decode(how, body, max_depth=20),
        under=CaseMappings(Environment({})).under,
        coverage=coverage,
    )


@pytest.mark.parametrize("written", [f"payload: {DATA}", f"body: '{DATA}'"])
def test_lists_and_drop_hold_for_cases(
    mapping: SourceMapping, tmp_path: Path, written: str
) -> None:
    (result,) = run(mapping, tmp_path, CASES % written)
    assert result.differences == ()


def test_the_branches_of_definitions_count(mapping: SourceMapping, tmp_path: Path) -> None:
    coverage = Coverage(mapping)
    run(mapping, tmp_path, CASES % f"payload: {DATA}", coverage)
    left = {branch.part: branch.path for branch in coverage.left()}
    assert left["_body.c.d.e"] == ("define", "word", "from")
    assert left["name"] == ("define", "who", "first", 0)
    assert "_body.a.b" not in left


def test_what_erases_shows_in_trace_and_new_case(
    mapping: SourceMapping, delivery: Callable[..., Delivery]
) -> None:
    arrived = delivery()
    document = decode(mapping.source.decode, DATA.encode(), max_depth=20)
    event, _ = mapping.split(document, arrived)
    assert trace(mapping, event, {}, Known()).as_json()["erases"] is True
    made = make_case(
        "x",
        mapping,
        parse_document(mapping.kept.text.encode(), "crm.yaml"),
        replace(arrived, body=DATA.encode()),
        given={},
        known=Known(),
        settings={},
        decode=lambda how, body: decode(how, body, max_depth=20),
    )
    assert made.text().count('"erase": true') == 2
