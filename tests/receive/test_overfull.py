"""Which bodies are looked into for too many events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.overfull import SEPARATORS, may_hold_more


@given(
    pieces=st.lists(st.sampled_from([*SEPARATORS, b"a", b"\x00", b"long"]), max_size=40),
    most=st.integers(1, 30),
)
def test_a_body_may_hold_one_event_more_than_it_has_separators(
    pieces: list[bytes], most: int
) -> None:
    separators = sum(piece in SEPARATORS for piece in pieces)
    assert may_hold_more(b"".join(pieces), most) is (separators + 1 > most)
