"""How long a lead waits after a try that was not answered well, and with what it goes then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import State, Trouble, Verdict
from bridge.record.decide import OPT_OUT_PAUSE, SUSPECT_TRIES

from .one_lead import POLICY, OneLead

LONG = replace(POLICY, backoff_most=3_600_000, unknown_tries=100)


def pauses(lead: OneLead, tries: int) -> list[int]:
    """The pauses after so many tries, of which nobody knows whether they arrived."""
    found = []
    for _ in range(tries):
        lead.step(Verdict.UNKNOWN, Trouble.SERVER)
        found.append((lead.due_at or 0) - lead.now)
    return found


def test_pauses_double_up_to_the_longest() -> None:
    lead = OneLead(policy=replace(LONG, backoff_most=10_000))
    lead.arrive({"first_name": "Ann"}, 1)
    assert pauses(lead, 6) == [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]


def test_an_opt_out_never_waits_for_longer_than_half_a_minute() -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"do_not_call": True}, 1)
    assert pauses(lead, 7)[-2:] == [OPT_OUT_PAUSE, OPT_OUT_PAUSE] == [30_000, 30_000]


@pytest.mark.parametrize("trouble", [None, Trouble.SERVER])
def test_nor_does_one_that_goes_again_by_itself_nor_for_what_is_beside_it(
    trouble: Trouble | None,
) -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.CONFIRMED)
    lead.forget_at_api()
    lead.arrive({"first_name": "Ann"}, 2)
    for _ in range(SUSPECT_TRIES):
        lead.step(Verdict.UNKNOWN, trouble)
        assert lead.sends[-1] == {"first_name": "Ann", "do_not_call": True}
        assert (lead.due_at or 0) - lead.now <= OPT_OUT_PAUSE
    lead.step(Verdict.UNKNOWN, trouble)
    assert lead.sends[-1] == {"do_not_call": True}


def test_what_is_no_opt_out_waits_for_as_long_as_it_is_told_to() -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"first_name": "Ann"}, 1)
    assert pauses(lead, 7)[-2:] == [32_000, 64_000]


@pytest.mark.parametrize("trouble", [None, Trouble.SERVER])
def test_after_many_unclear_tries_an_opt_out_no_longer_waits_for_what_is_beside_it(
    trouble: Trouble | None,
) -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"do_not_call": True, "first_name": "Ann"}, 1)
    for _ in range(SUSPECT_TRIES):
        lead.step(Verdict.UNKNOWN, trouble)
    assert all("first_name" in sent for sent in lead.sends)
    lead.step(Verdict.UNKNOWN, trouble)
    assert lead.sends[-1] == {"do_not_call": True}


def test_a_refusal_of_an_opt_out_that_goes_again_by_itself_takes_its_company_off() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.CONFIRMED)
    lead.forget_at_api()
    name = lead.arrive({"first_name": "Ann"}, 2)
    lead.step(Verdict.REJECTED)
    assert lead.sends[-1] == {"first_name": "Ann", "do_not_call": True}
    assert lead.state(name) is State.WAITING
    lead.step(Verdict.CONFIRMED)
    assert (lead.sends[-1], lead.state(name)) == ({"do_not_call": True}, State.WAITING)
    lead.step(Verdict.CONFIRMED)
    assert lead.state(name) is State.UPDATED


def test_an_update_that_the_api_refuses_alone_ends_and_is_not_taken_apart_again() -> None:
    lead = OneLead()
    first = lead.arrive({"email": "bad"}, 1)
    second = lead.arrive({"email": "bad too", "first_name": "Ann"}, 2)
    for _ in range(3):
        lead.step(Verdict.REJECTED)
    assert lead.state(second) is State.REJECTED
    assert lead.state(first).final
    assert lead.due_at is None


def test_a_lead_that_rests_begins_anew_with_its_tries() -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"mark_as_unanswered": True}, 1)
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)  # such a wish is not sent twice, so nothing is left
    assert lead.due_at is None
    lead.arrive({"first_name": "Ann"}, 2)
    assert pauses(lead, 1) == [POLICY.backoff_first]


def test_a_campaign_that_was_not_reached_is_no_try_of_its_leads() -> None:
    lead = OneLead(policy=LONG)
    lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(4):
        lead.step(Verdict.NOT_SENT, Trouble.REFUSED)
    assert pauses(lead, 1) == [POLICY.backoff_first]


@pytest.mark.parametrize("then", [[], [Verdict.CONFIRMED]], ids=["waiting", "confirmed"])
def test_an_opt_out_that_replaces_an_opt_in_is_said_once_more(then: list[Verdict]) -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": False}, 1)
    lead.step(Verdict.UNKNOWN, Trouble.TRANSPORT)  # may still be on its way to the API
    for verdict in then:
        lead.step(verdict)
    lead.arrive({"do_not_call": True}, 2)
    lead.step(Verdict.CONFIRMED)
    assert lead.due_at == lead.now + POLICY.standing_steps[0]
    lead.step(Verdict.CONFIRMED)
    assert lead.sends[-2:] == [{"do_not_call": True}, {"do_not_call": True}]
    assert lead.due_at is None


def test_an_opt_out_that_goes_again_by_itself_waits_after_a_call_that_broke_off() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.CONFIRMED)
    lead.forget_at_api()
    assert pauses(lead, 3) == [1_000, 2_000, 4_000]


@pytest.mark.parametrize("fields", [{"do_not_call": True}, {"first_name": "Ann"}])
def test_what_comes_for_a_standing_opt_out_is_no_step_of_its_schedule(
    fields: dict[str, object],
) -> None:
    """A campaign may get the lead at any moment: a day may not pass for a few events at once."""
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    lead.step(Verdict.NOT_FOUND)
    first, second, _ = POLICY.standing_steps
    for number in range(2, 7):
        assert lead.due_at == lead.now + first
        lead.arrive(fields, number)
        lead.step(Verdict.NOT_FOUND)
    assert lead.due_at == lead.now + first
    lead.step(Verdict.NOT_FOUND)  # in its turn
    assert lead.due_at == lead.now + second
