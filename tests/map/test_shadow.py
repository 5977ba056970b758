"""What two versions of a mapping do differently shows event by event and field by field."""

from __future__ import annotations

from pathlib import Path

from bridge.map import load_cases
from bridge.map.difference import Difference, Kind, compare
from bridge.map.shadow import Shadow, shadow_cases
from bridge.receive.decode import decode

from .conftest import HEAD, Load

FILE = HEAD.replace("receive:\n", "receive:\n  event_id: [id]\n")
RULES = """\
rules:
  - name: details
    when: phone
    campaigns: [main, second]
    lead: {phone_number: phone, first_name: name, custom_fields: extra}
"""
CASES = """\
- name: two events, one of them without a number
  payload:
    - {id: 1, phone: "+14155550123", name: Jane, nick: J, extra: {a: 1, b: 2}}
    - {id: 2, name: Joe}
  expect: []
- name: nothing to read
  body: "{"
  expect: []
"""


def shadowed(load: Load, folder: Path, before: str, after: str, examples: int = 5) -> Shadow:
    (folder / "crm.cases.yaml").write_text(CASES)
    cases = load_cases(folder / "crm.cases.yaml")
    old, new = (load({"crm.yaml": text}).mappings["crm"] for text in (before, after))
    return shadow_cases(
        cases,
        old,
        new,
        decode=lambda decoder, body: decode(decoder, body, max_depth=20),
        examples=examples,
    )


def test_the_same_file_does_the_same(load: Load, tmp_path: Path) -> None:
    found = shadowed(load, tmp_path, FILE + RULES, FILE + RULES + "# a word\n")
    assert (found.events, found.differs, found.difference.examples) == (3, False, [])
    assert found.difference.leads == {"same": 2}


def test_fields_leads_states_and_identities_are_told_apart(load: Load, tmp_path: Path) -> None:
    after = RULES.replace("first_name: name", "first_name: nick").replace(", second", "")
    after = after.replace("when: phone", 'when: "name"').replace("extra}", '"{a: extra.a}"}')
    found = shadowed(
        load, tmp_path, FILE + RULES, FILE.replace("event_id: [id]", "event_id: [name]") + after
    )
    assert found.difference.leads == {"changed": 1, "gone": 1}
    assert found.keys == 2
    assert found.difference.fields["first_name"] == 2
    assert found.difference.fields["custom_fields.b"] == 2
    changed, gone = found.difference.examples[0]["leads"]
    assert (changed["campaign"], changed["change"]) == ("main", "changed")
    assert {"field": "first_name", "before": "Jane", "after": "J"} in changed["fields"]
    assert {"field": "custom_fields.b", "before": 2} in changed["fields"]
    assert (gone["campaign"], gone["change"]) == ("second", "gone")


def test_a_body_that_one_version_can_read_is_a_difference(load: Load, tmp_path: Path) -> None:
    form = FILE.replace("receive:\n", "receive:\n  decode: form\n")
    found = shadowed(load, tmp_path, FILE + RULES, form + RULES)
    assert found.states["dead → skipped"] == 1
    assert found.differs


def test_no_more_examples_are_kept_than_asked_for_and_everything_is_counted() -> None:
    found = Difference(2)
    for number in range(9):
        before = {("main", f"+{number}{place}"): {"first_name": "a"} for place in range(5)}
        found.add(list(compare(before, {})), {"event": number})
    assert (found.different, found.leads, found.fields) == (9, {"gone": 45}, {"first_name": 45})
    assert [len(example["leads"]) for example in found.examples] == [2, 2]


def test_true_and_one_are_different() -> None:
    (change,) = compare({("main", "+1"): {"a": True}}, {("main", "+1"): {"a": 1}})
    assert change.kind is Kind.CHANGED
