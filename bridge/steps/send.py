"""Batches of a campaign go out, one after the other, and their results become outcomes.

While there is more than a batch, the transaction that records one claims the next: half as many
commits, each of which waits for the disk. What goes next is found out in it, so that an opt-out
that came meanwhile goes before everything else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from bridge import logs
from bridge.errors import StoreBusy, StoreError
from bridge.forward.client import CampaignClient
from bridge.forward.deliver import deliver
from bridge.model import Answered, Campaign, Lane, Result, Sent, State, Trouble, Verdict
from bridge.record import ledger as ledgers
from bridge.record.decide import Call, decide
from bridge.record.decide import Next as Step
from bridge.record.gate import Gate
from bridge.record.outcome_lines import Line, log_outcomes
from bridge.steps.claim import Claimed, Taken, claim, take
from bridge.steps.conditions import monotonic_ms
from bridge.steps.counting import confirmed_opt_outs, count_batch, count_call
from bridge.steps.equipment import Equipment
from bridge.store import campaigns, lapses, leads, outcomes
from bridge.store.database import Connection
from bridge.store.right_of_way import LONGEST_REST_S
from bridge.store.schema import NEVER

log = logs.get("send")

LAPSED = (State.NOT_FOUND, State.REJECTED, State.UNCONFIRMED)
"""How an opt-out ends whose period is over."""

ANSWERED = (Verdict.CONFIRMED, Verdict.NOT_FOUND, Verdict.REJECTED)
"""What the API says of a lead when it has taken its call on, a 403 for it alone apart."""

LEAST_LEFT_S = 2 * LONGEST_REST_S
"""How much of a lease is left at least where an answer stands back before it is recorded."""

AGAIN_S = 0.05
"""Between tries of recording a result while the database is busy."""


Next = Callable[[Connection], Lane | None]
"""The lane whose batch the gate lets through at once; None if there is none, or it has to wait."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a thread reaches a campaign. ``gate`` has let the first call of a batch through.

    ``pace``: waits for the turn of each further call with leads of a lane, until a deadline
    (monotonic seconds) at most; False when there is none. ``note``: hears how each call went.
    ``go_on``: what to ask for the batch after this one, which is claimed in the transaction that
    records it; None where each batch is to have a turn of its own.
    """

    client: CampaignClient
    gate: Gate
    pace: Callable[[Lane, float], bool]
    note: Callable[[Campaign, Gate, Answered], None]
    go_on: Callable[[], Next | None] = lambda: None


class _Batch(NamedTuple):
    """Leads that are held."""

    taken: Taken
    lane: Lane
    started_at: int


class _Done(NamedTuple):
    """What one transaction has recorded, and the batch that it has claimed."""

    decisions: Sequence[outcomes.Decision]
    lines: Sequence[Line]
    following: _Batch | None


@dataclass(slots=True)
class _Turn:
    """What is asked for the next batch, if anything. ``taken``: the gate has let a call through."""

    go_on: Next | None = None
    taken: bool = False


def send(equipment: Equipment, campaign: Campaign, lane: Lane, way: Way) -> int:
    """Send a batch of a lane, and those after it as far as ``way`` goes on.

    Returns how many leads they held. Errors: ``StoreBusy``.
    """
    campaign = _in_time(equipment, campaign)
    started_at = equipment.database.now_ms()
    batch: _Batch | None = _Batch(claim(equipment, campaign, lane), lane, started_at)
    sent = 0
    while batch is not None and batch.taken.claimed:
        answered = _call(equipment, campaign, batch, way)
        sent += len(batch.taken.claimed)
        batch = _recorded(equipment, campaign, batch, answered, way)
    if batch is not None:
        way.gate.unused()
    return sent


def _call(equipment: Equipment, campaign: Campaign, batch: _Batch, way: Way) -> Answered:
    refused_alone: set[int] = set()

    def blames(sent: Sent) -> bool:
        refused_alone.add(sent.lead_id)
        known = _refused_before(equipment, batch, sent, way.gate)
        return way.gate.blames(sent.lead_id, known=known)

    def suspects(batch: Sequence[Sent]) -> list[Sent]:
        by_lead = {sent.lead_id: sent for sent in batch}
        return [by_lead[lead] for lead in way.gate.suspects(by_lead.keys())]

    answered = deliver(
        [item.sent for item in batch.taken.claimed],
        lambda part: way.client.update_leads(
            campaign, part, lambda answer: count_call(equipment.counts, campaign.name, answer)
        ),
        deadline=_lease_end(equipment, batch) - campaign.timeout_s * _tokens(campaign),
        pace=partial(way.pace, batch.lane),
        note=lambda answer: way.note(campaign, way.gate, answer),
        blames=blames,
        suspects=suspects,
    )
    if answered.trouble is not None:
        refused = answered.status == 403 and batch.lane is Lane.OPT_OUT
        way.gate.let_others_first(yes=refused)
    way.gate.absolve(
        item.lead.id
        for item, result in zip(batch.taken.claimed, answered.results, strict=True)
        if _is_cleared(item, result.verdict, answered, refused_alone)
    )
    if answered.calls == 0:
        way.gate.unused()
    return replace(answered, alone=frozenset(refused_alone))


def _refused_before(equipment: Equipment, batch: _Batch, sent: Sent, gate: Gate) -> bool:
    """Whether this or another worker has seen a lead refused by itself, and others get through.

    Who got through last, and opened the campaign by it, may not be recorded yet.
    """
    now = monotonic_ms()
    ago = gate.opened_ago(now)
    opened_at = None if ago is None else equipment.database.now_ms() - math.ceil(ago)
    ids = [
        number
        for item in batch.taken.claimed
        if item.sent.lead_id == sent.lead_id
        for number in item.plan.carried
    ]
    try:
        with equipment.database.read() as connection:
            return outcomes.refused_alone(
                connection, ids, opened_at=opened_at, seen=gate.view(now).changes
            )
    except StoreError:
        return False


def _is_cleared(
    item: Claimed, verdict: Verdict, answered: Answered, refused_alone: set[int]
) -> bool:
    """Whether the next 403 for a lead may be the campaign's again."""
    if item.lead.bare and item.plan.held_back:
        return False  # what waits beside an opt-out may be to blame, which goes alone for that
    if item.lead.id in refused_alone and verdict is Verdict.REJECTED:
        # what was rejected says nothing of the next update; an opt-out goes again as it is
        return not ledgers.opted_out(item.plan.ledger)
    return verdict in ANSWERED or (verdict is Verdict.UNKNOWN and answered.trouble is None)


def _trouble(item: Claimed, result: Result, answered: Answered) -> Trouble | None:
    """Why the call failed, as far as it is about this lead."""
    if result.verdict is Verdict.NOT_SENT and item.lead.id in answered.alone:
        return Trouble.REFUSED_ALONE
    return answered.trouble


def _lease_end(equipment: Equipment, batch: _Batch) -> float:
    return batch.taken.started + equipment.bounds.lease / 1000


def _recorded(
    equipment: Equipment, campaign: Campaign, batch: _Batch, answered: Answered, way: Way
) -> _Batch | None:
    """Record a batch; the one that was claimed with it, if there is one.

    The answer is known and must not be thrown away while the lease lasts: not for a database that
    is busy, and not for leads that cannot be claimed. It is recorded by itself then.
    """
    follows = batch.taken.more and answered.trouble is None
    while True:
        turn = _Turn()
        try:
            if follows:
                turn.go_on = way.go_on()
            done = _record(equipment, campaign, batch, answered, turn)
        except StoreBusy:
            if time.monotonic() > _lease_end(equipment, batch):
                raise
            time.sleep(AGAIN_S)
        except Exception:
            if not follows:
                raise
            log.exception(
                "next batch not claimed, the answer is recorded",
                receipts=logs.few(u.receipt for one in batch.taken.claimed for u in one.updates),
                campaign=campaign.name,
            )
        else:
            break
        if turn.taken:
            way.gate.unused()
        follows = False
    count_batch(equipment.counts, campaign.name, len(batch.taken.claimed), done.decisions)
    log_outcomes([*done.lines, *(done.following.taken.lines if done.following else ())])
    return done.following


def _in_time(equipment: Equipment, campaign: Campaign) -> Campaign:
    """The campaign with a time-out that ends well before a lease does, also with two tokens."""
    longest = equipment.bounds.lease / 1000 / max(3, _tokens(campaign) + 1)
    return replace(campaign, timeout_s=min(campaign.timeout_s, longest))


def _tokens(campaign: Campaign) -> int:
    """How often a call may have to be made, until one token works."""
    return 1 if campaign.token is None else len(campaign.token.values)


def _record(
    equipment: Equipment,
    campaign: Campaign,
    batch: _Batch,
    answered: Answered,
    turn: _Turn,
) -> _Done:
    """Turn results into outcomes, under the fence of the claim, and claim what goes next."""
    claimed = batch.taken.claimed
    following: _Batch | None = None
    now = equipment.database.now_ms()
    decisions: list[outcomes.Decision] = []
    released: list[leads.Released] = []
    rested: list[tuple[int, int]] = []
    lines: list[Line] = []
    lost: list[Claimed] = []
    # who stands back until the lease ends would lose the answer
    ends = _lease_end(equipment, batch) - time.monotonic() < LEAST_LEFT_S
    with equipment.database.write(urgent=ends or batch.lane is Lane.OPT_OUT) as connection:
        # before the leads, in the order in which a claim and whoever greets a campaign lock them
        go_on = turn.go_on
        still = go_on is not None and campaigns.still(connection, campaign.name, campaign.called)
        held = leads.held(connection, {item.lead.id: item.fence for item in claimed})
        batch_id = outcomes.add_batch(
            connection,
            campaign=campaign.name,
            started_at=batch.started_at,
            elapsed_ms=answered.elapsed_ms,
            leads=len(claimed),
            calls=answered.calls,
            status=answered.status,
            trouble=answered.trouble.value if answered.trouble else None,
            detail=answered.detail,
        )
        for item, result in zip(claimed, answered.results, strict=True):
            if item.lead.id not in held:
                receipts = logs.few(update.receipt for update in item.updates)
                log.warning(
                    "lease lost before the result", receipts=receipts, campaign=campaign.name
                )
                lost.append(item)
                continue
            trouble = _trouble(item, result, answered)
            call = Call(item.lead, item.plan, item.updates, result, trouble, batch_id, now)
            step = decide(call, equipment.policy)
            decisions += step.decisions
            arrived = held[item.lead.id]
            if _rests(item, step, *arrived):
                rested.append((item.lead.id, step.standing_tries))
            else:
                released.append(_released(item, step, *arrived))
            lines += _lines(item, step, campaign.name, now)
        outcomes.decide(connection, decisions, now)
        confirmed_opt_outs(campaign.name, claimed, decisions, now).write(connection)
        lapses.add(connection, campaign.name, _lapsed(claimed, decisions), now)
        leads.release(connection, released)
        leads.rest(connection, rested)
        # another worker has gone on with these leads; what we sent may have undone its opt-out
        again = [item.lead.id for item in lost if _may_undo(item)]
        leads.assert_opt_outs_again(connection, again, now)
        if go_on is not None and still and not lost:
            following = _next(connection, equipment, campaign, go_on, turn)
    return _Done(decisions, lines, following)


def _next(
    connection: Connection, equipment: Equipment, campaign: Campaign, go_on: Next, turn: _Turn
) -> _Batch | None:
    lane = go_on(connection)
    if lane is None:
        return None
    turn.taken = True
    now = equipment.database.now_ms()
    return _Batch(take(connection, equipment, campaign, lane, now), lane, now)


def _lapsed(
    claimed: Sequence[Claimed], decisions: Sequence[outcomes.Decision]
) -> list[tuple[int, State]]:
    """Opt-outs that end here although the campaign never confirmed them."""
    ended = {made.id: made.state for made in decisions if made.state in LAPSED}
    if not ended:
        return []
    opt_outs = {
        update.id
        for item in claimed
        if item.plan.payload.get(ledgers.DO_NOT_CALL) is True
        for update in item.updates
        if update.opts_out
    }
    return [(number, state) for number, state in ended.items() if number in opt_outs]


def _may_undo(item: Claimed) -> bool:
    payload = item.plan.payload
    return payload.get(ledgers.DO_NOT_CALL) is False or ledgers.MARK in payload


def _rests(item: Claimed, step: Step, lane: Lane, due_at: int) -> bool:
    """Whether nothing follows for a lead, nothing has come for it, and its ledger is stored."""
    idle = step.lane is Lane.IDLE and step.due_at is None and not step.tries and not step.bare
    same = step.ledger is item.plan.ledger and not (item.lead.reassert or step.reassert)
    return idle and same and lane is Lane.IDLE and due_at == NEVER


def _released(item: Claimed, step: Step, lane: Lane, due_at: int) -> leads.Released:
    """Where a lead stands after a call; ``lane`` and ``due_at`` are what arrived meanwhile."""
    following = NEVER if step.due_at is None else step.due_at
    stands = step.lane is Lane.STANDING and lane is not Lane.OPT_OUT
    same = step.ledger is item.plan.ledger  # which the claim has stored
    reassert = step.reassert if item.lead.reassert or step.reassert else None
    if lane is Lane.OPT_OUT and not step.reassert:
        # it may have been asked for anew meanwhile, for a campaign that this answer says nothing of
        reassert = None
    return leads.Released(
        item.lead.id,
        step.lane if stands else min(lane, step.lane),
        min(due_at, following),
        None if same else ledgers.write(step.ledger),
        None if same else ledgers.opted_out(step.ledger),
        step.tries,
        step.standing_tries,
        step.bare,
        reassert,
    )


def _lines(item: Claimed, step: Step, campaign: str, now: int) -> list[Line]:
    lead = (campaign, item.lead.phone)
    by_id = {update.id: update for update in item.updates}
    return [
        Line.of_update(by_id[made.id], lead, made.state, made.message, now)
        for made in step.decisions
        if made.state.final or made.state is State.STANDING
    ]
