"""Bodies that a shipped mapping file takes for silent hold no opt-out, and most others are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from bridge.errors import DecodeError
from bridge.map import MappingSet, SourceMapping, load_cases
from bridge.map.case_file import body_of
from bridge.map.expression import walk
from bridge.model import Decoder, Json
from bridge.receive.decode import decode

from .conftest import SHIPPED, looked_at


@pytest.mark.parametrize(
    ("source", "silent", "telling"),
    [
        ("hubspot", "hubspot-app-property-change", "hubspot-app-property-change-do-not-call"),
        ("hubspot", "hubspot-object-property-change", "hubspot-object-property-change-do-not-call"),
        ("hubspot", "hubspot-app-creation", "hubspot-privacy-deletion"),
        ("close", "close-contact-updated", "close-lead-updated"),
        ("zendesk", "zendesk-user-active-changed", "zendesk-trigger"),
    ],
)
def test_a_shipped_file_tells_its_payloads_apart(
    shipped: MappingSet, source: str, silent: str, telling: str
) -> None:
    mapping = shipped.mappings[source]
    assert looked_at(mapping, payload(silent)) == (True, False)
    assert looked_at(mapping, payload(telling)) == (False, True)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("generic", "do_not_call"),
        ("hubspot-workflow", "do_not_call"),
        ("salesforce-flow", "do_not_call"),
        ("freshsales", "do_not_call"),
        ("frappe", "do_not_call"),
    ],
)
def test_a_shipped_file_asks_for_the_field(shipped: MappingSet, source: str, name: str) -> None:
    mapping = shipped.mappings[source]
    person = {
        "phone": "+14155550123",
        "first_name": "José",
        "properties": {"email": "j@example.com"},
    }
    events = ({**person, name: True}, {"data": {**person, name: "yes"}, "record": {name: True}})
    assert looked_at(mapping, json.dumps(person, ensure_ascii=False).encode()) == (True, False)
    found = [looked_at(mapping, json.dumps(event, ensure_ascii=False).encode()) for event in events]
    assert (False, True) in found
    assert not any(silent for silent, _ in found)


def test_no_opt_out_of_a_shipped_file_is_taken_for_silent(shipped: MappingSet) -> None:
    """Its payloads and cases, those of other files, and what chance makes of them."""
    chance = Random(7)
    seen: Counter[tuple[bool, bool]] = Counter()
    foreign = [path.read_bytes() for path in sorted((SHIPPED / "payloads").glob("*.json"))]
    for name, mapping in shipped.mappings.items():
        if mapping.source.decode.decoder is not Decoder.JSON:
            continue
        own = [body_of(case) for case in load_cases(SHIPPED / f"{name}.cases.yaml")]
        used = tuple(sorted(vocabulary(mapping)))
        for body in (*own, *foreign):
            seen[looked_at(mapping, body)] += 1
        for body in (*own * 20, *foreign):
            changed = mutated(decoded(mapping, body), chance, used)
            seen[looked_at(mapping, json.dumps(changed, ensure_ascii=False).encode())] += 1
    assert seen[True, False] > 1000
    assert seen[False, True] > 1000


def payload(name: str) -> bytes:
    return (SHIPPED / "payloads" / f"{name}.json").read_bytes()


def decoded(mapping: SourceMapping, body: bytes) -> Json:
    try:
        return decode(mapping.source.decode, body, max_depth=100)
    except DecodeError:
        return None


def vocabulary(mapping: SourceMapping) -> Iterator[str]:
    """The names and texts of a file's expressions."""
    values = [value for _, value in mapping.plan.defined]
    sources = [source for value in values for source in value.sources]
    whens = [rule.when for rule in mapping.rules if rule.when is not None]
    for one in (mapping.plan.events, *sources, *whens):
        for node in walk(one.tree):
            if node["type"] in ("field", "literal") and isinstance(node["value"], str):
                yield node["value"]


def mutated(node: Json, chance: Random, used: tuple[str, ...]) -> Json:
    """Some names and values replaced by others that the file uses, and some values swapped."""
    if chance.random() < 0.1:
        return chance.choice([True, "yes", None, 1, *used])
    if isinstance(node, list):
        return [mutated(item, chance, used) for item in node]
    if not isinstance(node, dict):
        return node
    values = [mutated(value, chance, used) for value in node.values()]
    if chance.random() < 0.1:
        chance.shuffle(values)
    names = [chance.choice(used) if chance.random() < 0.1 else name for name in node]
    return dict(zip(names, values, strict=True))
