"""A case can say that a look-up fails; what then becomes of the event is what a worker does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bridge.errors import MappingError
from bridge.map import CaseResult, SourceMapping, load_cases, run_cases
from bridge.map.coverage import Coverage
from bridge.receive.decode import decode

from .conftest import HEAD, One

FILE = (
    HEAD
    + """\
enrich:
  person: {url: "https://crm.example/{id}", token: "${CRM_TOKEN}", optional: 60, ids: contact}
  company:
    url: "https://crm.example/of/{id}"
    token: "${CRM_TOKEN}"
    when: company
    ids: company
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: {first: [phone, person.phone]}, first_name: name, last_name: person.last}
"""
)
CASE = """\
- name: one
  payload: {contact: "7", %s}
  fails: [%s]
  expect:
    - %s
"""
NAMED = 'name: Ann, phone: "+14155550123"'
SENT = 'updates: [{phone_number: "+14155550123", first_name: Ann}]'


@pytest.fixture
def mapping(one: One) -> SourceMapping:
    return one(FILE)


def ran(mapping: SourceMapping, folder: Path, text: str, known: str = "") -> CaseResult:
    path = folder / "crm.cases.yaml"
    path.write_text(text + known)
    (result,) = run_cases(
        mapping,
        load_cases(path),
        decode=partial(decode, max_depth=9),
        coverage=Coverage(mapping),
    )
    return result


@pytest.mark.parametrize(
    ("case", "more"),
    [
        ((NAMED, "person", SENT), ""),
        ((NAMED, "company", SENT), "  found: {person: {}}\n"),  # this event does not ask for it
        (("name: Ann", "person", "waits: person"), ""),  # nothing would be sent
        (('dnc: true, phone: "+14155550123"', "person", "waits: person"), ""),
        ((NAMED, "person", "waits: person"), "  known: {opted_out: true}\n"),
        ((f'{NAMED}, company: "1"', "company", "waits: company"), ""),  # it is not optional
        ((f'{NAMED}, company: "1"', "person, company", "waits: company"), ""),
    ],
)
def test_an_event_goes_on_or_waits_as_it_would(
    mapping: SourceMapping, tmp_path: Path, case: tuple[str, str, str], more: str
) -> None:
    assert ran(mapping, tmp_path, CASE % case, more).differences == ()


@pytest.mark.parametrize(
    ("case", "difference"),
    [
        (("name: Ann", "person", SENT), "expected updates, found that it waits for person"),
        (
            (NAMED, "person", "waits: person"),
            "expected that it waits for person, found updates: +14155550123 in main",
        ),
        (
            ('phone: "+14155550123"', "person, nobody", "skipped: no rule"),
            "`fails` names nobody, and the mapping has no such look-up",
        ),
    ],
)
def test_another_end_is_a_difference(
    mapping: SourceMapping, tmp_path: Path, case: tuple[str, str, str], difference: str
) -> None:
    told = ran(mapping, tmp_path, CASE % case).differences
    assert any(one.startswith(difference) for one in told)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CASE % (NAMED, "", "waits: person"), "waits-for-nothing"),
        (CASE % (NAMED, "person", SENT) + "  found: {person: {'7': {}}}\n", "found-and-fails"),
        (CASE % (NAMED, "person", f"{SENT}\n      waits: person"), "one-outcome"),
        (CASE % (NAMED, "person", "waits: person\n      erase: true"), "erase-and-waits"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "crm.cases.yaml"
    path.write_text(text)
    with pytest.raises(MappingError) as told:
        load_cases(path)
    assert [mistake.code for mistake in told.value.mistakes] == [code]
