"""What campaigns of one token share: the pace in a fair row, and what a 429 says about others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.record.account import FULL, Account
from bridge.record.gate import Gate, GatePolicy

T = TypeVar("T")


ALIVE: list[ThreadPoolExecutor] = []


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The threads of a test live until its end, so that no two have one identity."""
    yield
    while ALIVE:
        ALIVE.pop().shutdown()


def elsewhere(work: Callable[[], T]) -> T:
    """What the work gives in a thread of its own."""
    ALIVE.append(ThreadPoolExecutor(1))
    return ALIVE[-1].submit(work).result()


def shared(rate: float = 0, concurrency: int = 0, campaigns: int = 2) -> Account:
    account = Account()
    account.set_limits(rate, concurrency, campaigns)
    return account


def test_without_limits_nobody_waits() -> None:
    account = shared()
    assert [account.try_pass(name, 0, urgent=False) for name in "abcabc"] == [0] * 6


def test_all_campaigns_of_a_token_keep_one_pace() -> None:
    account = shared(rate=4)
    assert account.try_pass("a", 0, urgent=False) == 0
    assert account.try_pass("b", 0, urgent=False) == 250
    assert account.try_pass("b", 250, urgent=False) == 0


def test_whoever_came_first_goes_first_and_an_opt_out_before_all() -> None:
    account = shared(rate=4)
    assert account.try_pass("a", 0, urgent=False) == 0
    assert elsewhere(lambda: account.try_pass("a", 1, urgent=False)) == 249
    assert elsewhere(lambda: account.try_pass("c", 2, urgent=True)) == 248
    assert account.try_pass("b", 250, urgent=False) > 0, "two wait before it"
    # both are late by more than may be: their turns go to who is there
    assert account.try_pass("b", 800, urgent=False) == 0


def test_an_opt_out_takes_the_turn_of_whoever_came_before_it() -> None:
    account = shared(rate=4)
    assert account.try_pass("a", 0, urgent=False) == 0
    assert account.try_pass("a", 1, urgent=False) == 249
    assert elsewhere(lambda: account.try_pass("a", 2, urgent=True)) == 248
    assert account.try_pass("a", 250, urgent=False) > 0
    assert ALIVE[-1].submit(lambda: account.try_pass("a", 250, urgent=True)).result() == 0


def test_one_slow_campaign_does_not_take_every_call_at_a_time() -> None:
    account = shared(concurrency=4)
    for _ in range(2):
        assert elsewhere(lambda: account.try_pass("slow", 0, urgent=False)) == 0
    assert elsewhere(lambda: account.try_pass("slow", 0, urgent=False)) == FULL
    assert elsewhere(lambda: account.try_pass("other", 0, urgent=False)) == 0


def test_an_opt_out_of_each_campaign_may_be_one_more() -> None:
    account = shared(concurrency=1)
    assert elsewhere(lambda: account.try_pass("a", 0, urgent=False)) == 0
    assert elsewhere(lambda: account.try_pass("b", 0, urgent=False)) == FULL
    assert elsewhere(lambda: account.try_pass("b", 0, urgent=True)) == 0
    assert elsewhere(lambda: account.try_pass("b", 0, urgent=True)) == FULL
    assert account.try_pass("a", 0, urgent=True) == 0
    account.ended(1, well=True)
    assert account.try_pass("a", 1, urgent=True) == 0


def test_a_call_that_has_ended_or_did_not_take_place_makes_room() -> None:
    account = shared(concurrency=1, campaigns=1)
    ends: list[Callable[[], None]] = [lambda: account.ended(1, well=False), account.unused]
    for end in ends:
        assert account.try_pass("a", 0, urgent=False) == 0
        assert elsewhere(lambda: account.try_pass("a", 0, urgent=False)) == FULL
        end()


def test_a_further_call_takes_the_place_of_the_one_before() -> None:
    account = shared(concurrency=1)
    assert account.try_pass("a", 0, urgent=False) == 0
    assert account.try_pass("a", 0, urgent=False, further=True) == 0
    assert elsewhere(lambda: account.try_pass("a", 0, urgent=False, further=True)) == FULL
    account.ended(1, well=True)
    assert elsewhere(lambda: account.try_pass("a", 1, urgent=False)) == 0


def test_one_campaigns_429_holds_nobody_else_back() -> None:
    account = shared()
    assert account.busy("a", 0, 60_000) is False
    assert account.try_pass("b", 1, urgent=False) == 0


def test_a_second_campaigns_429_holds_the_token_back_and_others_try_one_by_one() -> None:
    account = shared(campaigns=3)
    account.busy("a", 0, 60_000)
    assert account.busy("b", 10, 30_000) is True
    assert account.try_pass("b", 20, urgent=False) > 1_000
    assert account.try_pass("c", 20, urgent=False) == 990
    assert account.try_pass("c", 1_010, urgent=False) == 0
    assert elsewhere(lambda: account.try_pass("c", 1_020, urgent=False)) == 990
    account.ended(1_100, well=True)
    assert account.try_pass("c", 1_100, urgent=False) == 0, "the token works for this one"


@pytest.mark.parametrize("well", [True, False])
def test_a_campaign_that_was_answered_well_in_between_speaks_for_the_token(well: bool) -> None:
    account = shared(campaigns=3)
    account.busy("a", 0, 60_000)
    assert account.try_pass("c", 1, urgent=False) == 0
    account.ended(2, well=well)
    assert account.busy("b", 10, 30_000) is not well
    assert (account.try_pass("c", 20, urgent=False) == 0) is well


def test_an_answer_to_a_call_from_before_says_nothing() -> None:
    account = shared()
    assert account.try_pass("c", 0, urgent=False) == 0
    account.busy("a", 1, 60_000)
    elsewhere(lambda: account.try_pass("c", 0, urgent=False))
    account.ended(2, well=True)
    assert account.busy("b", 3, 60_000) is True
    ALIVE[-1].submit(lambda: account.ended(4, well=True)).result()
    assert account.try_pass("c", 5, urgent=False) > 0


def test_a_held_token_is_free_when_the_time_is_over() -> None:
    account = shared()
    account.busy("a", 0, 5_000)
    account.busy("b", 0, 7_000)
    assert account.try_pass("c", 6_000, urgent=False) == 0
    assert account.try_pass("c", 6_001, urgent=False) == 999, "the time of both counts"
    assert account.try_pass("c", 7_000, urgent=False) == 0
    assert account.try_pass("c", 7_000, urgent=False) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 60)), min_size=1, max_size=80))
def test_no_second_holds_more_calls_than_the_tokens_rate(steps: list[tuple[str, float]]) -> None:
    account = shared(rate=20, campaigns=3)
    gates = {
        name: Gate(GatePolicy(1, 1, 1), 1000, lambda: 1.0, campaign=name, account=account)
        for name in "abc"
    }
    now, passed = 0.0, 0
    for name, step in steps:
        now += step
        passed += gates[name].try_pass(now) == 0
    assert passed <= 1 + now / 50
