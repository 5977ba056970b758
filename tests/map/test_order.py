"""Which files' opt-outs may be taken in before what came earlier."""

from __future__ import annotations

import pytest

from .conftest import SHIPPED, Load, One

CONTACTS = "  contacts: {ids: [contact]}\n"
OUT = "{name: out, when: dnc, channel: voice, CAMPAIGNS lead: {phone_number: PHONE, SET}}"
SET = "do_not_call: {value: true}"
BOTH = "{all: [phone, _known.phones]}"
AGAIN = (
    "{name: again, when: x && _known.opted_out, channel: voice, CAMPAIGNS"
    " lead: {phone_number: PHONE, SET}}"
)


def rule(text: str, phone: str = BOTH, campaigns: str = "", sets: str = SET) -> str:
    told = f"campaigns: {campaigns}," if campaigns else ""
    given = text.replace("PHONE", phone).replace("CAMPAIGNS", told).replace("SET", sets)
    return f"  - {given}\n"


@pytest.mark.parametrize(
    ("rules", "in_any_order"),
    [
        ([rule(OUT, "phone")], True),
        ([rule(OUT)], False),
        ([rule(OUT), rule(AGAIN)], True),
        ([rule(OUT), rule(AGAIN, "phone")], True),
        ([rule(OUT.replace("when: dnc", "when: dnc && !(_known.opted_out)"))], False),
        ([rule(OUT), rule(AGAIN, campaigns="main")], False),
        ([rule(OUT, campaigns="main"), rule(AGAIN, campaigns="main")], True),
        ([rule(OUT, campaigns="main"), rule(AGAIN)], True),
        ([rule(OUT, campaigns="{from: to}"), rule(AGAIN, campaigns="{from: to}")], False),
        ([rule(OUT, "phone", sets="do_not_call: _known.opted_out")], True),
        ([rule(OUT, sets="first_name: name").replace("channel: voice, ", "")], True),
    ],
)
def test_an_opt_out_to_remembered_numbers_needs_a_rule_that_repeats_it(
    one: One, rules: list[str], *, in_any_order: bool
) -> None:
    text = "rules:\n" + "".join(rules)
    assert one(CONTACTS + text).any_order is in_any_order
    assert one(text).any_order, "nothing is remembered of anybody"


def test_opt_outs_of_every_shipped_file_may_go_ahead(load: Load) -> None:
    files = {path.name: path.read_bytes() for path in SHIPPED.glob("*.yaml")}
    found = load(files).mappings
    assert {name for name, mapping in found.items() if not mapping.any_order} == set()
    assert len(found) > 25
