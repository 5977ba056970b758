"""For any updates, in any order of arrival, with any answers: what is promised of each lead."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.model import State, Trouble, Verdict
from bridge.record.decide import SUSPECT_TRIES

from .one_lead import MARK, POLICY, OneLead, flat

TIMES = st.integers(1, 4)
KEYS = st.sampled_from(["0a", "0b", "0c", "0d", "0e"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "first_name": st.sampled_from(["Ann", "Bea", "Cid"]),
        "do_not_call": st.booleans(),
        MARK: st.just(True),
        "custom_fields": st.dictionaries(
            st.sampled_from(["a", "b"]), st.integers(1, 3), min_size=1
        ),
    },
).filter(bool)
ARRIVALS = st.lists(st.tuples(FIELDS, TIMES, KEYS), min_size=1, max_size=6)
VERDICTS = st.sampled_from(list(Verdict))


def arrive(lead: OneLead, arrivals: list[tuple[dict[str, Any], int, str]]) -> None:
    """Bring the updates in; one event gives a lead one update, so that keys are not repeated."""
    for number, (fields, time, key) in enumerate(arrivals):
        lead.arrive(fields, time, f"{key}{number:02x}")


class AnyInterleaving(RuleBasedStateMachine):
    """Arrivals, claims, answers and lost workers in any order; ``OneLead`` judges every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lead = OneLead()

    @rule(fields=FIELDS, time=TIMES, key=KEYS)
    def arrives(self, fields: dict[str, Any], time: int, key: str) -> None:
        self.lead.arrive(fields, time, f"{key}{len(self.lead.updates):02x}")

    @precondition(lambda self: self.lead.flight is None and self.lead.due_at is not None)
    @rule()
    def is_claimed(self) -> None:
        self.lead.now = max(self.lead.now, self.lead.due_at or 0)
        self.lead.claim()

    @precondition(lambda self: self.lead.flight is not None)
    @rule(verdict=VERDICTS, trouble=st.sampled_from([None, *Trouble]), applied=st.booleans())
    def is_answered(self, verdict: Verdict, trouble: Trouble | None, applied: bool) -> None:
        unsaid = verdict is Verdict.UNKNOWN
        failed = trouble if verdict in (Verdict.UNKNOWN, Verdict.NOT_SENT) else None
        self.lead.answer(verdict, failed, applied=applied and unsaid)

    @precondition(lambda self: self.lead.flight is not None)
    @rule()
    def loses_its_worker(self) -> None:
        self.lead.lose()

    @precondition(lambda self: self.lead.flight is None)
    @rule()
    def moves_to_another_campaign(self) -> None:
        self.lead.forget_at_api()

    @rule(ms=st.sampled_from([1, 1_000, 3_600_000]))
    def time_passes(self, ms: int) -> None:
        self.lead.now += ms

    @invariant()
    def no_opt_out_is_given_up(self) -> None:
        lead = self.lead
        for update in lead.updates.values():
            if update.opts_out and update.state.final and update.id not in lead.superseded_opt_outs:
                young = lead.now - update.accepted_at < POLICY.standing_period
                assert not young or update.id in lead.confirmed_opt_outs

    @invariant()
    def what_is_open_has_a_next_turn(self) -> None:
        if self.lead.flight is None and self.lead.open:
            assert self.lead.due_at is not None

    def teardown(self) -> None:
        lead = self.lead
        if lead.flight is not None:
            lead.answer(Verdict.NOT_SENT, Trouble.BUSY)
        lead.drain(most=2 * len(lead.updates) + 2)
        assert all(update.state.final for update in lead.updates.values())
        if lead.latched:
            assert lead.at_api.get("do_not_call") is True


class AnyInterleavingOfAllKnown(AnyInterleaving):
    """The same where a payload carries every custom field that is known."""

    def __init__(self) -> None:
        super().__init__()
        self.lead = OneLead(all_known=True)


AnyInterleaving.TestCase.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None
)
AnyInterleavingOfAllKnown.TestCase.settings = settings(
    max_examples=75, stateful_step_count=25, deadline=None
)
TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleavingOfAllKnown = AnyInterleavingOfAllKnown.TestCase


@settings(deadline=None)
@given(ARRIVALS, st.randoms(use_true_random=False))
def test_every_order_of_arrival_leaves_the_same_lead_at_the_api(arrivals: Any, random: Any) -> None:
    numbered = [(fields, time, f"{key}{i:02x}") for i, (fields, time, key) in enumerate(arrivals)]
    ends = []
    for _ in range(3):
        lead = OneLead()
        for fields, time, key in numbered:
            lead.arrive(fields, time, key)
            if random.random() < 0.5:
                lead.step(Verdict.CONFIRMED)
        lead.drain(most=len(numbered))
        lead.at_api.pop(MARK, None)
        ends.append(lead.at_api)
        random.shuffle(numbered)
    assert ends[0] == ends[1] == ends[2]


@settings(deadline=None)
@given(
    ARRIVALS,
    st.lists(
        st.sampled_from(
            [
                (Verdict.CONFIRMED, None),
                (Verdict.NOT_SENT, Trouble.BUSY),
                (Verdict.NOT_SENT, Trouble.REFUSED),
                (Verdict.UNKNOWN, Trouble.SERVER),
                (Verdict.UNKNOWN, Trouble.TRANSPORT),
            ]
        ),
        max_size=SUSPECT_TRIES - 1,  # then an opt-out goes alone, without what is beside it
    ),
)
def test_after_failed_calls_the_api_holds_the_newest_of_every_field(
    arrivals: Any, answers: Any
) -> None:
    lead = OneLead()
    arrive(lead, arrivals)
    for verdict, trouble in answers:
        lead.step(verdict, trouble)
    lead.drain(most=len(arrivals) + 1)
    for name in {name for fields, _, _ in arrivals for name in flat(fields)} - {MARK}:
        newest = lead.newest(name)
        assert newest is not None
        assert lead.at_api[name] == flat(newest.fields)[name]


@settings(deadline=None, max_examples=200)
@given(
    ARRIVALS,
    st.lists(
        st.sampled_from([Verdict.REJECTED, Verdict.NOT_FOUND, Verdict.UNKNOWN, Verdict.CONFIRMED]),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
@example(
    [({"do_not_call": True, "first_name": "Ann"}, 1, "0a")],
    [Verdict.NOT_FOUND, Verdict.REJECTED, Verdict.REJECTED],
    False,
)
@example(
    [({"do_not_call": True, "first_name": "Ann"}, 1, "0a")],
    [Verdict.NOT_FOUND, Verdict.REJECTED, Verdict.UNKNOWN, Verdict.REJECTED, Verdict.UNKNOWN],
    False,
)
def test_no_pattern_of_answers_makes_a_lead_go_round_in_circles(
    arrivals: Any, pattern: list[Verdict], all_known: bool
) -> None:
    lead = OneLead(all_known=all_known)
    arrive(lead, arrivals)
    day = lead.now + 86_400_000
    schedule = len(POLICY.standing_steps) + 86_400_000 // POLICY.standing_steps[-1]
    per_turn = 2 * POLICY.unknown_tries + 2
    most = (len(arrivals) + 1) * per_turn + schedule * per_turn
    calls = 0
    for verdict in cycle(pattern):
        if lead.due_at is None or lead.due_at > day:
            break
        calls += lead.step(verdict)
        assert calls <= most
    assert {u.state for u in lead.updates.values()} <= {
        *(state for state in State if state.final),
        State.STANDING,
        *((State.WAITING,) if lead.due_at else ()),
    }
    assert all(u.opts_out for u in lead.open), "only an opt-out may be open after a day"


@settings(deadline=None)
@given(ARRIVALS)
def test_whatever_is_marked_updated_is_at_the_api(arrivals: Any) -> None:
    lead = OneLead()
    arrive(lead, arrivals)
    lead.step(Verdict.REJECTED)
    lead.drain(most=2 * len(arrivals) + 2)
    for update in lead.updates.values():
        if update.state is State.UPDATED:
            said = lead.messages[update.id]
            for name, value in flat(update.fields).items():
                if lead.newest(name) == update and name not in said:
                    assert lead.at_api[name] == value
