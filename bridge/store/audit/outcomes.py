"""Outcomes: open ones have a lead that will be due, updated ones a call that was answered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from bridge import jsontext
from bridge.model import OPEN_STATES, Lane, State
from bridge.store.audit import leads
from bridge.store.audit.found import Broken, Kind, Looked, Span, Today
from bridge.store.schema import OPEN, batch, event, lead, outcome

HASHED = "#"
"""What the keyed hash of a phone number begins with, once the number itself is erased."""


def look(connection: Connection, span: Span, today: Today) -> Looked:
    """Look at a page of outcomes, and at the leads that those of them which opt out name."""
    looked, o = Looked(), outcome.c
    looked.count(
        connection.execute(
            select(o.campaign, o.state, func.count(), func.min(o.id))
            .where(span.of(outcome))
            .group_by(o.campaign, o.state)
        ),
        [state.value for state in State],
        Kind.OUTCOME,
    )
    looked.open.update(connection.scalars(select(o.id).where(span.of(outcome), OPEN)))
    _rows(connection, span, today, looked)
    _opt_outs(connection, span, today, looked)
    return looked


def _rows(connection: Connection, span: Span, today: Today, looked: Looked) -> None:
    o, b, ld = outcome.c, batch.c, lead.c
    is_open = o.state.in_([state.value for state in OPEN_STATES])
    free = ld.lease_until == 0
    idle = (ld.lane == int(Lane.IDLE)) | (ld.due_at > today.now + leads.FAR_MS)
    says = o.fields.like('%"do\\_not\\_call":true%', escape="\\")
    checks = {
        Broken.NO_EVENT: event.c.id.is_(None) | (event.c.delivery_id != o.delivery_id),
        Broken.NO_LEAD: case(
            (o.campaign == "", is_open | o.lead_id.is_not(None)),
            else_=ld.id.is_(None)
            | (ld.campaign != o.campaign)
            | ((ld.phone != o.phone) & ~_hashed(o.phone) & ~_hashed(ld.phone)),
        ),
        Broken.NEVER_DUE: is_open & free & idle,
        Broken.NOT_IN_FLIGHT: (o.state == State.IN_FLIGHT.value) & free,
        Broken.WRONG_DECISION_TIME: is_open == o.decided_at.is_not(None),
        Broken.NOT_ANSWERED: (o.state == State.UPDATED.value)
        & (
            b.id.is_(None)
            | (b.campaign != o.campaign)
            | (b.calls < 1)
            | (b.status.is_(None) & (b.calls < 2))  # of several calls, the last may have failed
        ),
        Broken.WRONG_OPT_OUT: o.erased_at.is_(None) & (says != o.opts_out),
    }
    rows = connection.execute(
        select(o.id, o.fields, o.opts_out, *(case((c, 1), else_=0) for c in checks.values()))
        .select_from(
            outcome.outerjoin(event, event.c.id == o.event_id)
            .outerjoin(lead, ld.id == o.lead_id)
            .outerjoin(batch, b.id == o.batch_id)
        )
        .where(span.of(outcome), or_(*checks.values()))
    )
    for number, fields, opts_out, *failed in rows:
        for broken, fails in zip(checks, failed, strict=True):
            if not fails:
                continue
            if broken is Broken.WRONG_OPT_OUT:
                # the text may stand in a custom field; only what the API would see counts
                said = jsontext.loads(fields).get("do_not_call") is True
                if said == opts_out:
                    continue
            looked.broken(Kind.OUTCOME, broken, [number])


def _hashed(column: Any) -> ColumnElement[bool]:
    return func.substr(column, 1, 1) == HASHED


def _opt_outs(connection: Connection, span: Span, today: Today, looked: Looked) -> None:
    """The ledger knows of every opt-out that was sent or superseded, or of something newer."""
    o = outcome.c
    rows = connection.execute(
        select(o.id, o.lead_id, o.state, o.event_time, o.key, lead.c.ledger)
        .select_from(outcome.join(lead, lead.c.id == o.lead_id))
        .where(span.of(outcome), o.opts_out)
    ).all()
    for row in rows:
        if row.state not in (State.WAITING.value, State.DEAD.value, State.SKIPPED.value):
            entry = jsontext.loads(row.ledger).get("do_not_call")
            if entry is None or leads.rank(entry) < (row.event_time, True, row.key):
                looked.broken(Kind.OUTCOME, Broken.OPT_OUT_FORGOTTEN, [row.id])
    named = sorted({row.lead_id for row in rows})
    for start in range(0, len(named), leads.AT_A_TIME):
        some = Span(ids=named[start : start + leads.AT_A_TIME])
        looked.breaches += leads.look(connection, some, today).breaches
