"""Leads: leases end, the latch agrees with the ledger, and an opt-out is never left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from bridge import jsontext
from bridge.model import Lane, State
from bridge.store.audit.found import Broken, Kind, Looked, Span, Today
from bridge.store.leads import LONGEST_LEASE_MS
from bridge.store.schema import lead, outcome

AT_A_TIME = 2000

FAR_MS = 400 * 86_400_000
"""A due time so far ahead is none."""

OVERDUE_MS = 600_000
"""So long after its end a lease would have been ended, if a worker lives."""


def look(connection: Connection, span: Span, today: Today) -> Looked:
    """Look at a page of leads. They are counted by ``by_lane``, since they never become final."""
    looked, ld = Looked(), lead.c
    latched: dict[int, str] = {}
    for row in connection.execute(
        select(
            ld.id,
            ld.lane,
            ld.due_at,
            ld.lease_until,
            ld.reassert,
            ld.opted_out,
            ld.ledger,
        ).where(span.of(lead))
    ):
        looked.rows += 1
        free, idle = row.lease_until == 0, row.lane == Lane.IDLE
        if not (free and idle) or row.reassert:
            looked.open.add(row.id)
        if row.lease_until > today.now + LONGEST_LEASE_MS or (
            today.workers_live and 0 < row.lease_until < today.now - OVERDUE_MS
        ):
            looked.broken(Kind.LEAD, Broken.LEASED_FOR_EVER, [row.id])
        far = row.due_at > today.now + FAR_MS
        if free and ((not idle and far) or (row.reassert and row.opted_out and (idle or far))):
            looked.broken(Kind.LEAD, Broken.LEAD_NEVER_DUE, [row.id])
        entry = jsontext.loads(row.ledger).get("do_not_call")
        latch = entry is not None and entry[0] is True
        if latch != row.opted_out:
            looked.broken(Kind.LEAD, Broken.LATCH, [row.id])
        if entry is not None and entry[0] is True and not row.reassert:
            latched[row.id] = entry[2]
    ids = sorted(latched)
    for start in range(0, len(ids), AT_A_TIME):
        some = {number: latched[number] for number in ids[start : start + AT_A_TIME]}
        looked.broken(Kind.LEAD, Broken.OPT_OUT_LOST, _lost(connection, some, today))
    return looked


def _lost(connection: Connection, owner: dict[int, str], today: Today) -> Sequence[int]:
    """Of these latched leads (id → key of the opt-out), those whose opt-out nobody asserts.

    A lead whose key no outcome of it has took its opt-out over from another campaign.
    """
    o = outcome.c
    ends: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(
        select(o.lead_id, o.key, o.state, o.accepted_at, o.decided_at).where(
            o.lead_id.in_(owner), o.opts_out
        )
    ):
        if row.key == owner[row.lead_id]:
            ends[row.lead_id].append(row)
    return [number for number, rows in ends.items() if not any(_kept(r, today) for r in rows)]


def _kept(row: Any, today: Today) -> bool:
    """Whether an opt-out is confirmed, on its way, or was asserted for as long as it had to."""
    state = State(row.state)
    if state is State.UPDATED or not state.final:
        return True
    asserted: int = (row.decided_at or 0) - row.accepted_at
    return state is not State.SUPERSEDED and asserted >= today.standing_period


def rank(entry: Sequence[Any]) -> tuple[int, bool, str]:
    """What decides which of two words on consent is newer: see ``bridge.record.ledger``."""
    value, time, key, *_ = entry
    return time, value is True, key


def by_lane(connection: Connection) -> dict[tuple[str, str], int]:
    """How many leads of each campaign stand in each lane."""
    rows = connection.execute(
        select(lead.c.campaign, lead.c.lane, func.count()).group_by(lead.c.campaign, lead.c.lane)
    )
    lanes = {int(lane): lane.name.lower() for lane in Lane}
    return {(row[0], lanes.get(row[1], str(row[1]))): row[2] for row in rows}
