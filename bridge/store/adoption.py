"""A new campaign takes over the opt-outs that its sister campaigns know.

An opt-out for all campaigns was sent to those that were there. One that is added later, or gets
another name, would never hear of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from bridge import jsontext
from bridge.model import Lane
from bridge.store import leads
from bridge.store.database import upsert
from bridge.store.schema import OPEN_OPT_OUT, lead, outcome

AT_A_TIME = 1000
"""Leads in one transaction."""

DO_NOT_CALL = "do_not_call"
MARK = "mark_as_unanswered"

Entry = list[Any]
"""A word on consent as a ledger stores it: value, event time, key, refused, replay (if any)."""

OptOuts = Mapping[str, Entry]
"""By phone number, the newest opt-out."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """One part of the work. ``after``: the lead's id from which to go on, None at the end.

    ``held``: leads that a worker holds, so that nothing could be told to them now.
    """

    after: int | None
    held: int = 0


def adopt(
    connection: Connection, campaign: str, sisters: Sequence[str], now: int, *, after: int
) -> Adopted:
    """Take over the opt-outs of some leads of the sisters, those with an id above ``after``.

    They are due at once. A lead that the campaign has already keeps its own word on consent, if
    that is newer.
    """
    rows = connection.execute(
        select(lead.c.id, lead.c.phone, lead.c.ledger)
        .where(lead.c.campaign.in_(sisters), lead.c.opted_out, lead.c.id > after)
        .order_by(lead.c.id)
        .limit(AT_A_TIME)
    ).all()
    if not rows:
        return Adopted(None)
    found = _newest((row.phone, jsontext.loads(row.ledger)[DO_NOT_CALL]) for row in rows)
    return Adopted(int(rows[-1].id), take_over(connection, campaign, found, now))


def waiting(connection: Connection, sisters: Sequence[str]) -> list[OptOuts]:
    """Opt-outs that wait for a sister and may not be in its ledger yet, in parts."""
    o = outcome.c
    rows = connection.execute(
        select(o.phone, o.event_time, o.key, o.replay_id).where(
            OPEN_OPT_OUT, o.campaign.in_(sisters)
        )
    )
    found = _newest(
        (row.phone, [True, row.event_time, row.key, False, row.replay_id]) for row in rows
    )
    phones = sorted(found)
    starts = range(0, len(phones), AT_A_TIME)
    return [{phone: found[phone] for phone in phones[at : at + AT_A_TIME]} for at in starts]


def take_over(connection: Connection, campaign: str, found: OptOuts, now: int) -> int:
    """Store opt-outs of a campaign, at most ``AT_A_TIME``; returns how many leads were held."""
    values = [
        {
            "campaign": campaign,
            "phone": phone,
            "ledger": jsontext.dumps({DO_NOT_CALL: entry}),
            "opted_out": True,
            "lane": int(Lane.OPT_OUT),
            "due_at": now,
            "waiting_since": now,
            "fence": 0,
            "lease_owner": "",
            "lease_until": 0,
            "tries": 0,
            "standing_tries": 0,
            "bare": False,
            "reassert": True,
        }
        for phone, entry in sorted(found.items())
    ]
    if not values:
        return 0
    connection.execute(
        upsert(connection, lead).on_conflict_do_nothing(
            index_elements=[lead.c.campaign, lead.c.phone]
        ),
        values,
    )
    return _add_to_those_there(connection, campaign, found, now)


def _add_to_those_there(connection: Connection, campaign: str, found: OptOuts, now: int) -> int:
    """Leads that the campaign has already, and that know nothing of consent, or what is older."""
    rows = connection.execute(
        select(lead.c.id, lead.c.phone, lead.c.ledger, lead.c.lease_until)
        .where(lead.c.campaign == campaign, lead.c.phone.in_(sorted(found)))
        .order_by(lead.c.phone)
        .with_for_update()
    ).all()
    held = 0
    for row in rows:
        ledger = jsontext.loads(row.ledger)
        own = ledger.get(DO_NOT_CALL)
        if own is not None and _rank(own) >= _rank(found[row.phone]):
            continue
        if row.lease_until:
            held += 1
            continue
        ledger[DO_NOT_CALL] = found[row.phone]
        connection.execute(
            update(lead)
            .where(lead.c.id == row.id)
            .values(
                ledger=jsontext.dumps(ledger),
                opted_out=True,
                # also where it is opted out: what waits to say so is superseded now
                reassert=True,
                lane=int(Lane.OPT_OUT),
                due_at=now,
            )
        )
    return held


def assert_again(
    connection: Connection, campaign: str, former: Sequence[str], now: int, *, after: int
) -> int | None:
    """Have opt-outs of a campaign sent again that may have been undone under its former names.

    Looks at some leads of these, those with an id above ``after``; returns from which to go on,
    None at the end.
    """
    rows = connection.execute(
        select(lead.c.id, lead.c.phone, lead.c.ledger)
        .where(lead.c.campaign.in_(former), ~lead.c.opted_out, lead.c.id > after)
        .order_by(lead.c.id)
        .limit(AT_A_TIME)
    ).all()
    if not rows:
        return None
    said = {row.phone: jsontext.loads(row.ledger) for row in rows}
    said = {phone: one for phone, one in said.items() if DO_NOT_CALL in one or MARK in one}
    own = connection.execute(
        select(lead.c.id, lead.c.phone, lead.c.ledger)
        .where(lead.c.campaign == campaign, lead.c.phone.in_(sorted(said)), lead.c.opted_out)
        .order_by(lead.c.phone)
        .with_for_update()
    ).all()
    undone = [
        row.id
        for row in own
        if MARK in said[row.phone]
        or _rank(jsontext.loads(row.ledger)[DO_NOT_CALL]) > _rank(said[row.phone][DO_NOT_CALL])
    ]
    leads.assert_opt_outs_again(connection, undone, now)
    return int(rows[-1].id)


def _newest(said: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """Of what is said of each number, the newest: an opt-in in between takes back no later one."""
    found: dict[str, Entry] = {}
    for phone, entry in said:
        if phone not in found or _rank(entry) > _rank(found[phone]):
            found[phone] = entry
    return found


def _rank(entry: Entry) -> tuple[int, bool, str, int]:
    """As in the ledger: time, then an opt-out, then the key, then the replay."""
    value, time, key, _, *replay = entry
    return time, value is True, key, replay[0] if replay else 0
