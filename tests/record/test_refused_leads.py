"""A campaign some of whose leads or values get a 403: nobody else's opt-out waits for long.

Gate, turns, taking apart, decisions and ledgers as a worker has them, over a clock of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Any

import pytest

from bridge.forward.deliver import deliver
from bridge.model import Answered, Lane, Result, Sent, State, Trouble, Verdict
from bridge.record import ledger as ledgers
from bridge.record.gate import Gate, GatePolicy
from bridge.steps.turns import Turns

from .one_lead import START, OneLead

PROBE = 300_000
CALL = 50
HOURS = 3 * 3_600_000
BAD = "Robert'); DROP TABLE"
OPT_OUT = {"do_not_call": True}

Arrival = tuple[int, int, dict[str, Any]]
"""When (ms), for which lead, and what."""


class Campaign:
    """One thread that sends. ``refused``: leads whose opt-outs never get through."""

    def __init__(self, random: Random, refused: set[int], size: int) -> None:
        self.gate = Gate(GatePolicy(1_000, PROBE, PROBE), 10.0, random.random)
        self.turns = Turns(0, only_opt_outs=False)
        self.refused, self.size = refused, size
        self.leads: dict[int, OneLead] = {}
        self.now = 0

    def arrive(self, at: int, number: int, fields: dict[str, Any]) -> None:
        lead = self.leads.setdefault(number, OneLead())
        lead.now = START + self.now
        lead.arrive(fields, at + 1)

    def step(self) -> int | None:
        """Send a batch, or wait; the time until which there is nothing to do, if there is none."""
        due: dict[Lane, int] = {}
        for lead in self.leads.values():
            if lead.due_at is not None:
                due[lead._lane] = min(due.get(lead._lane, 2**62), lead.due_at - START)
        lane = self.turns.choose(due, self.now)
        if lane is Lane.OPT_OUT and self.gate.others_first(self.now):
            del due[lane]
            lane = self.turns.choose(due, self.now) or lane
        if lane is None:
            return min(due.values(), default=2**62)
        pause = self.gate.try_pass(self.now, urgent=lane is Lane.OPT_OUT)
        if pause > 0:
            return self.now + max(1, round(min(pause, 1_000)))
        self.turns.served(lane)
        self._send(lane)
        return None

    def _send(self, lane: Lane) -> None:
        waiting = sorted(
            (lead.due_at or 0, number)
            for number, lead in self.leads.items()
            if lead._lane is lane and lead.due_at is not None and lead.due_at <= START + self.now
        )
        batch: dict[int, OneLead] = {}
        for _, number in waiting[: self.size]:
            self.leads[number].now = START + self.now
            if self.leads[number].claim():
                batch[number] = self.leads[number]
        if not batch:
            self.gate.unused()
            return
        alone: set[int] = set()

        def blames(sent: Sent) -> bool:
            alone.add(sent.lead_id)
            return self.gate.blames(sent.lead_id)

        def suspects(part: Sequence[Sent]) -> list[Sent]:
            by_lead = {sent.lead_id: sent for sent in part}
            return [by_lead[lead] for lead in self.gate.suspects(by_lead.keys())]

        answered = deliver(
            [Sent(number, "", lead.sends[-1]) for number, lead in batch.items()],
            self._call,
            deadline=1e18,
            pace=lambda _: self._pace(urgent=lane is Lane.OPT_OUT),
            note=self._note,
            blames=blames,
            suspects=suspects,
            clock=lambda: 0.0,
        )
        if answered.trouble is not None:
            self.gate.let_others_first(yes=answered.status == 403 and lane is Lane.OPT_OUT)
        for (number, lead), result in zip(batch.items(), answered.results, strict=True):
            assert lead.flight is not None
            flight, verdict = lead.flight, result.verdict
            apart = flight.lead.bare and flight.plan.held_back
            again = number in alone and ledgers.opted_out(flight.plan.ledger)
            if verdict is not Verdict.NOT_SENT and not apart and not again:
                self.gate.absolve([number])
            lead.now = START + self.now
            by_itself = number in alone and verdict is Verdict.NOT_SENT
            lead.answer(verdict, Trouble.REFUSED_ALONE if by_itself else answered.trouble)

    def _call(self, part: Sequence[Sent]) -> Answered:
        self.now += CALL
        if any(
            sent.payload.get("first_name") == BAD
            or (sent.lead_id in self.refused and "do_not_call" in sent.payload)
            for sent in part
        ):
            results = tuple(Result(Verdict.NOT_SENT, "HTTP 403") for _ in part)
            return Answered(results, 403, Trouble.REFUSED, "HTTP 403")
        return Answered(tuple(Result(Verdict.CONFIRMED) for _ in part), 200)

    def _pace(self, *, urgent: bool) -> bool:
        while (pause := self.gate.try_pass(self.now, urgent=urgent, further=True)) > 0:
            self.now += max(1, round(pause))
        return True

    def _note(self, answer: Answered) -> None:
        if answer.trouble is None:
            self.gate.succeeded(self.now)
        else:
            self.gate.failed(answer.trouble, answer.detail, None, self.now, status=answer.status)


def arrivals_of(random: Random, leads: int) -> list[Arrival]:
    """For each lead an opt-out, a name or both, at once or one after the other."""
    found: list[Arrival] = []
    for number in range(leads):
        at = random.choice([0, 0, random.randint(0, HOURS // 2)])
        name = {"first_name": random.choice(["Ann", "Ann", BAD])}
        both: list[dict[str, Any]] = [OPT_OUT, name]
        for fields in random.choice([both[:1], both[1:], both, both[::-1]]):
            found.append((at, number, fields))
            at += random.choice([0, 5_000])
        if random.random() < 0.2:
            found.append((at, number, OPT_OUT | name))
    return sorted(found, key=lambda one: one[0])


@pytest.mark.parametrize("seed", range(30))
def test_an_opt_out_that_is_not_refused_waits_for_two_probes_at_most(seed: int) -> None:
    """One where it comes into a pause, one more where it goes with a value that is refused."""
    random = Random(seed)
    leads = random.randint(3, 20)
    refused = set(random.sample(range(leads), random.randint(0, 3)))
    campaign = Campaign(random, refused, random.choice([3, 20]))
    arrivals = arrivals_of(random, leads)
    born: dict[tuple[int, int], int] = {}
    waits: dict[tuple[int, int], int] = {}
    for turn in count():
        while arrivals and arrivals[0][0] <= campaign.now:
            at, number, fields = arrivals.pop(0)
            campaign.arrive(at, number, fields)
            born[number, len(campaign.leads[number].updates)] = at
        idle = campaign.step()
        for (number, update), at in born.items():
            if campaign.leads[number].state(update).final:
                waits.setdefault((number, update), campaign.now - at)
        if idle is not None:
            campaign.now = min(idle, arrivals[0][0] if arrivals else 2**62)
        if campaign.now > HOURS:
            break
        assert turn < 100_000
    for (number, update), at in born.items():
        row = campaign.leads[number].updates[update]
        wait = waits.get((number, update), HOURS - at)
        if row.opts_out and number not in refused:
            assert wait <= 2 * PROBE + 30_000, (number, update, wait)
        if row.state is State.REJECTED:
            assert row.fields.get("first_name") == BAD, "whoever is not to blame is not rejected"
