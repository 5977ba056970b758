"""``crm-bridge campaigns``: each campaign, its condition and what waits for it."""

from __future__ import annotations

from typing import Any

import click

from bridge.clock import iso, now_ms
from bridge.commands.listings import json_option, reading
from bridge.commands.output import as_json, table
from bridge.live import load
from bridge.settings import Settings
from bridge.store import campaigns, leads
from bridge.store.campaigns import Condition

COLUMNS = ("name", "configured", "condition", "reason", "since", "waiting", "oldest_seconds")


@click.command(help="List campaigns, their condition and what waits for them.")
@json_option
def command(json_: bool) -> None:
    named = load(Settings.current()).campaigns
    with reading() as connection:
        seen = campaigns.conditions(connection)
        rows = [
            _row(name, seen.get(name, Condition()), leads.backlog(connection, name))
            for name in sorted({*named, *seen})
        ]
    for row in rows:
        campaign = named.get(row["name"])
        if campaign is None:
            row["configured"] = "no longer in campaigns.yaml"
        elif campaign.missing:
            row["configured"] = f"no: set {', '.join(campaign.missing)}"
        else:
            row["configured"] = "yes"
    if json_:
        as_json(rows)
    else:
        table(COLUMNS, rows)


def _row(
    name: str, condition: Condition, waiting: dict[Any, tuple[int, int | None]]
) -> dict[str, Any]:
    oldest = min((since for _, since in waiting.values() if since is not None), default=None)
    return {
        "name": name,
        "condition": condition.condition,
        "reason": condition.reason,
        "since": iso(condition.since) if condition.since else None,
        "waiting": {lane.name.lower(): count for lane, (count, _) in waiting.items()},
        "oldest_seconds": None if oldest is None else (now_ms() - oldest) // 1000,
    }
