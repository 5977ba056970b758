"""``crm-bridge retention``: erase what has become old now, as a worker does by itself."""

from __future__ import annotations

import click

from bridge.commands.as_json import as_json
from bridge.commands.listings import json_option, opened
from bridge.commands.output import bars
from bridge.settings import Settings
from bridge.steps.erase import ages, erase_people
from bridge.store import retention
from bridge.store.database import Database
from bridge.store.retention import Ages, Sweep


@click.command(
    help="Erase raw requests after BRIDGE_BODY_DAYS, and names, values and numbers after "
    "BRIDGE_PERSON_DAYS. Workers do it by themselves, once a day."
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_option
def command(dry_run: bool, json_: bool) -> None:
    settings = Settings.current()
    with opened() as database, bars() as tell:
        with database.read() as connection:
            database.measure_clock(connection)
        days = (settings["BRIDGE_BODY_DAYS"], settings["BRIDGE_PERSON_DAYS"])
        old = ages(database.now_ms(), *days)
        found = {}
        for place, what in enumerate(Sweep, start=1):
            found[what.value] = (_count if dry_run else _erase)(database, what, old)
            tell("sweeps", place, len(Sweep))
        while not dry_run and erase_people(database):
            pass
    if json_:
        as_json({"dry_run": dry_run, **found})
        return
    for name, count in found.items():
        click.echo(f"{name}: {count:,} {'to erase' if dry_run else 'erased'}")


def _count(database: Database, what: Sweep, old: Ages) -> int:
    total, after = 0, 0
    while True:
        with database.read() as connection:
            count, following = retention.count(connection, what, old, after)
        total += count
        if following is None:
            return total
        after = following


def _erase(database: Database, what: Sweep, old: Ages) -> int:
    with database.write() as connection:
        retention.begin(connection, what)
    total, more = 0, True
    while more:
        with database.write() as connection:
            count, more = retention.page(connection, what, old, database.now_ms())
        total += count
    return total
