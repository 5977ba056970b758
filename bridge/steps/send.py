"""One batch of a campaign goes out, and its results become outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge import logs
from bridge.errors import StoreBusy
from bridge.forward.client import CampaignClient
from bridge.forward.deliver import deliver
from bridge.model import Answered, Campaign, Lane, State
from bridge.record import ledger as ledgers
from bridge.record.decide import Call, Next, decide
from bridge.record.gate import Gate
from bridge.record.outcome_lines import Line, log_outcomes
from bridge.steps.claim import Claimed, claim
from bridge.steps.counting import confirmed_opt_outs, count_batch, count_call
from bridge.steps.equipment import Equipment
from bridge.store import lapses, leads, outcomes
from bridge.store.schema import NEVER

log = logs.get("send")

LAPSED = (State.NOT_FOUND, State.REJECTED, State.UNCONFIRMED)
"""How an opt-out ends whose period is over."""

AGAIN_S = 0.05
"""Between tries of recording a result while the database is busy."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a thread reaches a campaign. ``gate`` has let the first call of a batch through.

    ``pace``: waits for the turn of each further call, until a deadline (monotonic seconds) at
    most; False when there is none. ``note``: hears how each call went.
    """

    client: CampaignClient
    gate: Gate
    pace: Callable[[float], bool]
    note: Callable[[Campaign, Gate, Answered], None]


def send(equipment: Equipment, campaign: Campaign, lane: Lane, way: Way) -> int:
    """Send one batch of a lane; returns how many leads it held. Errors: ``StoreBusy``."""
    campaign = _in_time(equipment, campaign)
    started_at, started = equipment.database.now_ms(), time.monotonic()
    claimed = claim(equipment, campaign, lane)
    if not claimed:
        way.gate.unused()
        return 0
    lease_end = started + equipment.bounds.lease / 1000
    answered = deliver(
        [item.sent for item in claimed],
        lambda batch: way.client.update_leads(
            campaign, batch, lambda answer: count_call(equipment.counts, campaign.name, answer)
        ),
        deadline=lease_end - campaign.timeout_s,
        pace=way.pace,
        note=lambda answer: way.note(campaign, way.gate, answer),
    )
    if answered.calls == 0:
        way.gate.unused()
    while True:
        try:
            _record(equipment, campaign, claimed, answered, started_at)
        except StoreBusy:
            # the answer is known and must not be thrown away while the lease lasts
            if time.monotonic() > lease_end:
                raise
            time.sleep(AGAIN_S)
        else:
            return len(claimed)


def _in_time(equipment: Equipment, campaign: Campaign) -> Campaign:
    """The campaign with a time-out that ends well before a lease does, also with two tokens."""
    longest = equipment.bounds.lease / 1000 / 3
    return replace(campaign, timeout_s=min(campaign.timeout_s, longest))


def _record(
    equipment: Equipment,
    campaign: Campaign,
    claimed: Sequence[Claimed],
    answered: Answered,
    started_at: int,
) -> None:
    """Turn results into outcomes, under the fence of the claim."""
    now = equipment.database.now_ms()
    decisions: list[outcomes.Decision] = []
    released: list[leads.Released] = []
    lines: list[Line] = []
    lost: list[Claimed] = []
    with equipment.database.write() as connection:
        held = leads.held(connection, {item.lead.id: item.fence for item in claimed})
        batch_id = outcomes.add_batch(
            connection,
            campaign=campaign.name,
            started_at=started_at,
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
            call = Call(item.lead, item.plan, item.updates, result, answered.trouble, batch_id, now)
            step = decide(call, equipment.policy)
            decisions += step.decisions
            arrived = held[item.lead.id]
            released.append(_released(item.lead, step, *arrived))
            lines += _lines(item, step, campaign.name, now)
        outcomes.decide(connection, decisions, now)
        confirmed_opt_outs(campaign.name, claimed, decisions, now).write(connection)
        lapses.add(connection, campaign.name, _lapsed(claimed, decisions), now)
        leads.release(connection, released)
        # another worker has gone on with these leads; what we sent may have undone its opt-out
        again = [item.lead.id for item in lost if _may_undo(item)]
        leads.assert_opt_outs_again(connection, campaign.name, now, ids=again)
    count_batch(equipment.counts, campaign.name, len(claimed), decisions)
    log_outcomes(lines)


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


def _released(lead: leads.Claimable, step: Next, lane: Lane, due_at: int) -> leads.Released:
    """Where a lead stands after a call; ``lane`` and ``due_at`` are what arrived meanwhile."""
    following = NEVER if step.due_at is None else step.due_at
    stands = step.lane is Lane.STANDING and lane is not Lane.OPT_OUT
    return leads.Released(
        id=lead.id,
        lane=step.lane if stands else min(lane, step.lane),
        due_at=min(due_at, following),
        ledger=ledgers.write(step.ledger),
        opted_out=ledgers.opted_out(step.ledger),
        tries=step.tries,
        standing_tries=step.standing_tries,
        bare=step.bare,
        reassert=step.reassert if lead.reassert or step.reassert else None,
    )


def _lines(item: Claimed, step: Next, campaign: str, now: int) -> list[Line]:
    by_id = {update.id: update for update in item.updates}
    return [
        Line.of_update(by_id[made.id], (campaign, item.lead.phone), made.state, made.message, now)
        for made in step.decisions
    ]
