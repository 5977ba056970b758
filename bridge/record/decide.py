"""From the endpoint's word on a lead to the next state of each of its updates. Pure.

The rules, in the order in which they bind:

* Confirmed means that the reply names the lead with ``success: true``; nothing else is *updated*.
* An opt-out never ends for want of success: it stands, and is sent again on a schedule, until it
  is confirmed, cancelled by a newer opt-in, or its period is over.
* ``mark_as_unanswered`` is never sent again after an answer that cannot be trusted.
* A refused object that holds an opt-out and more is taken apart: first the opt-out alone. What
  was beside it goes next; where that fails, the opt-out is asserted before it is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.model import Lane, Result, State, Trouble, Verdict
from bridge.record import ledger as ledgers
from bridge.record.ledger import Ledger, Plan
from bridge.store.leads import Claimable
from bridge.store.outcomes import Decision, OpenUpdate

MESSAGE_LENGTH = 500

SUSPECT_TRIES = 8
"""Failed tries after which an opt-out no longer waits for the fields that are beside it."""

OPT_OUT_PAUSE = 30_000
"""The longest pause (ms) of an opt-out after a try that was not answered."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide. Times in milliseconds.

    ``unknown_tries``: of each update. ``standing_steps``: pauses between tries of a standing
    opt-out, the last one repeats. ``backoff_first``: the pause after the first try of a lead that
    was not answered well; each further one doubles it, up to ``backoff_most``.
    """

    unknown_tries: int
    give_up_after: int
    standing_steps: tuple[int, ...]
    standing_period: int
    backoff_first: int
    backoff_most: int


@dataclass(slots=True)
class Next:
    """What follows for one lead: decisions on its updates, and where it stands."""

    decisions: tuple[Decision, ...]
    lane: Lane
    due_at: int | None
    tries: int
    standing_tries: int
    bare: bool
    ledger: Ledger
    reassert: bool = False


@dataclass(slots=True)
class Call:
    """One lead's part in a call that has ended. ``trouble``: the call as a whole failed."""

    lead: Claimable
    plan: Plan
    updates: Sequence[OpenUpdate]
    result: Result
    trouble: Trouble | None
    batch_id: int
    now: int

    @property
    def carried(self) -> Sequence[OpenUpdate]:
        """The updates whose fate this call decides."""
        if len(self.plan.carried) == len(self.updates):
            return self.updates
        return [update for update in self.updates if update.id in self.plan.carried]

    @property
    def asserted(self) -> bool:
        """Whether the call carried an opt-out, of an update or one that goes again by itself."""
        return self.plan.payload.get(ledgers.DO_NOT_CALL) is True

    def asserts(self, update: OpenUpdate) -> bool:
        """Whether the call carried this update's opt-out."""
        return update.opts_out and self.asserted


def decide(call: Call, policy: Policy) -> Next:
    """What one result means for the carried updates of one lead."""
    match call.result.verdict:
        case Verdict.CONFIRMED:
            tally = _Tally(call, policy, tries=_clear(call), standing_tries=0)
            for update in call.carried:
                tally.confirmed(update)
        case Verdict.NOT_FOUND:
            tally = _Tally(call, policy, tries=_clear(call))
            for update in call.carried:
                tally.refused(update, State.NOT_FOUND)
        case Verdict.REJECTED:
            tally = _rejected(call, policy)
        case Verdict.UNKNOWN if call.trouble is None:
            tally = _unknown(call, policy)
        case _:
            tally = _not_done(call, policy)
    return tally.close()


class _Tally:
    """Collects the decisions on one lead, and the earliest thing that has to follow."""

    def __init__(
        self,
        call: Call,
        policy: Policy,
        *,
        tries: int | None = None,
        standing_tries: int | None = None,
    ) -> None:
        lead = call.lead
        self.call = call
        self.policy = policy
        self.tries = lead.tries if tries is None else tries
        self.held_back = call.plan.held_back > 0
        self.standing_tries = lead.standing_tries if standing_tries is None else standing_tries
        self.stood = False
        self.called = True
        self.resumed = False
        self.alone = lead.bare
        self.ledger = call.plan.ledger
        self.decisions: list[Decision] = []
        self.lane = Lane.IDLE
        self.due_at: int | None = None

    def settle(
        self, update: OpenUpdate, state: State, message: str, *, doubtful: bool | None = None
    ) -> None:
        """Give an update its next state."""
        self.decisions.append(
            Decision(
                update.id,
                state,
                message[:MESSAGE_LENGTH],
                update.doubtful if doubtful is None else doubtful,
                update.tries + 1,
                self.call.batch_id,
            )
        )

    def follow(self, lane: Lane, due_at: int) -> None:
        """Have the lead stand in a lane; the more urgent one wins."""
        self.lane = min(self.lane, lane)
        self.due_at = due_at if self.due_at is None else min(self.due_at, due_at)

    def confirmed(self, update: OpenUpdate) -> None:
        """The reply names the lead with success."""
        message = self.call.result.message
        left_out = self.call.plan.left_out.get(update.id)
        if left_out is not None:
            message = f"{message} ({left_out})"
        # beside an opt-out of its own the mark never travels, so there is nothing to doubt
        marked = ledgers.MARK in update.fields and not self.call.asserts(update)
        unsure = marked and update.doubtful
        self.settle(update, State.UNCONFIRMED if unsure else State.UPDATED, message)

    def refused(self, update: OpenUpdate, end: State) -> None:
        """The reply names the lead without success: an opt-out stands, all else ends."""
        if self.call.asserts(update):
            self.stand(update, end)
        else:
            self.settle(update, end, self.call.result.message)

    def stand(self, update: OpenUpdate, end: State) -> None:
        """An opt-out that is not confirmed stays asserted, until its period is over."""
        now, message = self.call.now, self.call.result.message
        if now - update.accepted_at >= self.policy.standing_period:
            self.settle(
                update, end, f"the period of a standing opt-out is over; last answer: {message}"
            )
            return
        self.settle(update, State.STANDING, message)
        self.follow(Lane.STANDING, now + self.standing_pause())
        self.stood = True

    def standing_pause(self) -> int:
        """How long an opt-out that is not confirmed waits on its schedule (ms)."""
        steps = self.policy.standing_steps
        return steps[min(self.standing_tries - self.unscheduled(), len(steps) - 1)]

    def unscheduled(self) -> bool:
        """Whether something that came, or was broken off, had the call made, and not the schedule:
        that is no step of it, or a few events at once would leave the next try to the next day."""
        came = any(update.state is not State.STANDING for update in self.call.carried)
        return came and self.standing_tries > 0

    def again(self, update: OpenUpdate, lane: Lane, due_at: int, *, sent: bool) -> None:
        """Send the update again later. ``sent``: this try may have reached the API."""
        state = State.STANDING if update.state is State.STANDING else State.WAITING
        doubtful = update.doubtful or sent
        self.settle(update, state, self.call.result.message, doubtful=doubtful)
        self.follow(lane, due_at)
        self.resumed = True

    def spent(self, update: OpenUpdate) -> bool:
        """Whether the update itself has had its share of tries whose answer says nothing.

        The lead's may be those of an older update. An update's own also count calls that never
        went out; one that is not doubtful has been in no other.
        """
        own = min(self.tries, update.tries + 1) if update.doubtful else 1
        return own >= self.policy.unknown_tries

    def pause(self) -> int:
        """How long a lead waits after a try that was not answered well (ms)."""
        doubled: int = self.policy.backoff_first * 2 ** min(self.tries - 1, 20)
        most = OPT_OUT_PAUSE if self.call.asserted else self.policy.backoff_most
        return min(most, self.policy.backoff_most, doubled)

    def again_by_itself(self, due_at: int) -> None:
        """The same for an opt-out that goes again although no update asks for it."""
        if self.call.plan.reasserts:
            self.follow(Lane.OPT_OUT, due_at)
            self.resumed = True

    def keeps_an_opt_out(self) -> bool:
        """Whether an opt-out is among what waits for a later call."""
        plan = self.call.plan
        return self.held_back and any(
            update.opts_out and update.id not in plan.carried and update.id not in plan.settled
            for update in self.call.updates
        )

    def suspect(self, *, spent: bool = False) -> bool:
        """After many such tries an opt-out goes alone: what is beside it may be the cause.

        ``spent``: these were enough. Whether it does.
        """
        beside = self.call.asserted and len(self.call.plan.payload) > 1
        suspected = beside and (spent or self.tries >= SUSPECT_TRIES)
        self.alone = self.alone or suspected
        return suspected

    def close(self) -> Next:
        """The sum: what was decided of the updates, and of what waits beside them.

        A lead whose opt-out is still to be told, by an update that waits or by itself, goes

        * to the lane of opt-outs, after a pause, if its call was broken off, or what that carried
          is sent again: the opt-out goes before it;
        * to that of standing ones, by the schedule, if the call carried the opt-out;
        * to that of standing ones, at once, if the call was of what was refused beside it, or
          more of that is left: the next of it goes, and at last the opt-out.
        """
        call, plan = self.call, self.call.plan
        confirmed = call.result.verdict is Verdict.CONFIRMED
        latch = ledgers.opted_out(plan.ledger)
        reassert = latch and call.lead.reassert and not (confirmed and call.asserted)
        reassert = reassert or plan.echoes
        waits = reassert or (latch and self.keeps_an_opt_out())
        at_once = Lane.RETRY if self.held_back else None
        if reassert and not self.called:
            self.follow(Lane.OPT_OUT, call.now + (self.pause() if self.tries else 0))
        elif waits and self.resumed:
            self.lane = Lane.OPT_OUT  # it goes before what was refused beside it, or failed
        elif reassert and (call.asserted or plan.echoes):
            self.follow(Lane.STANDING, call.now + self.standing_pause())
            self.stood = True
        elif reassert and not self.held_back:  # this call was of what was refused beside it
            at_once = Lane.STANDING
        if at_once is not None and not self.resumed and (self.called or not reassert):
            # else they would cut short the pause of those before
            self.follow(at_once, call.now)
        if (self.stood or waits) and self.lane is not Lane.OPT_OUT:
            self.lane = Lane.STANDING  # in which it goes on while a person has paused all else
        # between the tries of what fails beside it, an opt-out goes more often than it has to
        counts = self.stood and not (self.held_back and self.tries) and not self.unscheduled()
        return Next(
            tuple(self.decisions),
            self.lane,
            self.due_at,
            0 if self.lane is Lane.IDLE else self.tries,
            self.standing_tries + counts,
            self.alone and (self.resumed or self.held_back),
            self.ledger,
            reassert,
        )


def _clear(call: Call) -> int | None:
    """The tries of a lead after a clear answer: those of what fails beside an opt-out go on."""
    return None if call.asserted and call.plan.held_back else 0


def _rejected(call: Call, policy: Policy) -> _Tally:
    tally = _Tally(call, policy, tries=_clear(call))
    carried, plan = call.carried, call.plan
    several = len(carried) > 1 and not call.lead.bare
    mixed = call.asserted and len(plan.payload) > 1
    if several or mixed:
        tally.alone = True
        for update in carried:
            lane = Lane.OPT_OUT if call.asserts(update) else Lane.RETRY
            tally.again(update, lane, call.now, sent=False)
        return tally
    for update in carried:
        tally.refused(update, State.REJECTED)
    tally.ledger = ledgers.refuse(plan.ledger, [u for u in carried if not call.asserts(u)])
    return tally


def _unknown(call: Call, policy: Policy) -> _Tally:
    """The call went well, but its reply does not say in a trustworthy way what became of this."""
    tally = _Tally(call, policy, tries=call.lead.tries + 1)
    due_at = call.now + tally.pause()
    asserting = [update for update in call.carried if call.asserts(update)]
    spent = all(map(tally.spent, asserting)) and tally.tries >= policy.unknown_tries
    stands = not tally.suspect(spent=spent) and spent
    if not stands:
        tally.again_by_itself(due_at)
    for update in call.carried:
        if call.asserts(update):
            if stands:
                tally.stand(update, State.UNCONFIRMED)
            else:
                tally.again(update, Lane.OPT_OUT, due_at, sent=True)
        elif tally.spent(update) or set(update.fields) == {ledgers.MARK}:
            tally.settle(update, State.UNCONFIRMED, call.result.message, doubtful=True)
        else:
            tally.again(update, Lane.RETRY, due_at, sent=True)
    return tally


def _not_done(call: Call, policy: Policy) -> _Tally:
    """The call as a whole failed: the campaign is held back, its leads keep their turn.

    What was not sent never ends here, however long its campaign was closed. A lead that was in a
    call which failed may be the cause: it steps behind the others, its next batch is smaller
    (``bridge.steps.claim``), and it is given up once it is old and has had its share of tries.
    Of one that was refused by itself only the opt-out goes next: the rest may be the cause.
    """
    sent = call.result.verdict is Verdict.UNKNOWN
    tally = _Tally(call, policy, tries=call.lead.tries + 1 if sent else None)
    due_at = call.now + (tally.pause() if sent else 0)
    if sent:
        tally.suspect()
    elif call.trouble is Trouble.REFUSED_ALONE:
        tally.suspect(spent=True)
    for update in call.carried:
        if call.asserts(update):
            tally.again(update, Lane.OPT_OUT, due_at, sent=sent)
            continue
        old = call.now - update.accepted_at >= policy.give_up_after
        if sent and old and tally.spent(update):
            message = f"given up; last answer: {call.result.message}"
            tally.settle(update, State.UNCONFIRMED, message, doubtful=True)
        elif sent and set(update.fields) == {ledgers.MARK}:
            tally.settle(update, State.UNCONFIRMED, call.result.message, doubtful=True)
        else:
            tally.again(update, Lane.RETRY, due_at, sent=sent)
    tally.called = False
    return tally
