"""Which event is which where an edited mapping splits a delivery in another way than before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Event
from bridge.steps.pairing import paired


def found(keys: str) -> list[Event]:
    return [Event(place, key, 1, False, {"was": place}) for place, key in enumerate(keys)]


def stored(keys: str) -> dict[int, str]:
    return dict(enumerate(keys))


def keys_of(pairs: dict[int, Event]) -> dict[int, str]:
    assert all(event.ordinal == place for place, event in pairs.items())
    return {place: event.key for place, event in sorted(pairs.items())}


@pytest.mark.parametrize(
    ("before", "now", "strict", "loose"),
    [
        ("abc", "abc", "abc", "abc"),
        ("abc", "cab", "abc", "abc"),
        ("ab", "b", {1: "b"}, {1: "b"}),  # a filter drops the first
        ("ab", "xab", {0: "a", 1: "b", 2: "x"}, {0: "a", 1: "b", 2: "x"}),  # one more before them
        ("ab", "xy", "xy", "xy"),  # other identities
        ("ab", "ay", {0: "a", 2: "y"}, {0: "a", 1: "y"}),  # one is gone, or was not read before
        ("ab", "x", {2: "x"}, {0: "x"}),
        ("aa", "aaa", "aaa", "aaa"),  # copies within a delivery
        ("", "ab", "ab", "ab"),
        ("ab", "", "", ""),
    ],
)
def test_an_event_keeps_its_place_by_its_key(
    before: str, now: str, strict: str | dict[int, str], loose: str | dict[int, str]
) -> None:
    for expected, strictly in ((strict, True), (loose, False)):
        pairs = keys_of(paired(stored(before), found(now), strictly=strictly))
        assert pairs == (stored(expected) if isinstance(expected, str) else expected)


@given(st.text("abcd", max_size=6), st.text("abcd", max_size=6), st.booleans())
def test_every_event_has_one_place_and_none_is_taken_for_another_that_is_there(
    before: str, now: str, strictly: bool
) -> None:
    pairs = paired(stored(before), found(now), strictly=strictly)
    assert sorted(event.view["was"] for event in pairs.values()) == list(range(len(now)))
    for key in set(before) & set(now):
        mine = [pairs[at].key for at, was in stored(before).items() if was == key and at in pairs]
        assert mine.count(key) == min(before.count(key), now.count(key))
