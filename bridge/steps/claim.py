"""Leads that are due are taken under lease, and it is committed before anything is sent.

The transaction is one of its own, or that which records the batch before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bridge.forward import payload
from bridge.model import Campaign, Lane, Sent
from bridge.record import ledger as ledgers
from bridge.record.ledger import Plan
from bridge.record.outcome_lines import Line, log_outcomes
from bridge.steps.equipment import Equipment
from bridge.store import campaigns, leads, outcomes
from bridge.store.database import Connection, clock_ms
from bridge.store.leads import Claimable
from bridge.store.schema import NEVER


class Claimed(NamedTuple):
    """A lead of a batch: what was claimed, what is sent for it, and the updates behind that."""

    lead: Claimable
    plan: Plan
    updates: Sequence[outcomes.OpenUpdate]
    sent: Sent

    @property
    def fence(self) -> int:
        """The fence of this claim."""
        return self.lead.fence + 1


@dataclass(slots=True)
class _Batch:
    """What one claim comes to, before it is stored."""

    claimed: list[Claimed] = field(default_factory=list)
    taken: list[tuple[int, dict[str, Any], bool]] = field(default_factory=list)
    idle: list[leads.Released] = field(default_factory=list)
    settled: list[outcomes.Decision] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    size: int = 0
    tries: int = 0
    """The most that failed of any lead in it."""

    def takes(self, row: Claimable, most: int) -> bool:
        """Whether a lead fits in beside the others.

        A lead whose tries failed goes in ever smaller company, in the end alone, so that it
        cannot keep others from being updated, whether they stand before or behind it.
        """
        tries = max(self.tries, row.tries)
        return len(self.claimed) < max(1, most >> min(tries, 30))


class Taken(NamedTuple):
    """What a claim gave. ``lines``: to be logged after the commit. ``more``: there may be more.
    ``started``: monotonic seconds, at which its lease had not begun."""

    claimed: Sequence[Claimed] = ()
    lines: Sequence[Line] = ()
    more: bool = False
    started: float = 0.0


def claim(equipment: Equipment, campaign: Campaign, lane: Lane) -> Taken:
    """Leads of one lane with something to send, at most a batch; none if there are none.

    None as well if the campaign is another one at the API by now: an opt-out that the one before
    confirms would never reach the new one.
    """
    now = equipment.database.now_ms()
    with equipment.database.write(urgent=lane is Lane.OPT_OUT) as connection:
        if not campaigns.still(connection, campaign.name, campaign.called):
            return Taken()
        taken = take(connection, equipment, campaign, lane, now)
    log_outcomes(taken.lines)
    return taken


def take(
    connection: Connection, equipment: Equipment, campaign: Campaign, lane: Lane, now: int
) -> Taken:
    """Claim within a transaction in which the campaign has been found to be ``still`` itself.

    Updates that need no call (superseded, for example) are settled on the way.
    """
    started = time.monotonic()
    batch = _Batch()
    rows = leads.claimable(connection, campaign.name, lane, now, campaign.batch_size)
    waiting = outcomes.open_updates(connection, [row.id for row in rows])
    for row in rows:
        if not batch.takes(row, campaign.batch_size):
            break
        if not _add(batch, campaign, row, waiting.get(row.id, []), now):
            break
    outcomes.decide(connection, batch.settled, now)
    leads.release(connection, batch.idle)
    until = clock_ms(connection) + equipment.bounds.lease
    leads.claim(connection, batch.taken, owner=equipment.owner, until=until)
    outcomes.in_flight(connection, [i for one in batch.claimed for i in one.plan.carried])
    return Taken(batch.claimed, batch.lines, len(rows) == campaign.batch_size, started)


def _add(
    batch: _Batch,
    campaign: Campaign,
    row: Claimable,
    updates: Sequence[outcomes.OpenUpdate],
    now: int,
) -> bool:
    """Add a lead to the batch; False if it would make the body too large."""
    plan = ledgers.plan(
        row.ledger,
        updates,
        all_known=campaign.custom_fields == "all_known",
        alone=row.bare,
        reassert=row.reassert,
        ahead=row.lane == Lane.OPT_OUT,
    )
    element = payload.element(campaign, row.phone, plan.payload)
    batch.size += payload.size(element)
    if batch.claimed and batch.size > campaign.batch_bytes:
        return False
    for update in updates if plan.settled else ():
        if update.id in plan.settled:
            state, why = plan.settled[update.id]
            batch.settled.append(
                outcomes.Decision(update.id, state, why, update.doubtful, update.tries)
            )
            batch.lines.append(Line.of_update(update, (campaign.name, row.phone), state, why, now))
    if plan.carried or plan.reasserts:
        batch.tries = max(batch.tries, row.tries)
        batch.claimed.append(Claimed(row, plan, updates, Sent(row.id, row.phone, element)))
        batch.taken.append((row.id, ledgers.write(plan.ledger), ledgers.opted_out(plan.ledger)))
    else:
        batch.idle.append(_idle(row, plan))
    return True


def _idle(row: Claimable, plan: Plan) -> leads.Released:
    return leads.Released(
        id=row.id,
        lane=Lane.IDLE,
        due_at=NEVER,
        ledger=ledgers.write(plan.ledger),
        opted_out=ledgers.opted_out(plan.ledger),
        tries=0,
        standing_tries=row.standing_tries,
        bare=False,
        reassert=False,
    )
