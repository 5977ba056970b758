"""An update that the API breaks at, beside an opt-out: neither keeps the other from its turns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.model import State, Trouble, Verdict
from bridge.record.decide import OPT_OUT_PAUSE, SUSPECT_TRIES
from bridge.store.pauses import OPT_OUT_LANES

from .one_lead import MARK, POLICY, OneLead

NAME = {"first_name": "Ann"}
OPT_OUT = {"do_not_call": True}
DAY = 86_400_000

Answer = tuple[Verdict, Trouble | None]
Sent = list[tuple[int, dict[str, Any]]]


def meet(lead: OneLead, answer: Callable[[dict[str, Any]], Answer]) -> Sent:
    """Send what is due, for a day, to an API that answers by what it is sent.

    Gives when (ms) what was sent.
    """
    begin, told = lead.now, list[tuple[int, dict[str, Any]]]()
    while lead.due_at is not None and lead.due_at <= begin + DAY:
        lead.now = max(lead.now, lead.due_at)
        if lead.claim():
            sent = lead.sends[-1]
            told.append((lead.now - begin, sent))
            lead.answer(*answer(sent))
        assert len(told) <= 1_000, "the lead is sent over and over"
    return told


def breaks_at_the_name(trouble: Trouble | None) -> Callable[[dict[str, Any]], Answer]:
    """An API that does not have the lead, and gives no clear answer to its name."""
    unclear, not_found = (Verdict.UNKNOWN, trouble), (Verdict.NOT_FOUND, None)
    return lambda sent: unclear if "first_name" in sent else not_found


def alone(told: Sent) -> list[int]:
    """When the opt-out went out with nothing beside it."""
    return [when for when, sent in told if sent == OPT_OUT]


def a_lead(kind: str) -> OneLead:
    """A lead with an opt-out that is not confirmed, and a name that came after it."""
    lead = OneLead()
    lead.arrive(OPT_OUT, 1)
    if kind == "standing":
        lead.step(Verdict.NOT_FOUND)
    elif kind == "again":
        lead.step(Verdict.CONFIRMED)
        lead.forget_at_api()
    lead.arrive(NAME, 2)
    return lead


KINDS = pytest.mark.parametrize("kind", ["waiting", "standing", "again"])


@KINDS
def test_an_opt_out_is_asserted_while_what_is_beside_it_fails(kind: str) -> None:
    """For as long as that is tried, which by default is three days."""
    lead = a_lead(kind)
    told = meet(lead, breaks_at_the_name(Trouble.SERVER))
    tries = [when for when, sent in told if "first_name" in sent]
    times = [when for when in alone(told) if when < tries[-1]]
    assert times, "it was never asserted"
    gaps = [after - before for before, after in pairwise([*times, tries[-1]])]
    assert max(gaps) <= POLICY.backoff_most
    assert tries[-1] > POLICY.give_up_after


@KINDS
def test_what_fails_beside_an_opt_out_is_tried_ever_more_rarely_and_ends(kind: str) -> None:
    lead = a_lead(kind)
    told = meet(lead, breaks_at_the_name(Trouble.SERVER))
    tries = [when for when, sent in told if sent == NAME]
    assert [after - before for before, after in pairwise(tries)][-2:] == [POLICY.backoff_most] * 2
    assert lead.state(2) is State.UNCONFIRMED


@KINDS
def test_unclear_answers_to_what_is_beside_it_leave_an_opt_out_where_its_schedule_begins(
    kind: str,
) -> None:
    lead = a_lead(kind)
    begun = lead._standing_tries
    told = meet(lead, breaks_at_the_name(None))
    last = max(when for when, sent in told if "first_name" in sent)
    assert lead.state(2) is State.UNCONFIRMED
    assert next(when for when in alone(told) if when > last) - last <= POLICY.standing_steps[begun]


def test_an_opt_out_that_goes_again_by_itself_is_retried_as_any_other_after_unclear_answers() -> (
    None
):
    pauses = []
    for again in (False, True):
        lead = OneLead()
        lead.arrive(OPT_OUT, 1)
        if again:
            lead.step(Verdict.CONFIRMED)
            lead.forget_at_api()
        mine = []
        for _ in range(POLICY.unknown_tries + 2):
            lead.step(Verdict.UNKNOWN)
            mine.append((lead.due_at or 0) - lead.now)
        pauses.append(mine)
    assert pauses[0] == pauses[1] == [1_000, 2_000, *POLICY.standing_steps]


def test_a_standing_opt_out_goes_alone_after_many_tries_that_failed_with_what_came_for_it() -> None:
    lead = a_lead("standing")
    for _ in range(SUSPECT_TRIES):
        lead.step(Verdict.UNKNOWN, Trouble.SERVER)
        assert lead.sends[-1] == {**OPT_OUT, **NAME}
    lead.step(Verdict.UNKNOWN, Trouble.SERVER)
    assert lead.sends[-1] == OPT_OUT


def test_an_opt_out_to_whose_own_other_fields_no_clear_answer_comes_is_asserted_alone() -> None:
    """Such as an e-mail address for which the API leaves the lead out of its reply."""
    lead = OneLead()
    lead.arrive({**OPT_OUT, **NAME}, 1)
    times = alone(meet(lead, breaks_at_the_name(None)))
    assert times[0] <= OPT_OUT_PAUSE
    pauses = [after - before for before, after in pairwise(times)]
    for pause, step in zip(
        pauses, [*POLICY.standing_steps, POLICY.standing_steps[-1]], strict=False
    ):
        assert step <= pause <= step + OPT_OUT_PAUSE


@pytest.mark.parametrize("answer", [(Verdict.UNKNOWN, None), (Verdict.NOT_SENT, Trouble.BUSY)])
def test_an_opt_in_that_ends_what_was_to_be_said_again_is_in_no_lane_of_opt_outs(
    answer: Answer,
) -> None:
    """A pause by hand holds it."""
    lead = a_lead("again")
    lead.arrive({"do_not_call": False}, 3)
    lead.step(*answer)
    assert lead.sends[-1] == {**NAME, "do_not_call": False}
    assert lead._lane not in OPT_OUT_LANES
    lead.drain(most=1)


FAILS = st.sampled_from(
    [
        (Verdict.UNKNOWN, Trouble.SERVER),
        (Verdict.UNKNOWN, Trouble.TRANSPORT),
        (Verdict.UNKNOWN, None),
        (Verdict.REJECTED, None),
        (Verdict.CONFIRMED, None),
    ]
)
FIELDS = ["first_name", "last_name", "email", MARK]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sets(st.sampled_from([*FIELDS, "do_not_call"]), min_size=1), max_size=4),
    st.fixed_dictionaries(dict.fromkeys(FIELDS, FAILS)),
    st.sampled_from(["waiting", "standing", "again"]),
)
@example([{"first_name"}], dict.fromkeys(FIELDS, (Verdict.UNKNOWN, Trouble.SERVER)), "again")
def test_whatever_fails_beside_an_opt_out_it_is_asserted_and_the_rest_ends(
    arrivals: list[set[str]], fails: dict[str, Answer], kind: str
) -> None:
    lead = a_lead(kind)
    for number, names in enumerate(arrivals, 3):
        lead.arrive(dict.fromkeys(sorted(names), True), number)

    def answer(sent: dict[str, Any]) -> Answer:
        found = [fails[name] for name in FIELDS if name in sent]
        bad = [one for one in found if one[0] is not Verdict.CONFIRMED]
        heard = Verdict.NOT_FOUND if "do_not_call" in sent else Verdict.CONFIRMED
        return bad[0] if bad else (heard, None)

    told = meet(lead, answer)
    taken_off = (SUSPECT_TRIES + 1) * OPT_OUT_PAUSE
    most = max(POLICY.backoff_most, *POLICY.standing_steps) + taken_off
    heard = [when for when, sent in told if answer(sent)[0] is Verdict.NOT_FOUND]
    assert max(after - before for before, after in pairwise([0, *heard, DAY])) <= most
    assert all(update.opts_out for update in lead.open)
