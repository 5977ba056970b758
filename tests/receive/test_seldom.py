"""What may happen for every request is said once a while, with how often it happened."""

from __future__ import annotations

from bridge.receive import seldom
from bridge.receive.seldom import Seldom


def test_each_key_is_due_once_in_a_while_and_says_how_often_it_was_asked() -> None:
    now = 0.0
    told = Seldom(60, lambda: now)
    assert [told.due("a") for _ in range(4)] == [1, 0, 0, 0]
    assert told.due("b") == 1
    now = 59.9
    assert told.due("a") == 0
    now = 60.0
    assert [told.due("a"), told.due("a"), told.due("b")] == [5, 0, 1]


def test_many_keys_take_no_more_memory_than_some() -> None:
    told = Seldom(60, lambda: 0.0)
    for number in range(seldom.MOST_KEYS + 5):
        assert told.due(str(number)) == 1
    assert len(told._since) <= seldom.MOST_KEYS
