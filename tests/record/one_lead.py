"""One lead of one campaign, driven as a worker drives it, over the pure functions alone.

Everything that was ever sent is judged here against an oracle that knows only the arrivals: the
newest value per field by (time, opt-out wins, key). A test brings the arrivals and the answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.model import Lane, Result, State, Trouble, Verdict
from bridge.record import ledger as ledgers
from bridge.record.decide import Call, Policy, decide
from bridge.store.leads import Claimable
from bridge.store.outcomes import OpenUpdate
from bridge.store.pauses import OPT_OUT_LANES

POLICY = Policy(
    unknown_tries=3,
    give_up_after=10_000_000,
    standing_steps=(60_000, 300_000, 3_600_000),
    standing_period=1_000_000_000,
    backoff_first=1_000,
    backoff_most=60_000,
)
START = 1_700_000_000_000
MARK = ledgers.MARK


@dataclass(frozen=True)
class Flight:
    """A call that is under way: what was claimed, and what stood in the payload."""

    lead: Claimable
    plan: ledgers.Plan
    updates: list[OpenUpdate]


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with those of ``custom_fields`` on one level with the others."""
    custom = {f"custom_fields.{k}": v for k, v in fields.get("custom_fields", {}).items()}
    return {k: v for k, v in fields.items() if k != "custom_fields"} | custom


class OneLead:
    """The lead. ``at_api``: what the API holds of it, as far as confirmed calls tell."""

    def __init__(self, *, all_known: bool = False, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.all_known = all_known
        self.now = START
        self.updates: dict[int, OpenUpdate] = {}
        self.sends: list[dict[str, Any]] = []
        self.at_api: dict[str, Any] = {}
        self.flight: Flight | None = None
        self.superseded_opt_outs: set[int] = set()
        self.confirmed_opt_outs: set[int] = set()
        self.messages: dict[int, str] = {}
        self._stored: dict[str, Any] = {}
        self._lane, self._due_at = Lane.IDLE, 2**62
        self._tries = self._standing_tries = 0
        self._bare = self._reassert = False
        self._marks_in_doubt: set[int] = set()

    # ------------------------------------------------------------------ what a worker does

    def arrive(self, fields: dict[str, Any], time: int, key: str | None = None) -> int:
        """A lead update comes in; returns its id."""
        number = len(self.updates) + 1
        opts_out = fields.get("do_not_call") is True
        self.updates[number] = OpenUpdate(
            id=number,
            lead_id=1,
            state=State.WAITING,
            fields=fields,
            opts_out=opts_out,
            event_time=time,
            key=f"{number:032x}" if key is None else key,
            doubtful=False,
            tries=0,
            accepted_at=self.now,
            receipt="r",
            source="s",
            rules=(),
            message="",
        )
        if opts_out or self._lane is not Lane.STANDING:
            self._lane = min(self._lane, Lane.OPT_OUT if opts_out else Lane.FIRST)
        self._due_at = min(self._due_at, self.now)
        return number

    @property
    def due_at(self) -> int | None:
        """When the lead is due; None if it stands in no lane."""
        return None if self._lane is Lane.IDLE else self._due_at

    @property
    def open(self) -> list[OpenUpdate]:
        """The updates that are not final, in the order in which the store gives them."""
        rows = [u for u in self.updates.values() if not u.state.final]
        return sorted(rows, key=lambda u: (u.event_time, u.key, u.id))

    def state(self, number: int) -> State:
        return self.updates[number].state

    def claim(self) -> bool:
        """Plan and settle as the claim does; whether a call is now under way."""
        assert self.flight is None
        lead = Claimable(
            1,
            "+14155550123",
            self._lane,
            self._due_at,
            json.loads(json.dumps(self._stored)),
            0,
            self._tries,
            self._standing_tries,
            self._bare,
            self._reassert,
        )
        updates = self.open
        plan = ledgers.plan(
            lead.ledger,
            updates,
            all_known=self.all_known,
            alone=lead.bare,
            reassert=lead.reassert,
            ahead=lead.lane is Lane.OPT_OUT,
        )
        self._lane, self._due_at = Lane.IDLE, 2**62
        self._keep(plan.ledger)
        assert set(plan.settled).isdisjoint(plan.carried)
        assert len(plan.settled) + len(plan.carried) + plan.held_back == len(updates)
        for number, (state, message) in plan.settled.items():
            self._settle(number, state, message, None)
        if not plan.carried and not plan.reasserts:
            assert not plan.payload
            assert not plan.held_back
            self._tries, self._bare, self._reassert = 0, False, False
            return False
        assert plan.payload
        self._judge_payload(plan)
        self.sends.append(plan.payload)
        for number in plan.carried:
            self.updates[number] = self.updates[number]._replace(state=State.IN_FLIGHT)
        self.flight = Flight(lead, plan, updates)
        return True

    def answer(
        self, verdict: Verdict, trouble: Trouble | None = None, *, applied: bool = False
    ) -> None:
        """The call ends. ``applied``: the API did it all, only its word did not reach us."""
        flight = self._landed()
        if verdict is Verdict.CONFIRMED or applied:
            self.at_api.update(flat(flight.plan.payload))
        if verdict is Verdict.UNKNOWN:
            self._note_doubt(flight)
        result = Result(verdict, "the answer")
        call = Call(flight.lead, flight.plan, flight.updates, result, trouble, 7, self.now)
        step = decide(call, self.policy)
        assert sorted(d.id for d in step.decisions) == sorted(flight.plan.carried)
        for made in step.decisions:
            assert made.state is not State.UPDATED or verdict is Verdict.CONFIRMED
            if self.updates[made.id].opts_out and verdict is Verdict.CONFIRMED:
                self.confirmed_opt_outs |= (
                    {made.id} if call.asserts(self.updates[made.id]) else set()
                )
            self._settle(made.id, made.state, made.message, made.doubtful)
            self.updates[made.id] = self.updates[made.id]._replace(tries=made.tries)
        self._keep(step.ledger)
        self._tries, self._standing_tries, self._bare = step.tries, step.standing_tries, step.bare
        self._reassert = step.reassert
        stands = step.lane is Lane.STANDING and self._lane is not Lane.OPT_OUT
        self._lane = step.lane if stands else min(self._lane, step.lane)
        if step.due_at is not None:
            self._due_at = min(self._due_at, step.due_at)
        if any(not u.state.final for u in self.updates.values()):
            assert self._lane is not Lane.IDLE, "an open update without a next turn is lost"
        word = self.newest("do_not_call")
        untold = word is not None and word.opts_out and not word.state.final
        if self._reassert or untold:
            assert self._lane in OPT_OUT_LANES, "a pause by hand would hold an opt-out"

    def lose(self) -> None:
        """The worker dies in the middle of the call; another frees the lead."""
        flight = self._landed()
        self._note_doubt(flight)
        for number in flight.plan.carried:
            self.updates[number] = self.updates[number]._replace(state=State.WAITING, doubtful=True)
        opts_out = any(self.updates[n].opts_out for n in flight.plan.carried)
        if opts_out or self._reassert:
            self._lane = Lane.OPT_OUT
        elif self._lane >= Lane.RETRY:
            latched = ledgers.opted_out(ledgers.read(self._stored))
            self._lane = Lane.STANDING if latched else Lane.RETRY
        self._due_at = min(self._due_at, self.now)

    def forget_at_api(self) -> None:
        """The campaign is another one from now on: the API knows of no opt-out."""
        assert self.flight is None
        self.at_api.pop("do_not_call", None)
        if ledgers.opted_out(ledgers.read(self._stored)):
            self._lane, self._due_at, self._reassert = Lane.OPT_OUT, self.now, True

    def step(self, verdict: Verdict, trouble: Trouble | None = None) -> bool:
        """Wait until the lead is due, claim it, and answer if a call was made; whether one was."""
        if self.due_at is None:
            return False
        self.now = max(self.now, self.due_at)
        if not self.claim():
            return False
        self.answer(verdict, trouble)
        return True

    def drain(self, most: int) -> int:
        """From here on the API confirms everything; how many calls it took."""
        calls = 0
        while self.due_at is not None:
            calls += self.step(Verdict.CONFIRMED)
            assert calls <= most, "the lead is sent over and over"
        return calls

    # ------------------------------------------------------------------ the oracle

    def newest(self, name: str) -> OpenUpdate | None:
        """The update that has the last word on a field, of all that ever arrived."""
        rows = [u for u in self.updates.values() if name in flat(u.fields)]
        return max(
            rows,
            key=lambda u: (u.event_time, name == "do_not_call" and u.opts_out, u.key),
            default=None,
        )

    @property
    def latched(self) -> bool:
        """Whether the newest word on the lead is an opt-out."""
        word = self.newest("do_not_call")
        return word is not None and word.opts_out

    def _judge_payload(self, plan: ledgers.Plan) -> None:
        for name, value in flat(plan.payload).items():
            newest = self.newest(name)
            assert newest is not None
            assert flat(newest.fields)[name] == value, f"{name} goes out with an older value"
            if name == MARK:
                assert not self.latched, "a lead that is opted out is put back into the queue"
                assert newest.id not in self._marks_in_doubt, "a doubtful wish is sent again"

    def _note_doubt(self, flight: Flight) -> None:
        if MARK in flight.plan.payload:
            newest = max(
                (u for u in flight.updates if MARK in u.fields), key=lambda u: (u.event_time, u.key)
            )
            self._marks_in_doubt.add(newest.id)

    def _settle(self, number: int, state: State, message: str, doubtful: bool | None) -> None:
        before = self.updates[number]
        assert not before.state.final, "a final state was changed"
        if before.opts_out and state.final and self.newest("do_not_call") != before:
            self.superseded_opt_outs.add(number)
        doubt = before.doubtful if doubtful is None else doubtful
        assert doubt or not before.doubtful, "a doubt was forgotten"
        self.messages[number] = message
        self.updates[number] = before._replace(state=state, doubtful=doubt)

    def _landed(self) -> Flight:
        assert self.flight is not None
        flight, self.flight = self.flight, None
        return flight

    def _keep(self, ledger: ledgers.Ledger) -> None:
        self._stored = json.loads(json.dumps(ledgers.write(ledger)))
        assert ledgers.write(ledgers.read(self._stored)) == self._stored
