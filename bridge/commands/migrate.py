"""``crm-bridge migrate``: the database gets the schema of this version."""

from __future__ import annotations

import click

from bridge.settings import Settings
from bridge.store.database import Database
from bridge.store.migrate import migrate


@click.command(help="Create or upgrade the tables; safe to run at every release.")
def command() -> None:
    settings = Settings.current()
    database = Database(settings["DATABASE_URL"])
    before, after = migrate(database)
    database.close()
    where = settings.shown("DATABASE_URL")
    if before == after:
        click.echo(f"{where} is at schema {after} already")
    else:
        click.echo(f"{where} went from schema {before or 'none'} to {after}")
