"""When campaigns came into ``campaigns.yaml``: a later one takes over from those before it.

Campaigns that come together owe one another nothing. Which those are is settled in one transaction
for all workers: whoever starts while another greets them one by one, or after it was killed in the
middle of that, must not take one of them for older than the other.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, text

from bridge.store.schema import campaign_arrival

_ALL = select(campaign_arrival.c.name, campaign_arrival.c.arrived_at)


def arrivals(connection: Connection) -> dict[str, int]:
    """When each campaign came (ms); those that are gone are not among them."""
    return {row.name: row.arrived_at for row in connection.execute(_ALL)}


def news(found: dict[str, int], there: Collection[str], ready: Collection[str]) -> bool:
    """Whether a campaign is gone, or has come: ``there`` are all in the file, ``ready`` those that
    are configured."""
    return bool(found.keys() - set(there) or set(ready) - found.keys())


def note(
    connection: Connection, there: Collection[str], ready: Collection[str], now: int
) -> dict[str, int]:
    """Note who is gone and who has come; returns when each came that is there now."""
    if connection.dialect.name != "sqlite":  # there whoever writes is alone anyway
        connection.execute(text("LOCK TABLE campaign_arrival IN SHARE ROW EXCLUSIVE MODE"))
    found = arrivals(connection)
    gone = found.keys() - set(there)
    if gone:
        connection.execute(delete(campaign_arrival).where(campaign_arrival.c.name.in_(gone)))
    left = {name: at for name, at in found.items() if name not in gone}
    came = sorted(set(ready) - left.keys())
    if came:
        at = max(now, *(at + 1 for at in left.values())) if left else now
        connection.execute(
            insert(campaign_arrival), [{"name": name, "arrived_at": at} for name in came]
        )
        left |= dict.fromkeys(came, at)
    return left


def earlier(found: dict[str, int], name: str) -> set[str]:
    """The campaigns that were there when this one came."""
    at = found.get(name, 0)
    return {other for other, came in found.items() if came < at}
