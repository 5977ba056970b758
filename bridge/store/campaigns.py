"""Campaigns: the condition each is in (open, held back, paused), and since when and why."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from bridge.store.database import upsert
from bridge.store.schema import campaign


@dataclass(frozen=True, slots=True)
class Condition:
    """How a campaign's calls go. ``condition``: open, backoff or paused."""

    condition: str = "open"
    reason: str = ""
    since: int = 0
    not_before: int = 0
    failures: int = 0


def conditions(connection: Connection) -> dict[str, Condition]:
    """The condition of every campaign that has been seen."""
    return {
        row.name: Condition(row.condition, row.reason, row.since, row.not_before, row.failures)
        for row in connection.execute(select(campaign))
    }


def set_condition(connection: Connection, name: str, api_id: str, now: Condition) -> None:
    """Note the condition of a campaign."""
    statement = upsert(connection, campaign)
    values = {
        "api_id": api_id,
        "condition": now.condition,
        "reason": now.reason,
        "since": now.since,
        "not_before": now.not_before,
        "failures": now.failures,
    }
    connection.execute(
        statement.values(name=name, **values).on_conflict_do_update(
            index_elements=[campaign.c.name], set_=values
        )
    )


def change_condition(connection: Connection, name: str, now: Condition) -> None:
    """Note the condition of a campaign that has been noted before, and nothing else of it."""
    connection.execute(
        update(campaign)
        .where(campaign.c.name == name)
        .values(
            condition=now.condition,
            reason=now.reason,
            since=now.since,
            not_before=now.not_before,
            failures=now.failures,
        )
    )


def names_of(connection: Connection, api_id: str) -> list[str]:
    """The names under which a campaign of the API has been known."""
    return list(
        connection.execute(select(campaign.c.name).where(campaign.c.api_id == api_id)).scalars()
    )


def api_id(connection: Connection, name: str) -> str | None:
    """The id under which a campaign was last called; None if it never was."""
    return connection.execute(select(campaign.c.api_id).where(campaign.c.name == name)).scalar()
