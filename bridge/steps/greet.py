"""A campaign that is new, or whose API id is another, has to hear of the opt-outs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from bridge import logs
from bridge.model import Campaign
from bridge.store import adoption, campaigns, leads
from bridge.store.database import Database

log = logs.get("worker")


def greet(
    database: Database,
    campaign: Campaign,
    others: Iterable[Campaign],
    noted: Collection[str],
    stopping: Callable[[], bool],
) -> bool:
    """Note the campaign, and have it told of the opt-outs that it may not know.

    One that comes back after it was away is told like a new one. Returns whether it took over from
    others; see ``adopt_again``.
    ``noted``: the campaigns that were there before; those that come together owe one another
    nothing.
    """
    with database.read() as connection:
        before = campaigns.api_id(connection, campaign.name)
        formerly = campaigns.names_of(connection, campaign.id)
        away = before is not None and campaign.name not in campaigns.present(connection)
    if before == campaign.id and not away:
        return False
    sisters = _sisters(campaign, others, noted, formerly) if before is None or away else []
    _adopt(database, campaign, sisters, stopping)
    with database.write() as connection:
        now = database.now_ms()
        campaigns.greet(connection, campaign.name, campaign.id, now)
        if before not in (None, campaign.id):
            count = leads.assert_opt_outs_again(connection, campaign.name, now)
            log.warning("campaign id changed", campaign=campaign.name, opt_outs_again=count)
    return bool(sisters)


def adopt_again(
    database: Database, campaign: Campaign, others: Iterable[Campaign], stopping: Callable[[], bool]
) -> None:
    """Take over once more, a while after the greeting.

    A worker that had not seen the campaign yet may have taken in an opt-out without it meanwhile.
    """
    with database.read() as connection:
        noted = campaigns.present(connection)
    _adopt(database, campaign, _sisters(campaign, others, noted, []), stopping)


def _sisters(
    campaign: Campaign, others: Iterable[Campaign], noted: Collection[str], formerly: list[str]
) -> list[str]:
    """Those of the same account and address, whose opt-outs a new campaign takes over."""
    sisters = [
        other.name
        for other in others
        if other.name != campaign.name
        and other.name in noted
        and (other.tenant, other.url, other.token)
        == (campaign.tenant, campaign.url, campaign.token)
    ]
    return sisters + [name for name in formerly if name not in sisters]


def _adopt(
    database: Database, campaign: Campaign, sisters: list[str], stopping: Callable[[], bool]
) -> None:
    if not sisters:
        return
    after: int | None = 0
    while after is not None and not stopping():
        with database.write() as connection:
            after = adoption.adopt(
                connection, campaign.name, sisters, database.now_ms(), after=after
            )
    with database.write() as connection:
        adoption.adopt_waiting(connection, campaign.name, sisters, database.now_ms())
