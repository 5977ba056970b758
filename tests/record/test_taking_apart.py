"""Objects that the API refuses: the opt-out goes first and alone, then one update at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import Lane, State, Trouble, Verdict

from .one_lead import MARK, POLICY, START, OneLead


def test_an_opt_out_is_taken_out_of_a_refused_object_and_goes_first() -> None:
    lead = OneLead()
    name = lead.arrive({"first_name": "Ann"}, 1)
    opt_out = lead.arrive({"do_not_call": True, "email": "not an address"}, 2)
    lead.step(Verdict.REJECTED)
    assert lead.due_at == START
    lead.claim()
    assert lead.flight is not None
    assert lead.flight.lead.lane is Lane.OPT_OUT
    lead.answer(Verdict.CONFIRMED)
    assert lead.state(opt_out) is State.UPDATED
    assert "email left out: the API did not take it" in lead.messages[opt_out]
    lead.step(Verdict.CONFIRMED)
    assert lead.state(name) is State.UPDATED
    assert lead.sends[1:] == [{"do_not_call": True}, {"first_name": "Ann"}]


def test_one_bad_update_does_not_take_its_neighbours_down() -> None:
    lead = OneLead()
    bad = lead.arrive({"email": "not an address"}, 1)
    good = lead.arrive({"first_name": "Ann"}, 2)
    lead.step(Verdict.REJECTED)
    lead.claim()
    assert lead.flight is not None
    assert lead.flight.lead.lane is Lane.RETRY, "nothing of it is ahead of anybody's opt-out"
    for verdict in (Verdict.REJECTED, Verdict.CONFIRMED):
        lead.answer(verdict)
        lead.claim()
    assert (lead.state(bad), lead.state(good)) == (State.REJECTED, State.UPDATED)
    assert lead.due_at is None


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_refused_custom_field_does_not_ride_along_with_the_next(order: tuple[int, int]) -> None:
    lead = OneLead(all_known=True)
    bad = lead.arrive({"custom_fields": {"bad": 1}}, order[0])
    good = lead.arrive({"custom_fields": {"good": 2}}, order[1])
    lead.step(Verdict.REJECTED)
    while lead.due_at is not None:
        lead.now = max(lead.now, lead.due_at)
        lead.claim()
        refused = "bad" in lead.sends[-1]["custom_fields"]
        lead.answer(Verdict.REJECTED if refused else Verdict.CONFIRMED)
    assert (lead.state(bad), lead.state(good)) == (State.REJECTED, State.UPDATED)


def test_what_was_refused_beside_an_opt_out_rides_along_with_nothing() -> None:
    lead = OneLead(all_known=True)
    lead.arrive({"do_not_call": True, "custom_fields": {"bad": 1}}, 1)
    lead.step(Verdict.REJECTED)
    lead.step(Verdict.CONFIRMED)
    lead.arrive({"custom_fields": {"good": 2}}, 2)
    lead.step(Verdict.CONFIRMED)
    assert lead.sends[-1] == {"custom_fields": {"good": 2}}


def test_a_standing_opt_out_that_is_refused_beside_its_own_fields_goes_alone_next() -> None:
    lead = OneLead()
    opt_out = lead.arrive({"do_not_call": True, "first_name": "Ann"}, 1)
    lead.step(Verdict.NOT_FOUND)
    assert lead.state(opt_out) is State.STANDING
    lead.step(Verdict.REJECTED)
    lead.step(Verdict.REJECTED)
    assert lead.sends[-1] == {"do_not_call": True}
    assert lead.due_at == lead.now + POLICY.standing_steps[1]


def test_a_standing_opt_out_does_not_hold_up_what_came_after_it() -> None:
    lead = OneLead()
    opt_out = lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.NOT_FOUND)
    name = lead.arrive({"first_name": "Ann"}, 2)
    lead.step(Verdict.REJECTED)
    lead.step(Verdict.NOT_FOUND)
    assert lead.sends[-1] == {"do_not_call": True}, "it goes first"
    lead.step(Verdict.CONFIRMED)
    assert (lead.state(name), lead.now) == (State.UPDATED, START)
    assert lead.state(opt_out) is State.STANDING
    lead.step(Verdict.CONFIRMED)
    assert lead.state(opt_out) is State.UPDATED


def asserted_anew(lead: OneLead) -> None:
    """Its opt-out was confirmed, but by a campaign that is another one now; two updates come."""
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.CONFIRMED)
    lead.forget_at_api()
    lead.arrive({"email": "not an address"}, 2)
    lead.arrive({"first_name": "Ann"}, 3)


BESIDE = {"email": "not an address", "first_name": "Ann", "do_not_call": True}
APART = [{"do_not_call": True}, {"email": "not an address"}, {"first_name": "Ann"}]


def test_an_opt_out_that_goes_again_by_itself_is_taken_out_and_goes_first_too() -> None:
    lead = OneLead()
    asserted_anew(lead)
    for verdict in (Verdict.REJECTED, Verdict.CONFIRMED, Verdict.REJECTED, Verdict.CONFIRMED):
        lead.step(verdict)
    assert lead.sends[1:] == [BESIDE, *APART]
    assert lead.now == START, "nothing of it had to wait"
    assert lead.due_at is None


@pytest.mark.parametrize(
    ("last", "pause"),
    [(Verdict.REJECTED, 1), (Verdict.CONFIRMED, 0)],  # of another field: it is not told by that
)
def test_an_opt_out_that_goes_again_and_is_not_found_is_not_put_off_by_what_was_beside_it(
    last: Verdict, pause: int
) -> None:
    lead = OneLead()
    asserted_anew(lead)
    for verdict in (Verdict.REJECTED, Verdict.NOT_FOUND, Verdict.REJECTED, last):
        lead.step(verdict)
    assert lead.sends[1:] == [BESIDE, *APART]
    lead.step(Verdict.NOT_FOUND)
    assert lead.sends[-1] == {"do_not_call": True}
    assert lead.now == START
    assert lead.due_at == START + POLICY.standing_steps[pause]
    lead.drain(most=1)


def test_a_worker_lost_while_an_opt_out_goes_again_alone_lets_nothing_go_before_it() -> None:
    lead = OneLead()
    asserted_anew(lead)
    lead.step(Verdict.REJECTED)
    lead.claim()
    lead.lose()
    lead.step(Verdict.CONFIRMED)
    assert lead.sends[-2:] == [{"do_not_call": True}] * 2


def test_what_waits_beside_an_opt_out_whose_call_failed_waits_as_long() -> None:
    """Else a lead that brings its calls down would be called for without a pause."""
    lead = OneLead()
    asserted_anew(lead)
    lead.step(Verdict.REJECTED)
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    assert lead.sends[-1] == {"do_not_call": True}
    assert lead.due_at == START + POLICY.backoff_first
    lead.step(Verdict.CONFIRMED)
    assert lead.sends[-1] == {"do_not_call": True}, "it still goes first"


def test_what_waits_behind_an_unclear_answer_does_not_cut_its_pause_short() -> None:
    lead = OneLead()
    lead.arrive({"first_name": "Ann"}, 1)
    lead.arrive({"last_name": "Lee"}, 2)
    lead.step(Verdict.REJECTED)
    lead.step(Verdict.UNKNOWN)
    assert lead.due_at == lead.now + POLICY.backoff_first


def test_an_opt_out_stands_on_its_schedule_and_the_last_pause_repeats() -> None:
    lead = OneLead()
    opt_out = lead.arrive({"do_not_call": True}, 1)
    pauses = []
    for _ in range(5):
        lead.step(Verdict.NOT_FOUND)
        pauses.append((lead.due_at or 0) - lead.now)
    assert pauses == [60_000, 300_000, 3_600_000, 3_600_000, 3_600_000]
    assert lead.state(opt_out) is State.STANDING


@pytest.mark.parametrize(
    ("verdict", "end"),
    [
        (Verdict.NOT_FOUND, State.NOT_FOUND),
        (Verdict.REJECTED, State.REJECTED),
        (Verdict.UNKNOWN, State.UNCONFIRMED),
    ],
)
def test_an_opt_out_ends_when_its_period_is_over(verdict: Verdict, end: State) -> None:
    lead = OneLead(policy=replace(POLICY, unknown_tries=1))
    opt_out = lead.arrive({"do_not_call": True}, 1)
    lead.step(verdict)
    assert lead.state(opt_out) is State.STANDING
    lead.now += POLICY.standing_period
    lead.step(verdict)
    assert lead.state(opt_out) is end
    assert "period of a standing opt-out is over" in lead.messages[opt_out]


def test_what_was_not_sent_never_ends_however_long_its_campaign_was_closed() -> None:
    lead = OneLead()
    opt_out = lead.arrive({"do_not_call": True}, 1)
    name = lead.arrive({"first_name": "Ann"}, 2)
    for trouble in (Trouble.SERVER, Trouble.REFUSED, Trouble.BUSY, Trouble.TRANSPORT) * 3:
        lead.now += POLICY.standing_period
        lead.step(Verdict.NOT_SENT, trouble)
    assert (lead.state(name), lead.state(opt_out)) == (State.WAITING, State.WAITING)


def test_after_a_long_pause_the_first_unclear_answer_ends_nothing() -> None:
    lead = OneLead()
    name = lead.arrive({"first_name": "Ann"}, 1)
    lead.now += 10 * POLICY.give_up_after
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    assert lead.state(name) is State.WAITING


def test_an_old_update_that_may_have_arrived_ends_as_unconfirmed_after_its_tries() -> None:
    lead = OneLead()
    name = lead.arrive({"first_name": "Ann"}, 1)
    lead.now += POLICY.give_up_after
    for _ in range(POLICY.unknown_tries):
        assert lead.state(name) is State.WAITING
        lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    assert lead.state(name) is State.UNCONFIRMED


def test_a_wish_to_be_called_is_not_sent_twice_after_an_unclear_answer() -> None:
    lead = OneLead()
    both = lead.arrive({MARK: True, "first_name": "Ann"}, 1)
    lead.step(Verdict.UNKNOWN)
    lead.step(Verdict.CONFIRMED)
    assert lead.sends == [{MARK: True, "first_name": "Ann"}, {"first_name": "Ann"}]
    assert lead.state(both) is State.UNCONFIRMED
    assert "not sent again" in lead.messages[both]


def test_a_wish_to_be_called_ends_at_an_opt_out_or_at_a_newer_change_of_consent() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 2)
    wish = lead.arrive({MARK: True}, 3)
    lead.step(Verdict.CONFIRMED)
    assert lead.state(wish) is State.SKIPPED
    lead.arrive({"do_not_call": False}, 5)
    older = lead.arrive({MARK: True}, 4)
    newer = lead.arrive({MARK: True}, 6)
    lead.step(Verdict.CONFIRMED)
    assert (lead.state(older), lead.state(newer)) == (State.SUPERSEDED, State.UPDATED)


def test_an_opt_out_wins_at_equal_times_and_only_a_newer_opt_in_clears_it() -> None:
    lead = OneLead()
    opt_in = lead.arrive({"do_not_call": False}, 5, "ff")
    opt_out = lead.arrive({"do_not_call": True}, 5, "00")
    lead.step(Verdict.CONFIRMED)
    assert (lead.state(opt_in), lead.state(opt_out)) == (State.SUPERSEDED, State.UPDATED)
    late = lead.arrive({"do_not_call": False}, 4)
    lead.step(Verdict.CONFIRMED)
    assert lead.state(late) is State.SUPERSEDED
    lead.arrive({"do_not_call": False}, 6)
    lead.step(Verdict.CONFIRMED)
    assert lead.at_api["do_not_call"] is False


def test_a_campaign_that_became_another_one_hears_of_the_opt_out_until_it_confirms() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.CONFIRMED)
    lead.forget_at_api()
    for verdict in (Verdict.NOT_FOUND, Verdict.UNKNOWN, Verdict.REJECTED, Verdict.CONFIRMED):
        assert lead.step(verdict)
    assert lead.at_api == {"do_not_call": True}
    assert lead.due_at is None


def test_an_opt_out_that_waits_goes_in_the_lane_of_opt_outs() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    lead.claim()
    assert lead.flight is not None
    assert lead.flight.lead.lane is Lane.OPT_OUT
    lead.answer(Verdict.NOT_SENT, Trouble.BUSY)
    lead.claim()
    assert lead.flight.lead.lane is Lane.OPT_OUT


def test_an_opt_out_that_was_refused_by_itself_goes_without_what_is_beside_it() -> None:
    lead = OneLead()
    opt_out = lead.arrive({"do_not_call": True, "first_name": "Robert'); DROP TABLE"}, 1)
    lead.step(Verdict.NOT_SENT, Trouble.REFUSED_ALONE)
    assert lead.due_at == START
    lead.step(Verdict.CONFIRMED)
    assert lead.state(opt_out) is State.UPDATED
    assert lead.sends[1:] == [{"do_not_call": True}]
