"""``crm-bridge mapping shadow``: what two versions make of the deliveries of the last days."""

from __future__ import annotations

import sys

import click

from bridge.clock import now_ms
from bridge.commands.listings import json_option
from bridge.commands.mapping_sides import Sides, examples_option, from_option, tell_of, to_option
from bridge.commands.output import progress
from bridge.settings import Settings
from bridge.steps.equipment import Bounds
from bridge.steps.replay_lookups import Desk
from bridge.steps.shadow import shadow_stored
from bridge.steps.token_keeper import BorrowedTokens
from bridge.store import revision
from bridge.store.database import Database

DAY_MS = 86_400_000


@click.command(
    "shadow",
    help="What two versions of SOURCE's file make of the deliveries of the last days. Nothing is "
    "sent or stored. Exit status: 0 the same, 1 not, or with --look-up not all looked up.",
)
@click.argument("source")
@from_option
@to_option
@click.option(
    "--days", type=click.FloatRange(0.0001), default=7.0, show_default=True, help="How far back."
)
@click.option(
    "--look-up",
    is_flag=True,
    help="Really ask the CRM; otherwise events that need a look-up are only counted.",
)
@examples_option
@json_option
def command(
    source: str,
    before: str | None,
    after: str | None,
    days: float,
    look_up: bool,
    examples: int,
    json_: bool,
) -> None:
    settings = Settings.current()
    sides = Sides(settings, source, placeholders=False)
    old, new = sides.load(before, after)
    database = Database(settings["DATABASE_URL"])
    desk = Desk(wall=database.now_ms, keeper=BorrowedTokens(database)) if look_up else None
    now = now_ms()
    try:
        revision.check(database)
        with progress("comparing") as tell:
            found = shadow_stored(
                database,
                old,
                new,
                since=now - round(days * DAY_MS),
                until=now + 1,
                bounds=Bounds.of(settings),
                examples=examples,
                desk=desk,
                progress=lambda share, count: tell(share, f"{count} events"),
            )
    finally:
        database.close()
        if desk is not None:
            desk.close()
    sys.exit(tell_of(found, sides.names, json_))
