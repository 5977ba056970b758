"""Leads: one row per campaign and phone number; it is the queue, the ledger and the lease.

A lead that has something to send stands in a lane with a due time. A worker claims it by a lease
with a fence, a number that grows with every claim: whoever comes to record with an older fence
has lost the lead and records nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    Connection,
    bindparam,
    case,
    func,
    literal,
    select,
    union_all,
    update,
)

from bridge import jsontext
from bridge.model import Lane
from bridge.store.bulk import Many, Query, among, insert_many, listed
from bridge.store.far_ahead import FarAhead
from bridge.store.schema import LEASED, NEVER, lead

AT_A_TIME = 1000
"""Leads in one transaction where a campaign has many."""

LONGEST_LEASE_MS = 3_700_000
"""Longer than any lease may be by the settings."""


class Due(NamedTuple):
    """A lead that has something new to send, and when."""

    campaign: str
    phone: str
    lane: Lane
    due_at: int
    waiting_since: int


class Claimable(NamedTuple):
    """A lead that may be claimed: what the ledger holds and how its tries went.

    ``reassert``: its opt-out, confirmed before, has to be sent again all the same.
    """

    id: int
    phone: str
    lane: Lane
    due_at: int
    ledger: dict[str, Any]
    fence: int
    tries: int
    standing_tries: int
    bare: bool
    reassert: bool = False


class Released(NamedTuple):
    """A lead after its claim: where it stands next (``Lane.IDLE`` and ``NEVER``: nowhere).

    ``ledger`` None: it and ``opted_out`` are as the claim left them. ``reassert`` None: as it
    stands, since it may have been set while the lead was held.
    """

    id: int
    lane: Lane
    due_at: int
    ledger: dict[str, Any] | None
    opted_out: bool | None
    tries: int
    standing_tries: int
    bare: bool
    reassert: bool | None = None


def schedule(connection: Connection, rows: Iterable[Due]) -> dict[tuple[str, str], int]:
    """Put leads into their lanes; one that is there already moves only forward.

    A lead in the lane of standing opt-outs stays there, due sooner, unless an opt-out comes: so
    that its opt-out is asserted also while a person has paused everything else.

    Returns the ids by (campaign, phone).
    """
    best: dict[tuple[str, str], Due] = {}
    for row in rows:
        key = row[:2]
        old = best.get(key)
        best[key] = row if old is None else _sooner(old, row)
    if not best:
        return {}
    # in order, so that two transactions never wait for each other; keys tell all of them apart
    rows_given = [
        (campaign, phone, int(lane), due_at, waiting_since)
        for campaign, phone, lane, due_at, waiting_since in sorted(best.values())
    ]
    stored = _SCHEDULE.execute(connection, rows_given)
    if connection.dialect.name == "sqlite":
        stored = _ids(connection, best)
    return {(campaign, phone): number for number, campaign, phone in stored}


def _on_conflict(statement: Any) -> Any:
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[lead.c.campaign, lead.c.phone],
        set_={
            # a standing opt-out takes what comes along, also while its campaign is paused
            "lane": case(
                ((lead.c.lane == int(Lane.STANDING)) & (new.lane > int(Lane.OPT_OUT)), lead.c.lane),
                (new.lane < lead.c.lane, new.lane),
                else_=lead.c.lane,
            ),
            "due_at": case((new.due_at < lead.c.due_at, new.due_at), else_=lead.c.due_at),
            "waiting_since": func.coalesce(lead.c.waiting_since, new.waiting_since),
        },
    )


_SCHEDULE = insert_many(
    lead,
    (
        "campaign",
        "phone",
        "lane",
        "due_at",
        "waiting_since",
    ),
    constants={
        "ledger": "'{}'",
        "opted_out": "false",
        "fence": "0",
        "lease_owner": "''",
        "lease_until": "0",
        "tries": "0",
        "standing_tries": "0",
        "bare": "false",
        "reassert": "false",
    },
    on_conflict=_on_conflict,
    returning=(lead.c.id, lead.c.campaign, lead.c.phone),
)

_IDS = Query(
    select(lead.c.id, lead.c.campaign, lead.c.phone).where(
        lead.c.campaign == bindparam("campaign"), among(lead.c.phone, "phones")
    )
)


def _ids(connection: Connection, keys: Iterable[tuple[str, str]]) -> list[Any]:
    phones: dict[str, list[str]] = {}
    for campaign, phone in keys:
        phones.setdefault(campaign, []).append(phone)
    found: list[Any] = []
    for campaign, those in phones.items():
        found += _IDS.all(connection, campaign=campaign, phones=listed(those))
    return found


def _sooner(one: Due, other: Due) -> Due:
    return Due(
        one.campaign,
        one.phone,
        min(one.lane, other.lane),
        min(one.due_at, other.due_at),
        min(one.waiting_since, other.waiting_since),
    )


_LANES = (Lane.OPT_OUT, Lane.FIRST, Lane.RETRY, Lane.REPLAY, Lane.STANDING)

_NEXT_DUE = Query(
    union_all(
        *(
            select(literal(int(lane)).label("lane"), func.min(lead.c.due_at).label("due_at")).where(
                lead.c.campaign == bindparam("campaign"),
                lead.c.lane == int(lane),
                lead.c.lease_until == 0,
            )
            for lane in _LANES
        )
    )
)


def next_due(connection: Connection, campaign: str) -> dict[Lane, int]:
    """When each lane of a campaign has its next lead due; lanes with none are left out."""
    rows = _NEXT_DUE.all(connection, campaign=campaign)
    return {Lane(lane): due_at for lane, due_at in rows if due_at is not None}


_CLAIMABLE = Query(
    select(
        lead.c.id,
        lead.c.phone,
        lead.c.due_at,
        lead.c.ledger,
        lead.c.fence,
        lead.c.tries,
        lead.c.standing_tries,
        lead.c.bare,
        lead.c.reassert,
    )
    .where(
        lead.c.campaign == bindparam("campaign"),
        lead.c.lane == bindparam("lane"),
        lead.c.due_at <= bindparam("now"),
        lead.c.lease_until == 0,
    )
    .order_by(lead.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def claimable(
    connection: Connection, campaign: str, lane: Lane, now: int, limit: int
) -> list[Claimable]:
    """Leads of one lane that are due and that no worker holds, the longest due first.

    They stay locked to this transaction.
    """
    rows = _CLAIMABLE.all(connection, campaign=campaign, lane=int(lane), now=now, limit=limit)
    return [
        Claimable(
            number,
            phone,
            lane,
            due_at,
            jsontext.loads(ledger),
            fence,
            tries,
            standing_tries,
            bool(bare),
            bool(reassert),
        )
        for number, phone, due_at, ledger, fence, tries, standing_tries, bare, reassert in rows
    ]


def claim(
    connection: Connection,
    rows: Sequence[tuple[int, Mapping[str, Any], bool]],
    *,
    owner: str,
    until: int,
) -> None:
    """Take the lease of leads that ``claimable`` gave: (id, new ledger, opted out)."""
    _CLAIM.execute(
        connection,
        [(i, jsontext.dumps(ledger), opted_out, owner, until) for i, ledger, opted_out in rows],
    )


_CLAIM = Many(
    {
        "id": lead.c.id.type,
        "ledger": lead.c.ledger.type,
        "opted_out": lead.c.opted_out.type,
        "owner": lead.c.lease_owner.type,
        "until": lead.c.lease_until.type,
    },
    lambda given: (
        update(lead)
        .where(lead.c.id == given("id"))
        .values(
            ledger=given("ledger"),
            opted_out=given("opted_out"),
            fence=lead.c.fence + 1,
            lease_owner=given("owner"),
            lease_until=given("until"),
            lane=int(Lane.IDLE),
            due_at=NEVER,
        )
    ),
)


# quicker than to call the enum, row by row
_LANE = {int(lane): lane for lane in Lane}

_HELD = Query(
    select(lead.c.id, lead.c.fence, lead.c.lane, lead.c.due_at, lead.c.lease_until)
    .where(among(lead.c.id, "ids"))
    # in the order in which ``schedule`` locks them, so that the two never wait for each other
    .order_by(lead.c.campaign, lead.c.phone)
    .with_for_update()
)


def held(connection: Connection, fences: Mapping[int, int]) -> dict[int, tuple[Lane, int]]:
    """Of these leads (id → fence of the claim), those that are still held by that claim.

    Gives the lane and due time that arrivals since the claim have set, and locks the rows.
    """
    rows = _HELD.all(connection, ids=listed(sorted(fences)))
    return {
        number: (_LANE[lane], due_at)
        for number, fence, lane, due_at, lease_until in rows
        if fence == fences[number] and lease_until > 0
    }


def release(connection: Connection, rows: Sequence[Released]) -> None:
    """Give leads back, which ``held`` has shown to be ours."""
    _RELEASE.execute(
        connection,
        [
            (
                row.id,
                int(row.lane),
                row.due_at,
                row.lane is Lane.IDLE,
                None if row.ledger is None else jsontext.dumps(row.ledger),
                row.opted_out,
                row.tries,
                row.standing_tries,
                row.bare,
                row.reassert,
            )
            for row in rows
        ],
    )


_RELEASE = Many(
    {
        "id": lead.c.id.type,
        "lane": lead.c.lane.type,
        "due_at": lead.c.due_at.type,
        "idle": Boolean(),
        "ledger": lead.c.ledger.type,
        "opted_out": lead.c.opted_out.type,
        "tries": lead.c.tries.type,
        "standing_tries": lead.c.standing_tries.type,
        "bare": lead.c.bare.type,
        "reassert": lead.c.reassert.type,
    },
    lambda given: (
        update(lead)
        .where(lead.c.id == given("id"))
        .values(
            lease_owner="",
            lease_until=0,
            lane=given("lane"),
            due_at=given("due_at"),
            waiting_since=case((given("idle"), None), else_=lead.c.waiting_since),
            ledger=func.coalesce(given("ledger"), lead.c.ledger),
            opted_out=func.coalesce(given("opted_out"), lead.c.opted_out),
            tries=given("tries"),
            standing_tries=given("standing_tries"),
            bare=given("bare"),
            reassert=func.coalesce(given("reassert"), lead.c.reassert),
        )
    ),
)


def rest(connection: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Give leads back that stand in no lane, as the claim left them: (id, standing tries).

    What is indexed stays untouched but for the lease, which is most of what ``release`` costs.
    """
    _REST.execute(connection, rows)


_REST = Many(
    {"id": lead.c.id.type, "standing_tries": lead.c.standing_tries.type},
    lambda given: (
        update(lead)
        .where(lead.c.id == given("id"))
        .values(
            lease_owner="",
            lease_until=0,
            waiting_since=None,
            tries=0,
            standing_tries=given("standing_tries"),
            bare=False,
        )
    ),
)


def recover(
    connection: Connection, *, expired_before: int, now: int, limit: int = 500
) -> list[int]:
    """Free leads whose lease has run out, to be tried again at once; returns their ids."""
    ids = [
        row.id
        for row in connection.execute(
            select(lead.c.id)
            .where(
                LEASED,
                (lead.c.lease_until < expired_before)
                # no lease is so long: the clock was set back since
                | (lead.c.lease_until > now + LONGEST_LEASE_MS),
            )
            .order_by(lead.c.lease_until)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ]
    if ids:
        connection.execute(
            update(lead)
            .where(among(lead.c.id, "ids"))
            .values(
                fence=lead.c.fence + 1,
                lease_owner="",
                lease_until=0,
                lane=case(
                    ((lead.c.lane == int(Lane.OPT_OUT)) | lead.c.reassert, int(Lane.OPT_OUT)),
                    (lead.c.opted_out, int(Lane.STANDING)),
                    (lead.c.lane < int(Lane.RETRY), lead.c.lane),
                    else_=int(Lane.RETRY),
                ),
                due_at=case((lead.c.due_at < now, lead.c.due_at), else_=now),
            ),
            {"ids": listed(ids)},
        )
    return ids


def sooner(
    connection: Connection, campaigns: Iterable[str], lane: Lane, now: int, *, within: int
) -> int:
    """Have leads of a lane that are due more than ``within`` ms ahead due now; how many there were.

    For lanes of opt-outs, none of which is ever put off for so long.
    """
    return _FAR_AHEAD.due_now(connection, now, within=within, campaigns=campaigns, lane=int(lane))


_FAR_AHEAD = FarAhead(
    lead.c.due_at,
    among(lead.c.campaign, "campaigns"),
    lead.c.lane == bindparam("lane"),
    lead.c.lease_until == 0,
)


def promote(connection: Connection, ids: Iterable[int], lane: Lane, now: int) -> None:
    """Move leads forward into a lane, due at once."""
    connection.execute(
        update(lead)
        .where(among(lead.c.id, "ids"), lead.c.lane > int(lane), lead.c.lease_until == 0)
        .values(lane=int(lane), due_at=now),
        {"ids": listed(sorted(ids))},
    )


def assert_opt_outs_again(connection: Connection, ids: Sequence[int], now: int) -> int:
    """Have the opt-outs of these leads sent again; how many of them have one."""
    if not ids:
        return 0
    changed = connection.execute(
        update(lead)
        .where(among(lead.c.id, "ids"), lead.c.opted_out)
        .values(lane=int(Lane.OPT_OUT), due_at=now, reassert=True),
        {"ids": listed(ids)},
    )
    return changed.rowcount


def assert_all_again(
    connection: Connection, campaign: str, now: int, *, after: str
) -> tuple[int, str | None]:
    """The same for some opt-outs of a campaign, those of numbers behind ``after``.

    Returns how many, and the number from which to go on, None at the end.
    """
    rows = connection.execute(
        select(lead.c.id, lead.c.phone)
        .where(lead.c.campaign == campaign, lead.c.opted_out, lead.c.phone > after)
        # the order in which arrivals lock them
        .order_by(lead.c.phone)
        .limit(AT_A_TIME)
        .with_for_update()
    ).all()
    count = assert_opt_outs_again(connection, [row.id for row in rows], now)
    return count, rows[-1].phone if rows else None


def backlog(connection: Connection, campaign: str) -> dict[Lane, tuple[int, int | None]]:
    """Per lane of a campaign: how many leads stand in it, and since when the oldest waits."""
    rows = connection.execute(
        select(lead.c.lane, func.count(), func.min(lead.c.waiting_since))
        .where(lead.c.campaign == campaign, lead.c.lane < int(Lane.IDLE))
        .group_by(lead.c.lane)
    )
    return {Lane(row[0]): (row[1], row[2]) for row in rows}
