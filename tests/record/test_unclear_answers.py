"""What an answer that nobody can trust leaves behind, once a later one says how it went."""

from __future__ import annotations

import pytest

from bridge.model import State, Trouble, Verdict

from .one_lead import MARK, POLICY, OneLead


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"first_name": "Ann"}, State.UPDATED),
        ({"do_not_call": True}, State.UPDATED),
        ({"first_name": "Ann", MARK: True}, State.UNCONFIRMED),  # the wish went out once
        ({"do_not_call": True, MARK: True}, State.UPDATED),  # it never did
    ],
)
@pytest.mark.parametrize("trouble", [None, Trouble.SERVER])
def test_what_is_confirmed_after_an_unclear_try_is_updated_but_for_a_wish_to_be_called(
    fields: dict[str, object], state: State, trouble: Trouble | None
) -> None:
    lead = OneLead()
    number = lead.arrive(fields, 1)
    lead.step(Verdict.UNKNOWN, trouble)
    lead.step(Verdict.CONFIRMED)
    assert lead.state(number) is state
    assert lead.due_at is None


def test_a_wish_that_may_have_arrived_is_not_superseded_as_if_it_had_never_been_sent() -> None:
    lead = OneLead()
    wish = lead.arrive({"first_name": "Ann", MARK: True}, 1)
    lead.step(Verdict.UNKNOWN)
    lead.arrive({"first_name": "Bea", MARK: True}, 2)
    lead.step(Verdict.CONFIRMED)
    assert lead.state(wish) is State.UNCONFIRMED


def test_a_try_that_went_nowhere_takes_no_doubt_away() -> None:
    lead = OneLead()
    number = lead.arrive({"first_name": "Ann", MARK: True}, 1)
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    lead.step(Verdict.NOT_SENT, Trouble.REFUSED)
    lead.step(Verdict.CONFIRMED)
    assert lead.sends == [{"first_name": "Ann", MARK: True}] + [{"first_name": "Ann"}] * 2
    assert lead.state(number) is State.UNCONFIRMED


def test_once_confirmed_an_opt_out_that_comes_later_stands_from_the_first_pause_on() -> None:
    lead = OneLead()
    lead.arrive({"do_not_call": True}, 1)
    found = []
    for _ in range(2):
        lead.step(Verdict.NOT_FOUND)
        found.append((lead.due_at or 0) - lead.now)
    lead.step(Verdict.CONFIRMED)
    lead.arrive({"do_not_call": True}, 2)
    lead.step(Verdict.NOT_FOUND)
    found.append((lead.due_at or 0) - lead.now)
    first, second, _ = POLICY.standing_steps
    assert found == [first, second, first]


def test_what_is_no_opt_out_ends_after_so_many_replies_that_say_nothing_of_it() -> None:
    lead = OneLead()
    number = lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(POLICY.unknown_tries):
        assert lead.state(number) is State.WAITING
        lead.step(Verdict.UNKNOWN)
    assert lead.state(number) is State.UNCONFIRMED
    assert lead.due_at is None


def test_an_update_that_comes_later_has_tries_of_its_own() -> None:
    lead = OneLead()
    older = lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(POLICY.unknown_tries - 1):
        lead.step(Verdict.UNKNOWN)
    newer = lead.arrive({"last_name": "Lee"}, 2)
    lead.step(Verdict.UNKNOWN)
    assert lead.state(older) is State.UNCONFIRMED
    for _ in range(POLICY.unknown_tries - 1):
        assert lead.state(newer) is State.WAITING
        lead.step(Verdict.UNKNOWN)
    assert lead.state(newer) is State.UNCONFIRMED
    assert lead.due_at is None


def test_an_opt_out_that_comes_later_does_not_stand_for_the_tries_of_an_update() -> None:
    lead = OneLead()
    lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(POLICY.unknown_tries - 1):
        lead.step(Verdict.UNKNOWN)
    opt_out = lead.arrive({"do_not_call": True}, 2)
    for _ in range(POLICY.unknown_tries - 1):
        lead.step(Verdict.UNKNOWN)
        assert lead.state(opt_out) is State.WAITING
    lead.step(Verdict.UNKNOWN)
    assert lead.state(opt_out) is State.STANDING


def test_tries_in_which_nothing_was_sent_do_not_count() -> None:
    lead = OneLead()
    number = lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(2 * POLICY.unknown_tries):
        lead.step(Verdict.NOT_SENT, Trouble.REFUSED)
    for _ in range(POLICY.unknown_tries - 1):
        lead.step(Verdict.UNKNOWN)
        assert lead.state(number) is State.WAITING
    lead.step(Verdict.UNKNOWN)
    assert lead.state(number) is State.UNCONFIRMED


def test_what_is_old_is_not_given_up_for_the_tries_of_another() -> None:
    lead = OneLead()
    lead.arrive({"first_name": "Ann"}, 1)
    for _ in range(POLICY.unknown_tries):
        lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    second = lead.arrive({"last_name": "Lee"}, 2)
    lead.now += POLICY.give_up_after
    for _ in range(POLICY.unknown_tries - 1):
        lead.step(Verdict.UNKNOWN, Trouble.SERVER)
        assert lead.state(second) is State.WAITING
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    assert lead.state(second) is State.UNCONFIRMED
