"""Whether a campaign may be called: back-off, the single probe, and the pause."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Trouble
from bridge.record.gate import CLOCKS_APART, Gate, GatePolicy, GateState, GateView

POLICY = GatePolicy(first=1_000, most=60_000, probe=300_000)
FAST = 1_000_000.0


def gate(policy: GatePolicy = POLICY, jitter: float = 1.0, rate: float = FAST) -> Gate:
    return Gate(policy, rate, lambda: jitter)


@given(st.integers(1, 40), st.floats(0, 1))
def test_pauses_double_with_full_jitter_up_to_the_longest(failures: int, jitter: float) -> None:
    shut = gate(jitter=jitter)
    now = 0.0
    for _ in range(failures):
        now += 60_000  # longer than any pause: a probe goes, and fails
        assert shut.try_pass(now) == 0
        shut.failed(Trouble.SERVER, "HTTP 500", None, now)
    longest = min(60_000, 1_000 * 2 ** (failures - 1))
    assert shut.view(now).wait_ms == pytest.approx(longest * jitter, abs=0.001)


def test_calls_that_fail_together_count_as_one_failure() -> None:
    shut = gate()
    for _ in range(20):
        shut.failed(Trouble.TRANSPORT, "no connection", None, 0)
    assert shut.view(0).failures == 1
    assert shut.view(0).wait_ms == 1_000


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
    assert shut.succeeded(2_000) is True
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
    shut.succeeded(600_001)
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


def test_a_success_says_whether_it_opened_the_gate() -> None:
    shut = gate()
    assert shut.succeeded(0) is False
    shut.failed(Trouble.BUSY, "HTTP 429", None, 0)
    assert shut.try_pass(2_000) == 0
    assert shut.succeeded(2_000) is True


def test_an_older_call_that_comes_back_well_does_not_cut_a_pause_short() -> None:
    shut = gate(jitter=0.0)
    assert shut.try_pass(0) == 0
    shut.failed(Trouble.BUSY, "HTTP 429", 60.0, 100)
    shut.succeeded(100)
    assert shut.view(100).wait_ms == 60_000


def test_only_the_thread_that_probes_opens_the_gate() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    prober = Thread(target=lambda: shut.try_pass(2_000))
    prober.start()
    prober.join()
    assert shut.succeeded(2_000) is False
    shut.unused()
    assert shut.view(2_000).state is GateState.BACKOFF
    assert shut.try_pass(2_001) > 0, "the other thread's probe is still out"


def test_a_turn_that_was_not_used_is_free_again() -> None:
    paced = gate(rate=1.0)
    assert paced.try_pass(0) == 0
    paced.unused()
    assert paced.try_pass(1) == 0


def test_while_a_probe_is_out_one_opt_out_may_go_as_well() -> None:
    shut = gate()
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    prober = Thread(target=lambda: shut.try_pass(2_000))
    prober.start()
    prober.join()
    assert shut.try_pass(2_001) > 0, "an ordinary update waits for the probe"
    assert shut.try_pass(2_001, urgent=True) == 0
    assert shut.try_pass(2_002, urgent=True) > 0, "one, not all of them"
    assert shut.succeeded(2_003) is True
    assert shut.view(2_003).state is GateState.OPEN


def test_a_probe_that_succeeds_does_not_open_what_closed_again_meanwhile() -> None:
    shut = gate(jitter=0.0)
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    assert shut.try_pass(0) == 0
    older = Thread(target=lambda: shut.failed(Trouble.BUSY, "HTTP 429", 30.0, 100))
    older.start()
    older.join()
    assert shut.succeeded(200) is False
    assert shut.try_pass(200) == 29_900


def test_a_429_halves_the_pace_and_a_minute_of_calls_brings_it_back() -> None:
    paced = gate(rate=10.0, jitter=0.0)
    now = 0.0
    while now < 2_000:  # as fast as it may
        now += paced.try_pass(now) or 1
    paced.failed(Trouble.BUSY, "HTTP 429", None, now)
    now += paced.try_pass(now)
    assert paced.try_pass(now) == 0
    paced.succeeded(now)
    gap = paced.try_pass(now)
    assert 180 < gap < 220, "five calls a second, a little more after each"
    began, calls = now, 0
    while now < began + 60_000:
        wait = paced.try_pass(now)
        calls += wait == 0
        now += wait or 1
    assert 400 < calls < 600
    assert paced.try_pass(now) > 99 or paced.try_pass(now + 100) == 0


def test_however_many_429_come_a_call_goes_every_two_seconds() -> None:
    paced = gate(rate=10.0, jitter=0.0)
    now = 0.0
    for _ in range(50):
        paced.failed(Trouble.BUSY, "HTTP 429", None, now)
        now += 2_000
        assert paced.try_pass(now) == 0


def known(**changes: object) -> GateView:
    values: dict[str, object] = {
        "state": GateState.BACKOFF,
        "reason": "HTTP 429",
        "failures": 3,
        "wait_ms": 5_000,
        "status": 429,
        "changes": 1,
    }
    return GateView(**{**values, **changes})  # type: ignore[arg-type]


def test_what_another_worker_was_told_is_heeded_once() -> None:
    shut = gate()
    assert shut.heed(known(), 1_000) is True
    assert shut.heed(known(), 3_000) is False, "the same word does not prolong the pause"
    assert shut.try_pass(6_000 + CLOCKS_APART - 1) > 0, "its clock may be ahead of the other's"
    assert shut.view(1_000).failures == 3
    assert shut.heed(known(state=GateState.OPEN, reason="", changes=2), 2_000) is True
    assert shut.try_pass(2_000) == 0


def test_what_is_not_noted_yet_goes_before_what_others_say() -> None:
    shut = gate(jitter=0.0)
    shut.failed(Trouble.BUSY, "HTTP 429", 60.0, 0)
    assert shut.heed(known(state=GateState.OPEN, changes=9), 10) is False
    assert shut.unsaved
    view = shut.view(0)
    shut.saved(view, 10)
    assert not shut.unsaved
    assert shut.try_pass(59_999) > 0


def test_a_change_during_the_noting_of_another_is_not_taken_for_noted() -> None:
    shut = gate(jitter=0.0)
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0)
    view = shut.view(0)
    shut.failed(Trouble.BUSY, "HTTP 500", 60.0, 0)
    shut.saved(view, 1)
    assert shut.unsaved


def test_when_a_call_got_through_and_opened_it_is_known() -> None:
    shut = gate()
    assert shut.opened_ago(0) is None
    shut.failed(Trouble.SERVER, "HTTP 503", None, 0, status=503)
    assert shut.try_pass(2_000) == 0
    assert shut.succeeded(2_002)
    assert shut.opened_ago(2_005) == 3


@pytest.mark.parametrize(("retry_after", "status"), [(600.0, 503), (None, 403)])
def test_a_403_takes_nothing_from_what_holds_it_for_longer(
    retry_after: float | None, status: int
) -> None:
    """Probes of other workers would open it, as no 403 keeps them from that."""
    shut = gate(jitter=0.0)
    shut.failed(Trouble.SERVER, "HTTP 503", retry_after, 0, status=503)
    shut.failed(Trouble.REFUSED_ALONE, "HTTP 403", None, 1, status=403)
    assert shut.view(1).status == status


def test_further_calls_of_a_probe_belong_to_it() -> None:
    # only so can it ask whether a 403 is about the campaign or about one lead
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    assert shut.try_pass(300_000) == 0
    assert shut.try_pass(300_001, further=True) == 0
    waits: list[float] = []
    other = Thread(target=lambda: waits.append(shut.try_pass(300_002, further=True)))
    other.start()
    other.join()
    assert waits[0] > 0, "it has no probe out"
    assert shut.succeeded(300_003) is True


def test_a_403_opens_nothing_even_where_a_lead_is_to_blame_for_it() -> None:
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    assert shut.try_pass(300_000) == 0
    assert shut.succeeded(300_001, opens=False) is False
    assert shut.view(300_001).state is GateState.PAUSED
    assert shut.try_pass(300_002) == 0, "the next probe may go"


def test_a_batch_that_is_refused_while_another_probe_gets_through_closes_nothing() -> None:
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    assert shut.try_pass(300_000) == 0
    other = Thread(target=lambda: (shut.try_pass(301_000, urgent=True), shut.succeeded(301_001)))
    other.start()
    other.join()
    assert shut.view(301_001).state is GateState.OPEN
    assert shut.failed(Trouble.REFUSED, "HTTP 403", None, 301_002, status=403) is False
    assert shut.view(301_002).state is GateState.OPEN


@pytest.mark.parametrize("trouble", [Trouble.REFUSED, Trouble.REFUSED_ALONE])
def test_a_probe_that_is_slow_opens_although_an_opt_out_beside_it_got_a_403(
    trouble: Trouble,
) -> None:
    """An opt-out that is always refused would else keep the campaign closed for good."""
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    assert shut.try_pass(300_000) == 0

    def opt_out() -> None:
        assert shut.try_pass(305_000, urgent=True) == 0
        shut.failed(trouble, "HTTP 403", None, 305_001, status=403)

    other = Thread(target=opt_out)
    other.start()
    other.join()
    assert shut.view(305_001).wait_ms == 300_000
    assert shut.try_pass(305_500, further=True) == 0, "it asks about its parts to the end"
    assert shut.succeeded(306_000) is True


def test_a_probe_opens_although_another_worker_noted_a_403() -> None:
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    shut.saved(shut.view(0), 0)
    assert shut.try_pass(300_000) == 0
    assert shut.heed(known(state=GateState.PAUSED, status=403, wait_ms=300_000), 300_001)
    assert shut.try_pass(300_002, further=True) == 0
    assert shut.succeeded(300_003) is True


def refused_alone(shut: Gate, lead: int, now: float) -> bool:
    """A call for one lead goes and gets a 403; whether that is the lead's."""
    assert shut.try_pass(now) == 0
    if shut.blames(lead):
        shut.succeeded(now)
        return True
    shut.failed(Trouble.REFUSED_ALONE, "HTTP 403", None, now, status=403)
    return False


def test_a_403_for_one_lead_is_its_own_once_others_got_through_since() -> None:
    shut = gate()
    assert not refused_alone(shut, 1, 0)
    assert (shut.view(0).state, shut.view(0).wait_ms) == (GateState.BACKOFF, 1_000)
    assert not refused_alone(shut, 1, 1_000), "nobody else was asked"
    assert shut.try_pass(3_000) == 0
    shut.succeeded(3_000)
    assert not refused_alone(shut, 2, 3_001), "of this one nothing is known yet"
    assert shut.try_pass(4_001) == 0
    shut.succeeded(4_001)
    assert refused_alone(shut, 1, 4_002)
    assert refused_alone(shut, 2, 4_003)
    assert shut.view(4_003).state is GateState.OPEN
    assert shut.suspects({1, 2, 3}) == [1, 2]
    shut.absolve([1])
    assert shut.suspects({1, 2, 3}) == [2]
    assert not refused_alone(shut, 1, 4_004), "the API has answered for it since"


def test_a_probe_never_blames_the_lead_that_it_is_made_with() -> None:
    shut = gate()
    refused_alone(shut, 1, 0)
    assert shut.try_pass(1_000) == 0
    shut.succeeded(1_000)
    shut.failed(Trouble.SERVER, "HTTP 503", None, 1_001, status=503)
    assert not refused_alone(shut, 1, 2_001)
    assert shut.view(2_001).state is GateState.BACKOFF


def test_a_probe_that_is_refused_when_another_got_through_closes_nothing() -> None:
    """An opt-out may be a second one; the next call of the first, which is none, tells."""
    shut = gate()
    assert not refused_alone(shut, 1, 0)
    assert shut.try_pass(1_000) == 0

    def opt_out() -> None:
        assert shut.try_pass(1_100, urgent=True) == 0
        assert shut.succeeded(1_101)

    other = Thread(target=opt_out)
    other.start()
    other.join()
    assert shut.view(1_101).state is GateState.OPEN
    assert not shut.blames(1), "it may have been answered before"
    shut.failed(Trouble.REFUSED_ALONE, "HTTP 403", None, 1_102, status=403)
    assert shut.view(1_102).state is GateState.OPEN
    assert refused_alone(shut, 1, 1_200)


def test_single_leads_that_are_refused_in_a_row_pause_the_campaign() -> None:
    shut = gate()
    for number, now in enumerate([0, 1_000, 3_000, 7_000]):
        assert not refused_alone(shut, number, now)
        assert shut.view(now).state is GateState.BACKOFF
    assert not refused_alone(shut, 4, 15_000)
    view = shut.view(15_000)
    assert (view.state, view.wait_ms, view.status) == (GateState.PAUSED, 300_000, 403)


def test_a_campaign_that_was_refused_as_a_whole_stays_paused_for_a_single_lead() -> None:
    shut = gate()
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    assert not refused_alone(shut, 1, 300_000)
    assert (shut.view(300_000).state, shut.view(300_000).wait_ms) == (GateState.PAUSED, 300_000)


def test_after_a_refused_opt_out_others_have_the_probe_while_the_gate_is_closed() -> None:
    shut = gate()
    shut.let_others_first(yes=True)
    assert not shut.others_first(0), "it is open: opt-outs go first"
    refused_alone(shut, 1, 0)
    shut.let_others_first(yes=True)
    assert shut.others_first(1_000)
    assert shut.try_pass(1_000) == 0
    shut.succeeded(1_000)
    assert not shut.others_first(1_000)


def test_a_refusal_that_closes_nothing_lets_nobody_go_first_when_something_else_does() -> None:
    shut = gate()
    shut.let_others_first(yes=True)
    shut.failed(Trouble.SERVER, "HTTP 500", None, 0, status=500)
    assert not shut.others_first(1_000)


def test_opt_outs_leave_a_probe_to_others_for_a_while_only() -> None:
    shut = gate()
    refused_alone(shut, 1, 0)
    shut.let_others_first(yes=True)
    assert shut.try_pass(1_000) == 0
    assert shut.others_first(5_999), "others are being asked"
    assert not shut.others_first(6_000)
    passed: list[float] = []
    opt_outs = Thread(target=lambda: passed.append(shut.try_pass(6_000, urgent=True)))
    opt_outs.start()
    opt_outs.join()
    assert passed == [0], "however slow their answer is"


def test_opt_outs_are_tried_at_once_where_others_were_let_first_and_are_refused_too() -> None:
    """They would else wait for two probes of a campaign that is paused."""
    shut = gate()
    assert shut.try_pass(0, urgent=True) == 0
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 0, status=403)
    shut.let_others_first(yes=True)
    assert shut.others_first(300_000)
    assert shut.try_pass(300_000) == 0
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 300_000, status=403)
    assert not shut.others_first(301_000), "they have had their turn"
    assert shut.try_pass(301_000, urgent=True) == 0
    shut.failed(Trouble.REFUSED, "HTTP 403", None, 301_000, status=403)
    shut.let_others_first(yes=True)
    assert shut.try_pass(302_000, urgent=True) == 299_000
    assert shut.try_pass(601_000) == 0
    shut.failed(Trouble.SERVER, "HTTP 500", None, 601_000, status=500)
    assert shut.try_pass(601_001, urgent=True) > 0, "it has other troubles"


def test_no_more_suspects_are_remembered_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.record.gate.SUSPECTS", 2)
    shut = gate()
    for lead in (1, 2, 3):
        assert not shut.blames(lead)
    assert [shut.blames(lead) for lead in (3, 2, 1)] == [True, True, False]
    assert shut.suspects({1, 2, 3}) == [2, 1], "the one that got its 403 longest ago first"
