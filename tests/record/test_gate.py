"""Whether a campaign may be called: back-off, the single probe, and the pause."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Trouble
from bridge.record.gate import Gate, GatePolicy, GateState

POLICY = GatePolicy(first=1_000, most=60_000, probe=300_000)
FAST = 1_000_000.0


def gate(policy: GatePolicy = POLICY, jitter: float = 1.0, rate: float = FAST) -> Gate:
    return Gate(policy, rate, lambda: jitter)


@given(st.integers(1, 40), st.floats(0, 1))
def test_pauses_double_with_full_jitter_up_to_the_longest(failures: int, jitter: float) -> None:
    shut = gate(jitter=jitter)
    for _ in range(failures):
        shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    longest = min(60_000, 1_000 * 2 ** (failures - 1))
    wait = shut.view(0).wait_ms
    assert wait <= longest
    assert wait >= int(longest * jitter)


@pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.SERVER, Trouble.TRANSPORT])
def test_retry_after_is_the_least_that_is_waited(trouble: Trouble) -> None:
    shut = gate(jitter=0.0)
    shut.failed(trouble, "HTTP 429", 7.5, 1_000)
    assert shut.try_pass(1_000) == 7_500
    assert shut.try_pass(8_499) > 0
    assert shut.try_pass(8_500) == 0


def test_an_absurd_retry_after_is_cut_to_an_hour() -> None:
    shut = gate(jitter=0.0)
    shut.failed(Trouble.BUSY, "HTTP 429", 86_400.0, 0)
    assert shut.view(0).wait_ms == POLICY.retry_after_most


def test_a_later_failure_never_shortens_the_pause() -> None:
    shut = gate(jitter=0.0)
    shut.failed(Trouble.BUSY, "HTTP 429", 100.0, 0)
    shut.failed(Trouble.SERVER, "HTTP 500", None, 1_000)
    assert shut.try_pass(1_000) == 99_000


def test_after_the_pause_exactly_one_probe_goes() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    assert shut.try_pass(999) > 0
    assert [shut.try_pass(2_000) == 0 for _ in range(5)] == [True, False, False, False, False]
    assert shut.succeeded() is True
    assert [shut.try_pass(3_000 + i) for i in range(5)] == [0] * 5
    assert shut.view(3_000).state is GateState.OPEN
    assert shut.view(3_000).failures == 0


def test_a_failed_probe_shuts_the_gate_for_longer() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    assert shut.try_pass(1_000) == 0
    assert shut.failed(Trouble.SERVER, "HTTP 500", None, 1_000) is False
    assert shut.try_pass(1_000) == 2_000
    assert shut.try_pass(3_000) == 0


def test_a_probe_that_did_not_take_place_leaves_its_turn_to_the_next() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    assert shut.try_pass(2_000) == 0
    assert shut.try_pass(2_001) > 0
    shut.unused()
    assert shut.try_pass(2_002) == 0


def test_a_refusal_pauses_with_the_reason_and_is_probed_from_time_to_time() -> None:
    shut = gate()
    assert shut.failed(Trouble.REFUSED, "HTTP 401: bad token", None, 0) is True
    view = shut.view(0)
    assert (view.state, view.reason, view.wait_ms) == (
        GateState.PAUSED,
        "HTTP 401: bad token",
        300_000,
    )
    assert shut.try_pass(299_999) > 0
    assert shut.try_pass(300_000) == 0
    assert shut.try_pass(300_001) > 0
    assert shut.failed(Trouble.REFUSED, "HTTP 404", None, 300_001) is True, "the reason is another"
    assert shut.try_pass(600_000) > 0
    assert shut.try_pass(600_001) == 0
    shut.succeeded()
    assert shut.view(600_001).state is GateState.OPEN


def test_without_probes_a_paused_campaign_stays_paused() -> None:
    shut = gate(GatePolicy(first=1_000, most=60_000, probe=0))
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0)
    assert shut.try_pass(10.0**15) == float("inf")
    assert shut.view(0).state is GateState.PAUSED


def test_calls_keep_their_pace() -> None:
    paced = gate(rate=4.0)
    assert paced.try_pass(0) == 0
    assert paced.try_pass(0) == 250
    assert paced.try_pass(250) == 0
    paced.set_rate(10.0)
    assert paced.try_pass(500) == 0
    assert paced.try_pass(500) == 100


@given(st.lists(st.floats(0, 50), min_size=1, max_size=100))
def test_no_second_holds_more_calls_than_the_rate(steps: list[float]) -> None:
    paced = gate(rate=20.0)
    now, passed = 0.0, []
    for step in steps:
        now += step
        if paced.try_pass(now) == 0:
            passed.append(now)
    assert all(later - earlier >= 50 - 1e-6 for earlier, later in pairwise(passed))


def test_a_success_says_whether_the_operator_should_hear_of_it() -> None:
    shut = gate()
    assert shut.succeeded() is True, "the first answer of all"
    assert shut.succeeded() is False
    shut.failed(Trouble.BUSY, "HTTP 429", None, 0)
    assert shut.try_pass(2_000) == 0
    assert shut.succeeded() is True


def test_an_older_call_that_comes_back_well_does_not_cut_a_pause_short() -> None:
    shut = gate(jitter=0.0)
    assert shut.try_pass(0) == 0
    shut.failed(Trouble.BUSY, "HTTP 429", 60.0, 100)
    shut.succeeded()
    assert shut.view(100).wait_ms == 60_000


def test_only_the_thread_that_probes_opens_the_gate() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    prober = Thread(target=lambda: shut.try_pass(2_000))
    prober.start()
    prober.join()
    assert shut.succeeded() is False
    shut.unused()
    assert shut.view(2_000).state is GateState.BACKOFF
    assert shut.try_pass(2_001) > 0, "the other thread's probe is still out"


def test_a_turn_that_was_not_used_is_free_again() -> None:
    paced = gate(rate=1.0)
    assert paced.try_pass(0) == 0
    paced.unused()
    assert paced.try_pass(1) == 0
