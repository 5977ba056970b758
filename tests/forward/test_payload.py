"""The element of a batch, in the documented shape, and what it weighs."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bridge.forward.payload import element, size
from bridge.jsontext import dump_bytes
from bridge.model import FIELDS, Campaign

CAMPAIGN = Campaign(name="main", id="1", url="https://api.example.com", token=None)
DIGITS = Campaign(
    name="main", id="1", url="https://api.example.com", token=None, phone_format="digits"
)
VECTOR = Path(__file__).parent.parent / "vectors" / "voiceaiwrapper-bulk-update-request.json"


def test_the_documented_request_is_made_of_elements() -> None:
    documented = json.loads(VECTOR.read_text())
    rows = documented if isinstance(documented, list) else documented["leads"]
    for row in rows:
        phone = row["phone_number"]
        fields = {name: value for name, value in row.items() if name != "phone_number"}
        assert fields.keys() <= set(FIELDS)
        assert element(CAMPAIGN, phone, fields) == row


def test_a_campaign_may_want_its_numbers_as_digits() -> None:
    assert element(DIGITS, "+14155550123", {})["phone_number"] == "14155550123"


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9)), min_size=1, max_size=9))
def test_the_sizes_of_elements_add_up_to_the_body(rows: list[dict[str, str]]) -> None:
    assert len(dump_bytes(rows)) == 1 + sum(size(row) for row in rows)
