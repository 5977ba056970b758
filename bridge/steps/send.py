"""One batch of a campaign goes out, and its results become outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge import logs
from bridge.clock import now_ms
from bridge.errors import StoreBusy, StoreError
from bridge.forward.client import CampaignClient
from bridge.forward.deliver import deliver
from bridge.model import Answered, Campaign, Lane
from bridge.record import ledger as ledgers
from bridge.record.decide import Call, Next, decide
from bridge.record.gate import Gate, GateState
from bridge.record.outcome_lines import Line, log_outcomes
from bridge.steps.claim import Claimed, claim
from bridge.steps.equipment import Equipment
from bridge.store import campaigns, leads, outcomes
from bridge.store.schema import NEVER

log = logs.get("send")

AGAIN_S = 0.05
"""Between tries of recording a result while the database is busy."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a thread reaches a campaign. ``gate`` has let the first call of a batch through.

    ``pace``: waits for the turn of each further call, until a deadline (monotonic seconds) at
    most; False when there is none.
    """

    client: CampaignClient
    gate: Gate
    pace: Callable[[float], bool]


def send(equipment: Equipment, campaign: Campaign, lane: Lane, way: Way) -> int:
    """Send one batch of a lane; returns how many leads it held. Errors: ``StoreBusy``."""
    campaign = _in_time(equipment, campaign)
    started_at, started = now_ms(), time.monotonic()
    claimed = claim(equipment, campaign, lane)
    if not claimed:
        way.gate.unused()
        return 0
    lease_end = started + equipment.bounds.lease / 1000
    answered = deliver(
        [item.sent for item in claimed],
        lambda batch: way.client.update_leads(campaign, batch),
        deadline=lease_end - campaign.timeout_s,
        pace=way.pace,
        note=lambda answer: _note(equipment, campaign, way.gate, answer),
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


def _note(equipment: Equipment, campaign: Campaign, gate: Gate, answered: Answered) -> None:
    """Tell the campaign's gate how a call went, and note a change for the operator."""
    now = time.monotonic() * 1000
    if answered.trouble is None:
        changed = gate.succeeded()
    else:
        changed = gate.failed(answered.trouble, answered.detail, answered.retry_after_s, now)
    if not changed:
        return
    view, at = gate.view(now), now_ms()
    write = log.info if view.state is GateState.OPEN else log.warning
    write("campaign condition", campaign=campaign.name, condition=view.state, reason=view.reason)
    condition = campaigns.Condition(
        view.state.value, view.reason, at, at + view.wait_ms, view.failures
    )
    try:
        with equipment.database.write() as connection:
            campaigns.change_condition(connection, campaign.name, condition)
    except StoreError as error:
        log.warning("campaign condition not noted", campaign=campaign.name, error=str(error))


def _record(
    equipment: Equipment,
    campaign: Campaign,
    claimed: Sequence[Claimed],
    answered: Answered,
    started_at: int,
) -> None:
    """Turn results into outcomes, under the fence of the claim."""
    now = now_ms()
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
                log.warning("lease lost before the result", campaign=campaign.name)
                lost.append(item)
                continue
            call = Call(item.lead, item.plan, item.updates, result, answered.trouble, batch_id, now)
            step = decide(call, equipment.policy)
            decisions += step.decisions
            arrived = held[item.lead.id]
            released.append(_released(item.lead, step, *arrived))
            lines += _lines(item, step, campaign.name, now)
        outcomes.decide(connection, decisions, now)
        leads.release(connection, released)
        # another worker has gone on with these leads; what we sent may have undone its opt-out
        again = [item.lead.id for item in lost if _may_undo(item)]
        leads.assert_opt_outs_again(connection, campaign.name, now, ids=again)
    log_outcomes(lines)


def _may_undo(item: Claimed) -> bool:
    payload = item.plan.payload
    return payload.get(ledgers.DO_NOT_CALL) is False or ledgers.MARK in payload


def _released(lead: leads.Claimable, step: Next, lane: Lane, due_at: int) -> leads.Released:
    """Where a lead stands after a call; ``lane`` and ``due_at`` are what arrived meanwhile."""
    following = NEVER if step.due_at is None else step.due_at
    return leads.Released(
        id=lead.id,
        lane=min(lane, step.lane),
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
