"""What has become old is erased: a sweep over each table by id, a bounded page at a time.

A sweep goes from the oldest rows up to those that are not old enough, rests, and starts anew a day
later, since what was open then may have ended. Workers share it: whoever holds its row sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Column, ColumnElement, Connection, Table, exists, func, select, update

from bridge.model import Lane, State
from bridge.store import erasing
from bridge.store.database import upsert
from bridge.store.digest import MARK, load
from bridge.store.far_ahead import SLACK_MS
from bridge.store.schema import delivery, lead, outcome, sweep

PAGE = 5000
"""Ids that one page spans."""

MOST = 200
"""Rows that one transaction erases."""

REST_MS = 86_400_000


class Sweep(StrEnum):
    """What is swept."""

    BODIES = "bodies"
    OUTCOMES = "outcomes"
    LEADS = "leads"


@dataclass(frozen=True, slots=True)
class Ages:
    """Times (ms) before which things are old; None: they never are.

    ``bodies``: raw requests. ``persons``: all else, and raw requests with a dead outcome.
    """

    bodies: int | None
    persons: int | None


def page(connection: Connection, what: Sweep, ages: Ages, now: int) -> tuple[int, bool]:
    """Erase one page: how many rows, and whether there may be more to do now."""
    before = ages.bodies if what is Sweep.BODIES else ages.persons
    if before is None:
        return 0, False
    after = _held(connection, what, now)
    if after is None:
        return 0, False
    table = _table(what)
    span = _span(connection, table, after)
    ids = _old(connection, what, ages, span) if span is not None else []
    digest = load(connection)
    match what:
        case Sweep.BODIES:
            done = len(erasing.bodies(connection, digest, ids, now))
        case Sweep.OUTCOMES:
            done = len(erasing.outcomes(connection, digest, ids, now))
        case Sweep.LEADS:
            done, _, _ = erasing.leads(connection, digest, ids)
    if span is None or _too_young(connection, what, before, span[1]):
        _move(connection, what, 0, now + REST_MS)
        return done, False
    full = len(ids) == MOST
    _move(connection, what, ids[-1] if full else span[1], now)
    return done, True


def begin(connection: Connection, what: Sweep) -> None:
    """Have a sweep begin anew now, instead of tomorrow."""
    connection.execute(update(sweep).where(sweep.c.name == what.value).values(up_to=0, next_at=0))


def count(connection: Connection, what: Sweep, ages: Ages, after: int) -> tuple[int, int | None]:
    """How many rows a page would erase, and the id to go on from; None at the end."""
    before = ages.bodies if what is Sweep.BODIES else ages.persons
    span = _span(connection, _table(what), after)
    if before is None or span is None:
        return 0, None
    found = len(_old(connection, what, ages, span, most=PAGE))
    return found, None if _too_young(connection, what, before, span[1]) else span[1]


def _table(what: Sweep) -> Table:
    return {Sweep.BODIES: delivery, Sweep.OUTCOMES: outcome, Sweep.LEADS: lead}[what]


def _held(connection: Connection, what: Sweep, now: int) -> int | None:
    """Where the sweep stands, locked to this transaction; None if it rests or another has it."""
    connection.execute(
        upsert(connection, sweep)
        .values(name=what.value, up_to=0, next_at=0)
        .on_conflict_do_nothing(index_elements=[sweep.c.name])
    )
    # none rests for longer, unless the clock that said so was ahead
    rested = (sweep.c.next_at <= now) | (sweep.c.next_at > now + REST_MS + SLACK_MS)
    found: int | None = connection.scalar(
        select(sweep.c.up_to)
        .where(sweep.c.name == what.value, rested)
        .with_for_update(skip_locked=True)
    )
    return found


def _move(connection: Connection, what: Sweep, up_to: int, next_at: int) -> None:
    connection.execute(
        update(sweep).where(sweep.c.name == what.value).values(up_to=up_to, next_at=next_at)
    )


def _span(connection: Connection, table: Table, after: int) -> tuple[int, int] | None:
    first = connection.scalar(select(func.min(table.c.id)).where(table.c.id > after))
    return None if first is None else (first - 1, first - 1 + PAGE)


def _too_young(connection: Connection, what: Sweep, before: int, last: int) -> bool:
    """Whether all that follows is too young; ids follow the time of arrival, roughly."""
    if what is Sweep.LEADS:
        return not connection.scalar(select(exists().where(lead.c.id > last)))
    table = _table(what)
    when = table.c.received_at if what is Sweep.BODIES else table.c.accepted_at
    after = connection.scalar(select(when).where(table.c.id > last).order_by(table.c.id).limit(1))
    return after is None or after >= before


def _old(
    connection: Connection, what: Sweep, ages: Ages, span: tuple[int, int], most: int = MOST
) -> list[int]:
    table = _table(what)
    conditions = _conditions(what, ages)
    rows = connection.scalars(
        select(table.c.id)
        .where(table.c.id > span[0], table.c.id <= span[1], *conditions)
        .order_by(table.c.id)
        .limit(most)
    )
    return list(rows)


def _conditions(what: Sweep, ages: Ages) -> list[ColumnElement[bool]]:
    d, o, ld = delivery.c, outcome.c, lead.c
    match what:
        case Sweep.BODIES:
            dead = exists(select(o.id).where(o.delivery_id == d.id, o.state == State.DEAD.value))
            kept = d.received_at < (ages.persons or 0)
            return [
                d.erased_at.is_(None),
                d.received_at < ages.bodies,
                erasing.finished_delivery(),
                ~dead | kept,
            ]
        case Sweep.OUTCOMES:
            in_force = exists(select(ld.id).where(ld.id == o.lead_id, ld.opted_out))
            return [
                o.erased_at.is_(None),
                o.state.not_in(erasing.OPEN_STATES),
                o.accepted_at < ages.persons,
                ~(o.opts_out & in_force),
            ]
        case Sweep.LEADS:
            young = exists(select(o.id).where(o.lead_id == ld.id, o.accepted_at >= ages.persons))
            return [
                ld.lane == int(Lane.IDLE),
                ld.lease_until == 0,
                ~ld.phone.like(f"{MARK}%"),
                ~ld.opted_out | (_times(ld.ledger, '":[') > _times(ld.ledger, '":[null,') + 1),
                ~young,
                ~erasing.open_outcome(o.lead_id == ld.id),
            ]


def _times(column: Column[str], words: str) -> ColumnElement[int]:
    """How often a text is in a column. Each entry of a ledger has one ``":[``; where the person was
    erased, all but the one on consent go on with ``null``."""
    without = func.length(func.replace(column, words, ""))
    return (func.length(column) - without) // len(words)
