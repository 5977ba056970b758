"""Outcomes: what became of each lead update, and of each event that led to none.

One row per event, campaign, lead and replay (0 for the first way). An event that led to no lead
update has one row with empty campaign and phone. A row is final once and for all: no statement
here changes a final state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.sql.base import Executable

from bridge import jsontext, logs
from bridge.model import NOT_TAKEN_ON, State
from bridge.store import attempts, campaigns, digest, tally
from bridge.store.bulk import Given, Many, Query, among, insert_many, listed
from bridge.store.schema import OPEN, STILL_OPEN, batch, delivery, event, outcome


class NewOutcome(NamedTuple):
    """A row to be: ``lead_id`` is set for lead updates, which start as waiting.

    ``accepted_at``: since when the bridge owes this, which for a replay is its own time;
    ``received_at`` is then when the delivery came, and None otherwise.
    """

    event_id: int
    delivery_id: int
    receipt: str
    source: str
    state: State
    event_time: int
    key: str
    version: str
    accepted_at: int
    campaign: str = ""
    phone: str = ""
    lead_id: int | None = None
    fields: dict[str, Any] | None = None
    opts_out: bool = False
    rules: tuple[str, ...] = ()
    message: str = ""
    decided_at: int | None = None
    replay_id: int = 0
    received_at: int | None = None


class OpenUpdate(NamedTuple):
    """A lead update that is not final yet. ``received_at``: see ``NewOutcome``."""

    id: int
    lead_id: int
    state: State
    fields: dict[str, Any]
    opts_out: bool
    event_time: int
    key: str
    doubtful: bool
    tries: int
    accepted_at: int
    receipt: str
    source: str
    rules: tuple[str, ...]
    message: str
    replay_id: int = 0
    received_at: int | None = None


class Decision(NamedTuple):
    """What a lead update becomes. ``batch_id``: the call that led to it, if one did."""

    id: int
    state: State
    message: str
    doubtful: bool
    tries: int
    batch_id: int | None = None


_ADD = insert_many(
    outcome,
    (
        "event_id",
        "delivery_id",
        "receipt",
        "source",
        "campaign",
        "phone",
        "lead_id",
        "state",
        "fields",
        "opts_out",
        "rules",
        "event_time",
        "key",
        "version",
        "accepted_at",
        "decided_at",
        "message",
        "replay_id",
        "received_at",
    ),
    constants={"tries": "0", "doubtful": "false"},
)


def add(connection: Connection, rows: Sequence[NewOutcome]) -> None:
    """Store new outcomes; final ones carry the time they were decided at."""
    rules_text = {rules: jsontext.dumps(rules) for rules in {row.rules for row in rows}}
    values = []
    kinds: list[tuple[int, str, str]] = []
    for row in rows:
        (
            event_id,
            delivery_id,
            receipt,
            source,
            state,
            event_time,
            key,
            version,
            accepted_at,
            campaign,
            phone,
            lead_id,
            fields,
            opts_out,
            rules,
            message,
            decided_at,
            replay_id,
            received_at,
        ) = row
        name = state.value
        when = accepted_at if decided_at is None else decided_at
        kinds.append((when // tally.MINUTE, campaign, name))
        values.append(
            (
                event_id,
                delivery_id,
                receipt,
                source,
                campaign,
                phone,
                lead_id,
                name,
                jsontext.dumps(fields) if fields else "{}",
                opts_out,
                rules_text[rules],
                event_time,
                key,
                version,
                accepted_at,
                decided_at,
                _text(message) if message else "",
                replay_id,
                received_at,
            )
        )
    _ADD.execute(connection, values)
    for (minute, campaign, name), count in Counter(kinds).items():
        tally.note(connection, [(campaign, tally.kind_of(name), count)], minute * tally.MINUTE)
    replayed = [(row.replay_id, tally.kind_of(row.state), 1) for row in rows if row.replay_id]
    if replayed:
        tally.note_replay(connection, replayed)


def _text(text: str) -> str:
    """Text as both engines take it; it may quote what a CRM or the campaign API sent."""
    return text.replace("\x00", "")


def of_events(connection: Connection, event_ids: Sequence[int]) -> set[tuple[int, str, str]]:
    """The outcomes that these events have of their first way: (event id, campaign, phone)."""
    rows = connection.execute(_OF_EVENTS, {"events": listed(event_ids)})
    return {(row.event_id, row.campaign, row.phone) for row in rows}


_OF_EVENTS = select(outcome.c.event_id, outcome.c.campaign, outcome.c.phone).where(
    among(outcome.c.event_id, "events"), outcome.c.replay_id == 0
)


_OPEN_COLUMNS = (  # in the order of an OpenUpdate
    outcome.c.id,
    outcome.c.lead_id,
    outcome.c.state,
    outcome.c.fields,
    outcome.c.opts_out,
    outcome.c.event_time,
    outcome.c.key,
    outcome.c.doubtful,
    outcome.c.tries,
    outcome.c.accepted_at,
    outcome.c.receipt,
    outcome.c.source,
    outcome.c.rules,
    outcome.c.message,
    outcome.c.replay_id,
    outcome.c.received_at,
)

_OPEN = Query(
    select(*_OPEN_COLUMNS)
    .where(among(outcome.c.lead_id, "leads"), OPEN)
    .order_by(outcome.c.event_time, outcome.c.key, outcome.c.id)
)


def open_updates(connection: Connection, lead_ids: Iterable[int]) -> dict[int, list[OpenUpdate]]:
    """The lead updates of these leads that are not final, oldest event first."""
    found: dict[int, list[OpenUpdate]] = {}
    known: dict[str, tuple[str, ...]] = {}  # many come of the same rules
    for row in _OPEN.all(connection, leads=listed(sorted(lead_ids))):
        number, lead_id, state, fields, opts_out, event_time, key, doubtful, *more = row
        tries, accepted_at, receipt, source, rules, message, replay_id, received_at = more
        found.setdefault(lead_id, []).append(
            OpenUpdate(
                number,
                lead_id,
                _STATE[state],
                jsontext.loads(fields),
                bool(opts_out),
                event_time,
                key,
                bool(doubtful),
                tries,
                accepted_at,
                receipt,
                source,
                known.get(rules) or known.setdefault(rules, tuple(jsontext.loads(rules))),
                message,
                replay_id,
                received_at,
            )
        )
    return found


# quicker than to call the enum, row by row
_STATE = {state.value: state for state in State}


def _becomes(which: ColumnElement[bool], given: Given) -> Executable:
    return (
        update(outcome)
        .where(which, STILL_OPEN)
        .values(
            state=given("state"),
            message=given("message"),
            doubtful=given("doubtful"),
            tries=given("tries"),
            batch_id=func.coalesce(given("batch_id"), outcome.c.batch_id),
            decided_at=given("decided_at"),
        )
    )


_BECOMES = ("state", "message", "doubtful", "tries", "batch_id", "decided_at")
_DECIDE = Many(
    {name: outcome.c[name].type for name in ("id", *_BECOMES)},
    lambda given: _becomes(outcome.c.id == given("id"), given),
)
_DECIDE_ALIKE = Query(
    _becomes(
        among(outcome.c.id, "ids"),
        lambda name: bindparam(f"the_{name}", type_=outcome.c[name].type),
    )
)

ALIKE = 10
"""From so many outcomes on that become the same, one statement changes them together."""


def decide(connection: Connection, rows: Sequence[Decision], now: int) -> None:
    """Move open outcomes to their next state; a final one gets its time."""
    _note_moves(connection, rows, now)
    alike: dict[tuple[Any, ...], list[int]] = {}
    for number, *becomes in rows:
        alike.setdefault(tuple(becomes), []).append(number)
    others: list[tuple[Any, ...]] = []
    for (state, message, doubtful, tries, batch_id), ids in alike.items():
        decided_at = now if state.final else None
        values = (state.value, _text(message), doubtful, tries, batch_id, decided_at)
        if len(ids) < ALIKE:
            others += [(number, *values) for number in ids]
        else:
            named = {f"the_{name}": value for name, value in zip(_BECOMES, values, strict=True)}
            _DECIDE_ALIKE.all(connection, ids=listed(ids), **named)
    _DECIDE.execute(connection, others)


def _note_moves(connection: Connection, rows: Sequence[Decision], now: int) -> None:
    """Count the moves, and keep the tries that did not end anything."""
    if not rows:
        return
    changes: Counter[tuple[str, str]] = Counter()
    replayed: Counter[tuple[int, str]] = Counter()
    for campaign, before, replay_id, after, count in _states(connection, rows):
        changes[campaign, tally.kind_of(before)] -= count
        changes[campaign, tally.kind_of(after)] += count
        if replay_id:
            replayed[replay_id, tally.kind_of(before)] -= count
            replayed[replay_id, tally.kind_of(after)] += count
    if replayed:
        tally.note_replay(connection, ((*key, count) for key, count in replayed.items()))
    tally.note(connection, ((*key, count) for key, count in changes.items()), now)
    attempts.add(
        connection,
        [
            attempts.Attempt(one.id, one.batch_id, now, one.tries, one.state, _text(one.message))
            for one in rows
            if one.batch_id is not None and not one.state.final
        ],
    )


def _states(
    connection: Connection, rows: Sequence[Decision]
) -> Iterator[tuple[str, str, int, State, int]]:
    """From where to where they move: campaign, state, replay, next state, and how many so."""
    ids: dict[State, list[int]] = {}
    for row in rows:
        ids.setdefault(row.state, []).append(row.id)
    for after, those in ids.items():
        for campaign, before, replay_id, count in _STATES.all(connection, ids=listed(those)):
            yield campaign, before, replay_id, after, count


_STATES = Query(
    select(outcome.c.campaign, outcome.c.state, outcome.c.replay_id, func.count())
    .where(among(outcome.c.id, "ids"), STILL_OPEN)
    .group_by(outcome.c.campaign, outcome.c.state, outcome.c.replay_id)
)


def in_flight(connection: Connection, ids: Sequence[int]) -> None:
    """Mark waiting updates as being sent now; a standing one stays what it is."""
    if ids:
        _IN_FLIGHT.all(connection, ids=listed(ids))


_IN_FLIGHT = Query(
    update(outcome)
    .where(among(outcome.c.id, "ids"), outcome.c.state == State.WAITING.value)
    .values(state=State.IN_FLIGHT.value)
)


def doubt(connection: Connection, lead_ids: Iterable[int]) -> list[int]:
    """Updates that were in flight when their worker was lost: nobody knows how they ended.

    They wait again, marked doubtful. Returns the leads among them that hold an opt-out.
    """
    rows = connection.execute(
        update(outcome)
        .where(outcome.c.lead_id.in_(sorted(lead_ids)), outcome.c.state == State.IN_FLIGHT.value)
        .values(state=State.WAITING.value, doubtful=True)
        .returning(outcome.c.lead_id, outcome.c.opts_out)
    )
    return sorted({row.lead_id for row in rows if row.opts_out})


def refused_alone(
    connection: Connection, ids: Sequence[int], *, opened_at: int | None = None, seen: int = -1
) -> bool:
    """Whether the last call of one of these lead updates was for its lead alone and got a 403, and
    a later call of its campaign got through.

    ``opened_at``: one did at that time, and may not be recorded yet. It counts while the campaign
    is open, or as it was ``seen`` changes ago: each 403 that closes it is noted before it is
    recorded.
    """
    if not ids:
        return False
    later = batch.alias()
    since = select(later.c.id).where(
        later.c.campaign == batch.c.campaign,
        later.c.id > batch.c.id,
        later.c.trouble.is_(None),
        later.c.status.not_in(NOT_TAKEN_ON),
    )
    is_open = campaigns.open_for(batch.c.campaign, seen)
    opened = -1 if opened_at is None else opened_at
    found = connection.execute(
        select(outcome.c.id)
        .join(batch, batch.c.id == outcome.c.batch_id)
        .where(
            among(outcome.c.id, "ids"),
            batch.c.status == 403,
            batch.c.leads == 1,
            since.exists() | (is_open & (batch.c.started_at + batch.c.elapsed_ms < opened)),
        )
        .limit(1),
        {"ids": listed(sorted(ids))},
    )
    return found.first() is not None


def add_batch(
    connection: Connection,
    *,
    campaign: str,
    started_at: int,
    elapsed_ms: int,
    leads: int,
    calls: int,
    status: int | None,
    trouble: str | None,
    detail: str,
) -> int:
    """Store what became of one batch; returns its id."""
    rows = _ADD_BATCH.all(
        connection,
        campaign=campaign,
        started_at=started_at,
        elapsed_ms=elapsed_ms,
        leads=leads,
        calls=calls,
        status=status,
        trouble=trouble,
        # the API may quote the lead, and nothing of a batch is ever erased
        detail=_text(logs.mask_text(detail)),
    )
    return int(rows[0][0])


_BATCH = ("campaign", "started_at", "elapsed_ms", "leads", "calls", "status", "trouble", "detail")
_ADD_BATCH = Query(
    insert(batch).values({name: bindparam(name) for name in _BATCH}).returning(batch.c.id)
)


def listing(
    connection: Connection,
    *,
    state: str | None = None,
    campaign: str | None = None,
    phones: Sequence[str] | None = None,
    receipt: str | None = None,
    source: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest outcomes that match, each with the campaign API's answer to its last batch."""
    query: Select[Any] = (
        select(
            outcome,
            event.c.ordinal,
            event.c.weak_time,
            event.c.duplicate_of,
            batch.c.status.label("batch_status"),
            batch.c.started_at.label("batch_started_at"),
            batch.c.elapsed_ms.label("batch_elapsed_ms"),
        )
        .join(event, event.c.id == outcome.c.event_id)
        .outerjoin(batch, batch.c.id == outcome.c.batch_id)
        .order_by(outcome.c.id.desc())
        .limit(limit)
    )
    for column, value in (
        (outcome.c.state, state),
        (outcome.c.campaign, campaign),
        (outcome.c.source, source),
        (outcome.c.delivery_id, None if receipt is None else _delivery_id(connection, receipt)),
    ):
        if value is not None:
            query = query.where(column == value)
    if phones is not None:  # a number that was erased is found by its hash
        hashed = digest.load(connection)
        query = query.where(outcome.c.phone.in_([*phones, *map(hashed.of, phones)]))
    if before is not None:
        query = query.where(outcome.c.id < before)
    rows = []
    for row in connection.execute(query):
        values = dict(row._mapping)
        values["fields"] = jsontext.loads(values["fields"])
        values["rules"] = jsontext.loads(values["rules"])
        rows.append(values)
    return rows


def _delivery_id(connection: Connection, receipt: str) -> int:
    found = connection.execute(select(delivery.c.id).where(delivery.c.receipt == receipt)).scalar()
    return -1 if found is None else int(found)
