"""``crm-bridge campaigns``: each campaign, its condition and what waits; pause and resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from bridge.clock import iso
from bridge.commands.actor import actor
from bridge.commands.as_json import as_json
from bridge.commands.known import unknown
from bridge.commands.listings import json_option, reading, writing
from bridge.commands.output import table
from bridge.live import load
from bridge.model import Campaign, Lane
from bridge.operate import pausing
from bridge.operate.concern import clean, who
from bridge.settings import Settings
from bridge.store import campaigns, leads, pauses
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, clock_ms
from bridge.store.pauses import Pause

COLUMNS = (
    "name",
    "configured",
    "condition",
    "reason",
    "since",
    "paused_by_hand",
    "waiting",
    "oldest_seconds",
)


@click.group(
    invoke_without_command=True,
    help="List campaigns, their condition and what waits for them; pause and resume.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, json_: bool) -> None:
    if ctx.invoked_subcommand is not None:
        return
    named = load(Settings.current()).campaigns
    with reading() as connection:
        now = clock_ms(connection)
        seen = campaigns.conditions(connection)
        paused = pauses.pauses(connection)
        rows = [
            {
                **_condition(name, seen.get(name, Condition()), paused.get(name)),
                **_backlog(leads.backlog(connection, name), now),
                "configured": _configured(named.get(name)),
            }
            for name in sorted({*named, *seen, *paused})
        ]
    if json_:
        as_json(rows)
    else:
        table(COLUMNS, [_shown(row, paused.get(row["name"])) for row in rows])


@command.command(help="Send nothing but opt-outs to a campaign, until it is resumed.")
@click.argument("name")
@click.option("--reason", default="", help="Why, for those who see it later.")
@click.option(
    "--hold-opt-outs",
    is_flag=True,
    help="Hold opt-outs as well: who opted out may be called until the campaign is resumed.",
)
def pause(name: str, reason: str, hold_opt_outs: bool) -> None:
    me = actor()
    with writing() as connection:
        _know(connection, name)
        pausing.pause(connection, name, actor=me, reason=reason, hold_opt_outs=hold_opt_outs)
        waiting = _backlog(leads.backlog(connection, name), clock_ms(connection))["waiting"]
    click.echo(f"{name} is paused. {_words(waiting)} Workers obey within two seconds.")
    if hold_opt_outs:
        click.echo("Opt-outs are held too: who has opted out may be called until you resume.")
    else:
        click.echo("Opt-outs go on being sent, each with what else waits for its lead.")


@command.command(help="End a pause, and try a campaign that is held back at once.")
@click.argument("name")
def resume(name: str) -> None:
    me = actor()
    with writing() as connection:
        _know(connection, name)
        ended, tried = pausing.resume(connection, name, actor=me)
        found = campaigns.conditions(connection).get(name, Condition())
    click.echo(f"{name} is resumed." if ended else f"{name} was not paused by hand.")
    if tried:
        click.echo(f"It is held back ({found.reason}); workers try it within two seconds.")


def _know(connection: Connection, name: str) -> None:
    """Refuse a name that stands neither in the database nor in the mapping files."""
    seen = campaigns.conditions(connection)
    if name in seen or name in pauses.pauses(connection):
        return  # also when the mapping files have a mistake just now
    named = load(Settings.current()).campaigns
    if name not in named:
        raise unknown("campaign", name, {*named, *seen})


def _words(waiting: Mapping[str, int]) -> str:
    if not waiting:
        return "Nothing waits for it."
    return f"Its queue is kept: {_counts(waiting)}."


def _counts(waiting: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {lane}" for lane, n in waiting.items())


def _shown(row: Mapping[str, Any], pause: Pause | None) -> dict[str, Any]:
    """A row as a table shows it: in words."""
    by_hand = ""
    if pause is not None:
        rest = "with its opt-outs" if pause.holds_opt_outs else "but for opt-outs"
        reason = clean(pause.reason)
        by_hand = f"by {who(pause.actor)} since {iso(pause.since)}, {rest}"
        by_hand += f": {reason}" if reason else ""
    return {**row, "waiting": _counts(row["waiting"]), "paused_by_hand": by_hand}


def _configured(campaign: Campaign | None) -> str:
    if campaign is None:
        return "no longer in campaigns.yaml"
    return f"no: set {', '.join(campaign.missing)}" if campaign.missing else "yes"


def _condition(name: str, condition: Condition, pause: Pause | None) -> dict[str, Any]:
    return {
        "name": name,
        "condition": condition.condition,
        "reason": condition.reason,
        "status": condition.status,
        "since": iso(condition.since) if condition.since else None,
        "paused_by_hand": None
        if pause is None
        else {
            "since": iso(pause.since),
            "by": pause.actor,
            "reason": pause.reason,
            "opt_outs": "held" if pause.holds_opt_outs else "go on",
        },
    }


def _backlog(waiting: Mapping[Lane, tuple[int, int | None]], now: int) -> dict[str, Any]:
    ages = {
        lane.name.lower(): (now - since) // 1000
        for lane, (_, since) in waiting.items()
        if since is not None
    }
    return {
        "waiting": {lane.name.lower(): count for lane, (count, _) in waiting.items()},
        "oldest_seconds_by_lane": ages,
        "oldest_seconds": max(ages.values(), default=None),
    }
