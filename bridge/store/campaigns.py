"""Campaigns: the condition each is in (open, held back, paused), and since when and why.

The condition is what all workers know of a campaign. A failed call of any of them closes it for
all, until the latest time that any was told; one of them claims the probe, and only if nothing
was noted meanwhile does that probe's success open it again. ``changes`` counts, so that a worker
can tell what is newer than what it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, select, update

from bridge.model import Called, ends_probes
from bridge.store.bulk import Query
from bridge.store.database import upsert
from bridge.store.far_ahead import SLACK_MS
from bridge.store.schema import NEVER, campaign

OPEN = "open"
PAUSED = "paused"

ASIDE = Called("", "")
"""As what a campaign is called that nobody calls, until it is greeted."""

_CONDITION = (  # in the order of a Condition
    campaign.c.condition,
    campaign.c.reason,
    campaign.c.since,
    campaign.c.not_before,
    campaign.c.failures,
    campaign.c.status,
    campaign.c.probe_until,
    campaign.c.changes,
)
_CALLED = campaign.c.api_id, campaign.c.api_address  # in the order of a Called
_ONE = Query(select(*_CONDITION, *_CALLED).where(campaign.c.name == bindparam("the_name")))


@dataclass(frozen=True, slots=True)
class Condition:
    """How a campaign's calls go. ``condition``: open, backoff or paused.

    ``not_before``: no call before that time (``NEVER``: none by itself). ``status``: the HTTP
    status that led to it, if one did. ``probe_until``: a worker tries it until then.
    """

    condition: str = OPEN
    reason: str = ""
    since: int = 0
    not_before: int = 0
    failures: int = 0
    status: int | None = None
    probe_until: int = 0
    changes: int = 0


def conditions(connection: Connection) -> dict[str, Condition]:
    """The condition of every campaign that has been seen."""
    rows = connection.execute(select(campaign.c.name, *_CONDITION))
    return {name: Condition(*values) for name, *values in rows}


def condition(connection: Connection, name: str) -> Condition | None:
    """The condition of one campaign; None if it was never greeted."""
    found = known(connection, name)
    return None if found is None else found[0]


def open_for(name: ColumnElement[str], seen: int) -> ColumnElement[bool]:
    """A condition of a statement: that the campaign of that name may be called, or
    that nothing was noted of it since ``seen`` changes, for a worker that has opened it since."""
    may = (campaign.c.condition == OPEN) | (campaign.c.changes == seen)
    return select(campaign.c.name).where(campaign.c.name == name, may).exists()


def known(connection: Connection, name: str) -> tuple[Condition, Called] | None:
    """The condition of one campaign, and as which it was last called; see above."""
    for *values, api_id, address in _ONE.all(connection, the_name=name):
        return Condition(*values), Called(api_id, address)
    return None


def greet(
    connection: Connection,
    name: str,
    called: Called,
    now: int,
    *,
    account: str = "",
    by: str = "",
    adopting: bool = False,
    new: bool = False,
) -> bool:
    """Note a campaign that is new or another one at the API: it is open, as far as is known.

    ``account``: whose it is. ``by``: the worker that does. ``adopting``: it counts as away until
    ``adopted`` says otherwise. ``new``: False, and nothing is noted, if another worker has greeted
    it meanwhile.
    """
    values: dict[str, Any] = {
        "api_id": called.id,
        "api_address": called.address,
        "account": account,
        "condition": OPEN,
        "reason": "",
        "since": now,
        "not_before": 0,
        "failures": 0,
        "status": None,
        "probe_until": 0,
        "greeted_by": by or None,
        "away_since": now if adopting else None,
    }
    statement = upsert(connection, campaign).values(name=name, changes=0, **values)
    key = [campaign.c.name]
    if new:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        over = {**values, "changes": campaign.c.changes + 1}
        statement = statement.on_conflict_do_update(index_elements=key, set_=over)
    return connection.execute(statement.returning(campaign.c.name)).first() is not None


def set_aside(connection: Connection, name: str, before: Called) -> bool:
    """Have nobody call a campaign until it is greeted; False if another worker has greeted it
    since it was found to be called so."""
    changed = connection.execute(
        update(campaign)
        .where(
            campaign.c.name == name,
            campaign.c.api_id == before.id,
            campaign.c.api_address == before.address,
        )
        .values(api_id=ASIDE.id, api_address=ASIDE.address)
    )
    return changed.rowcount > 0


def aside(connection: Connection) -> set[str]:
    """The campaigns that nobody calls, since who was to greet them has not come to its end."""
    return set(
        connection.execute(select(campaign.c.name).where(campaign.c.api_id == ASIDE.id)).scalars()
    )


def greetings(connection: Connection) -> dict[str, tuple[Called, str | None]]:
    """As what each campaign was last called, and the worker that greeted it so, if one is known."""
    rows = connection.execute(select(campaign.c.name, *_CALLED, campaign.c.greeted_by))
    return {name: (Called(api_id, address), by) for name, api_id, address, by in rows}


def take_on(connection: Connection, name: str, called: Called, before: str | None, by: str) -> None:
    """Have it be known that a worker calls a campaign as another did, which is gone."""
    connection.execute(
        update(campaign)
        .where(
            campaign.c.name == name,
            campaign.c.api_id == called.id,
            campaign.c.greeted_by.is_not_distinct_from(before),
        )
        .values(greeted_by=by)
    )


def note_account(connection: Connection, name: str, now: Called, account: str) -> None:
    """Note whose campaign it is, and the API's address where a version before has noted none."""
    connection.execute(
        update(campaign)
        .where(campaign.c.name == name, campaign.c.api_id == now.id)
        .where(campaign.c.api_address.in_([now.address, ""]))
        .values(api_address=now.address, account=account)
    )


def adopted(connection: Connection, name: str) -> None:
    """Note that a campaign knows of all opt-outs of others that it was to take over."""
    connection.execute(update(campaign).where(campaign.c.name == name).values(away_since=None))


def close(connection: Connection, name: str, now: int, told: Condition) -> Condition | None:
    """Note that a call failed; the later of both times counts if the campaign is closed already,
    and its status, where the other one is a 403.

    Returns the condition as it stands now; None if the campaign was never greeted. ``since`` stays
    while condition and reason do.
    """
    same = (campaign.c.condition == told.condition) & (campaign.c.reason == told.reason)
    later = (campaign.c.condition != OPEN) & (campaign.c.not_before > told.not_before)
    # what holds it for longer keeps probes from opening it, which a 403 does not
    held_by = case((later, campaign.c.status), else_=told.status)
    connection.execute(
        update(campaign)
        .where(campaign.c.name == name)
        .values(
            condition=told.condition,
            reason=told.reason,
            status=told.status if ends_probes(told.status) else held_by,
            since=case((same, campaign.c.since), else_=now),
            not_before=case((later, campaign.c.not_before), else_=told.not_before),
            failures=case(
                (campaign.c.failures > told.failures, campaign.c.failures), else_=told.failures
            ),
            probe_until=0,
            changes=campaign.c.changes + 1,
        )
    )
    return condition(connection, name)


def open_again(connection: Connection, name: str, now: int, *, seen: int) -> Condition | None:
    """Note that a probe got through, unless a failure was noted since ``seen`` changes.

    That somebody wanted a paused campaign to be tried (``probe_soon``) is a change, but no failure:
    it is due then, which it would not be after one. Returns the condition as it stands now.
    """
    wanted = (campaign.c.condition == PAUSED) & (campaign.c.not_before <= now)
    connection.execute(
        update(campaign)
        .where(
            campaign.c.name == name,
            campaign.c.condition != OPEN,
            (campaign.c.changes == seen) | wanted,
        )
        .values(
            condition=OPEN,
            reason="",
            status=None,
            since=now,
            not_before=0,
            failures=0,
            probe_until=0,
            changes=campaign.c.changes + 1,
        )
    )
    return condition(connection, name)


def claim_probe(connection: Connection, name: str, now: int, until: int) -> bool:
    """Take the one probe of a campaign that is not open; False if it is another worker's turn, or
    another's probe has opened it meanwhile."""
    taken = connection.execute(
        update(campaign)
        .where(
            campaign.c.name == name,
            campaign.c.condition != OPEN,
            campaign.c.not_before <= now,
            campaign.c.probe_until <= now,
        )
        .values(probe_until=until)
    )
    return taken.rowcount == 1


def keep_probe(connection: Connection, name: str, until: int) -> None:
    """Have a probe that is out count for longer."""
    connection.execute(
        update(campaign)
        .where(campaign.c.name == name, campaign.c.probe_until.between(1, until))
        .values(probe_until=until)
    )


def release_probe(connection: Connection, name: str, until: int) -> None:
    """Give back a probe that was taken, or kept, until then (ms), if it still is."""
    mine = (campaign.c.name == name, campaign.c.probe_until == until)
    connection.execute(update(campaign).where(*mine).values(probe_until=0))


def probe_soon(
    connection: Connection, names: Iterable[str], now: int, *, status: int | None = None
) -> int:
    """Have campaigns that are not open tried at once; of those closed by ``status``, if given.

    Then one that a worker tries already is left to that worker. Returns how many there were.
    """
    statement = update(campaign).where(
        campaign.c.name.in_(sorted(names)), campaign.c.condition != OPEN
    )
    if status is not None:
        statement = statement.where(campaign.c.status == status, campaign.c.probe_until <= now)
    return connection.execute(
        statement.values(not_before=now, probe_until=0, changes=campaign.c.changes + 1)
    ).rowcount


def far_ahead(found: Mapping[str, Condition], now: int, *, within: int) -> list[str]:
    """The campaigns that are not open, and are not to be called for more than ``within`` ms, or
    were closed in what is yet to come: the clock that said so was set back since. Pure."""
    return [
        name
        for name, one in found.items()
        if one.condition != OPEN
        and one.not_before < NEVER
        and (
            one.since > now + SLACK_MS
            or max(one.not_before, one.probe_until) > now + within + SLACK_MS
        )
    ]


def sooner(connection: Connection, found: Mapping[str, Condition], now: int) -> None:
    """Have campaigns tried at once, unless anything was noted of them since they were found so."""
    for name, one in sorted(found.items()):
        connection.execute(
            update(campaign)
            .where(campaign.c.name == name, campaign.c.changes == one.changes)
            .values(
                not_before=now,
                probe_until=0,
                since=case((campaign.c.since > now, now), else_=campaign.c.since),
                changes=campaign.c.changes + 1,
            )
        )


def note_away(connection: Connection, there: Iterable[str], now: int) -> list[str]:
    """Note campaigns that are no longer among those that are there; returns which are new to it."""
    rows = connection.execute(
        update(campaign)
        .where(campaign.c.name.not_in(sorted(there)), campaign.c.away_since.is_(None))
        .values(away_since=now)
        .returning(campaign.c.name)
    )
    return sorted(row.name for row in rows)


def present(connection: Connection) -> set[str]:
    """The campaigns that have been greeted and are not away."""
    return set(
        connection.execute(select(campaign.c.name).where(campaign.c.away_since.is_(None))).scalars()
    )


def gone(connection: Connection, there: Iterable[str], address: str) -> dict[str, str]:
    """The campaigns that have been greeted and are not among those that are there, at an address of
    the API, and whose each was; "" where a version before has noted no account. Those of which it
    noted no address are among them."""
    rows = connection.execute(
        select(campaign.c.name, campaign.c.account)
        .where(campaign.c.name.not_in(sorted(there)), campaign.c.api_address.in_([address, ""]))
        .order_by(campaign.c.name)
    )
    return {row.name: row.account for row in rows}


def names_of(connection: Connection, api_id: str) -> list[str]:
    """The names under which a campaign of the API has been known."""
    return list(
        connection.execute(select(campaign.c.name).where(campaign.c.api_id == api_id)).scalars()
    )


def called(connection: Connection, name: str) -> Called | None:
    """As which a campaign was last called; None if it never was."""
    rows = _NAMED.all(connection, the_name=name)
    return Called(*rows[0]) if rows else None


def account_of(connection: Connection, name: str) -> str:
    """Whose campaign it is; "" if that is not known."""
    found = connection.execute(select(campaign.c.account).where(campaign.c.name == name))
    return found.scalar() or ""


def still(connection: Connection, name: str, now: Called) -> bool:
    """Whether no worker has greeted the campaign as another one, and none will until the commit.

    Whoever sends by mapping files of a moment ago would tell the campaign that was there before.
    """
    there = _NAMED if connection.dialect.name == "sqlite" else _NAMED_LOCKED
    rows = there.all(connection, the_name=name)
    return not rows or Called(*rows[0]).is_that_of(now)


_BY_NAME = select(*_CALLED).where(campaign.c.name == bindparam("the_name"))
_NAMED = Query(_BY_NAME)
_NAMED_LOCKED = Query(_BY_NAME.with_for_update(read=True))
