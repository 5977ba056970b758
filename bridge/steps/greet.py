"""A campaign that is new, or has another id or API, has to hear of the opt-outs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from bridge import logs
from bridge.model import Campaign
from bridge.store import adoption, campaigns, leads
from bridge.store.campaigns import ASIDE
from bridge.store.database import Connection, Database

log = logs.get("worker")


def greet(
    database: Database,
    campaign: Campaign,
    others: Iterable[Campaign],
    noted: Collection[str],
    stopping: Callable[[], bool],
    *,
    by: str = "",
) -> list[str]:
    """Note the campaign, and have it told of the opt-outs that it may not know.

    One that comes back after it was away is told like a new one. Returns those it took over from,
    for ``adopt_again``; until that is done it counts as away, so that a worker that starts in
    between begins anew.
    ``others``: all that are in the file. ``noted``: the campaigns that were there when it came
    (``bridge.store.arrivals``). ``by``: the worker that greets it.
    """
    file = list(others)
    with database.read() as connection:
        before = campaigns.called(connection, campaign.name)
        formerly = campaigns.names_of(connection, campaign.id)
        gone = campaigns.gone(connection, (one.name for one in file), campaign.called.address)
        account = campaigns.account_of(connection, campaign.name)
        away = before is not None and campaign.name not in campaigns.present(connection)
    same = before is not None and before.is_that_of(campaign.called)
    if same and not away:
        if (before, account) != (campaign.called, campaign.account):
            with database.write() as connection:
                campaigns.note_account(connection, campaign.name, campaign.called, campaign.account)
        return []
    sisters: list[str] = []
    if before is None or away:
        sisters = _sisters(
            campaign, file, noted, [*formerly, *_of_its_account(campaign, file, gone)]
        )
    _adopt(database, campaign, sisters, stopping)
    if stopping():
        return []  # it may not have been told of all; whoever comes next tells it
    if before is not None and not same:
        with database.write() as connection:
            aside = campaigns.set_aside(connection, campaign.name, before)
        if not aside:
            return greet(database, campaign, file, noted, stopping, by=by)
        count = _assert_all_again(database, campaign, stopping)
        if stopping():
            return []  # it stays set aside; whoever comes next does all of it
        moved = "campaign id changed" if before.id != campaign.id else "campaign's API changed"
        log.warning(moved, campaign=campaign.name, opt_outs_again=count)
    with database.write() as connection:
        now = database.now_ms()
        # else another worker has greeted it meanwhile, and what is confirmed since was told to that
        new = before is None
        mine = new or same or campaigns.set_aside(connection, campaign.name, ASIDE)
        if mine and not same:
            called, adopting = campaign.called, bool(sisters)
            mine = campaigns.greet(
                connection,
                campaign.name,
                called,
                now,
                account=campaign.account,
                by=by,
                adopting=adopting,
                new=new,
            )
        elif mine:
            _come_back(connection, campaign, told=not sisters)
    return sisters if mine else greet(database, campaign, file, noted, stopping, by=by)


def _come_back(connection: Connection, campaign: Campaign, *, told: bool) -> None:
    """Note whose it is by now, and that it is there, if it knows of all that it is to be told."""
    campaigns.note_account(connection, campaign.name, campaign.called, campaign.account)
    if told:
        campaigns.adopted(connection, campaign.name)


def adopt_again(
    database: Database, campaign: Campaign, sisters: list[str], stopping: Callable[[], bool]
) -> bool:
    """Take over once more, a while after the greeting; False if that has to be done yet again.

    A worker that had not seen the campaign yet may have taken in an opt-out without it meanwhile,
    and of a lead that was being sent nothing could be changed.
    """
    if not _adopt(database, campaign, sisters, stopping):
        return False
    with database.write() as connection:
        campaigns.adopted(connection, campaign.name)
    return True


def _sisters(
    campaign: Campaign, file: Iterable[Campaign], noted: Collection[str], more: Iterable[str]
) -> list[str]:
    """Those of the same account and address, whose opt-outs a new campaign takes over.

    ``more``: names under which it has been known, and sisters that are gone.
    """
    sisters = [
        other.name
        for other in file
        if other.name != campaign.name and other.name in noted and _same_account(other, campaign)
    ]
    return [*sisters, *(n for n in dict.fromkeys(more) if n not in (campaign.name, *sisters))]


def _same_account(one: Campaign, other: Campaign) -> bool:
    return (one.tenant, one.url, one.token) == (other.tenant, other.url, other.token)


def _of_its_account(
    campaign: Campaign, file: Iterable[Campaign], gone: Mapping[str, str]
) -> Collection[str]:
    """Those of the campaigns that are gone whose account is the campaign's.

    ``gone``: whose each was. Where that is not known, and there is only one account, it was that.
    """
    if not campaign.tenant and all(_same_account(one, campaign) for one in file):
        return gone
    unknown = sorted(name for name, account in gone.items() if not account)
    if unknown:
        log.warning(
            "opt-outs of campaigns that are gone are not taken over, as their account is not known",
            campaign=campaign.name,
            gone=unknown,
        )
    return [name for name, account in gone.items() if account == campaign.account]


def _adopt(
    database: Database, campaign: Campaign, sisters: list[str], stopping: Callable[[], bool]
) -> bool:
    """Whether the campaign knows of every opt-out of its sisters now."""
    if not sisters:
        return True
    # what waits may be confirmed behind the back of a search through the leads, so it goes first;
    # and again at the end, for what has come meanwhile
    held = _adopt_waiting(database, campaign, sisters, stopping)
    after: int | None = 0
    while after is not None and not stopping():
        with database.write() as connection:
            part = adoption.adopt(
                connection, campaign.name, sisters, database.now_ms(), after=after
            )
        held += part.held
        after = part.after
    held += _adopt_waiting(database, campaign, sisters, stopping)
    _assert_again(database, campaign, sisters, stopping)
    return not held and not stopping()


def _assert_again(
    database: Database, campaign: Campaign, sisters: list[str], stopping: Callable[[], bool]
) -> None:
    """Send again what may have been undone under former names of the campaign.

    Whoever knows older files, or has a call out, sends by these what is older than an opt-out.
    """
    with database.read() as connection:
        former = [n for n in campaigns.names_of(connection, campaign.id) if n in sisters]
    after: int | None = 0 if former else None
    while after is not None and not stopping():
        with database.write() as connection:
            after = adoption.assert_again(
                connection, campaign.name, former, database.now_ms(), after=after
            )


def _assert_all_again(database: Database, campaign: Campaign, stopping: Callable[[], bool]) -> int:
    """Have all opt-outs of a campaign sent again, which nobody calls meanwhile; how many."""
    count = 0
    after: str | None = ""
    while after is not None and not stopping():
        with database.write() as connection:
            more, after = leads.assert_all_again(
                connection, campaign.name, database.now_ms(), after=after
            )
        count += more
    return count


def _adopt_waiting(
    database: Database, campaign: Campaign, sisters: list[str], stopping: Callable[[], bool]
) -> int:
    """Take over what waits for the sisters; returns how many leads were held."""
    with database.read() as connection:
        parts = adoption.waiting(connection, sisters)
    held = 0
    for part in parts:
        if stopping():
            break
        with database.write() as connection:
            held += adoption.take_over(connection, campaign.name, part, database.now_ms())
    return held
