"""How many calls a second: what a 429 takes from the pace, and what brings it back."""

from __future__ import annotations

from bridge.record.pace import Pace


def used(pace: Pace, calls: int, now: float) -> float:
    """So many calls one after another, each as soon as it may; when the last of them went."""
    for _ in range(calls):
        now += pace.wait(now)
        pace.take(now)
    return now


def per_s(pace: Pace) -> float:
    """Calls per second as of now."""
    return round(1000 / pace.interval, 6)


def test_a_429_halves_what_was_used_and_not_what_was_stated() -> None:
    pace = Pace(100.0)
    last = used(pace, 8, 5_000)
    pace.slow_down(last)
    assert per_s(pace) == 4.0
    assert pace.wait(last) == 250


def test_what_was_used_more_than_a_second_ago_or_did_not_take_place_is_not_counted() -> None:
    pace = Pace(100.0)
    used(pace, 5, 0)  # the last of them 40 ms on
    used(pace, 8, 1_040)
    pace.give_back()
    pace.give_back()
    pace.slow_down(1_100)
    assert per_s(pace) == 3.0


def test_without_a_call_in_the_last_second_a_429_leaves_one_in_two() -> None:
    pace = Pace(100.0)
    used(pace, 50, 0)
    pace.slow_down(2_000)
    assert (per_s(pace), pace.wait(2_000)) == (0.5, 2_000)


def test_429s_of_calls_that_were_out_together_slow_it_down_once() -> None:
    pace = Pace(100.0)
    last = used(pace, 16, 0)
    for ms in (0, 1, 999):
        pace.slow_down(last + ms)
    assert per_s(pace) == 8.0
    pace.slow_down(last + 1_000)
    assert per_s(pace) == 0.5, "nothing was called meanwhile"


def test_a_rate_that_is_slower_than_the_least_stays_what_was_stated() -> None:
    pace = Pace(0.2)
    used(pace, 1, 0)
    pace.slow_down(1)
    assert per_s(pace) == 0.2


def test_calls_bring_the_stated_rate_back_and_a_rest_does_not() -> None:
    pace = Pace(60.0)
    last = used(pace, 40, 0)
    pace.slow_down(last)
    assert per_s(pace) == 20.0
    pace.take(last + 3_600_000)
    assert per_s(pace) == 21.0, "an hour without a call is worth one second of them"
    used(pace, 1, last + 3_600_500)
    assert per_s(pace) == 21.5
    used(pace, 10_000, last + 3_601_000)
    assert per_s(pace) == 60.0, "and never more than stated"


def test_the_rate_stated_anew_counts_from_then_on_and_the_same_one_changes_nothing() -> None:
    pace = Pace(60.0)
    pace.slow_down(used(pace, 40, 0))
    pace.state(60.0)
    assert per_s(pace) == 20.0, "every read of the campaigns states it again"
    pace.state(10.0)
    assert per_s(pace) == 10.0


def test_a_turn_that_is_given_back_is_the_next_ones() -> None:
    pace = Pace(10.0)
    used(pace, 2, 5_000)
    pace.give_back()
    assert pace.wait(5_000) == 100
    assert pace.wait(5_100) == 0
