"""JSON text of values that we made ourselves."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import jsontext
from bridge.model import State

NAMES = st.one_of(st.text(), st.integers(-(2**53) + 1, 2**53 - 1), st.sampled_from(State))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_it_reads_back_with_names_that_are_no_text_written_as_text(value: object) -> None:
    def named(part: object) -> object:
        if isinstance(part, dict):
            return [(f"{name}", named(one)) for name, one in part.items()]
        return [named(one) for one in part] if isinstance(part, list) else part

    found = json.loads(jsontext.dumps(value), object_pairs_hook=lambda pairs: pairs)
    assert found == named(value)


def test_what_is_no_json_is_an_error() -> None:
    for value in (object(), {"a": {1, 2}}, "\ud800"):
        with pytest.raises(TypeError):
            jsontext.dumps(value)
