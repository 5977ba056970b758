"""``crm-bridge settings``: every setting, its value with secrets masked, and its meaning."""

from __future__ import annotations

import click

from bridge.commands.output import as_json, table
from bridge.settings import SETTINGS, Settings


@click.command(help="Print every setting, its value (secrets masked) and its meaning.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def command(json_: bool) -> None:
    settings = Settings.current()
    rows = [
        {
            "name": s.name,
            "value": settings.shown(s.name),
            "default": "–" if s.default is None else str(s.default),
            "help": s.help,
        }
        for s in SETTINGS
    ]
    if json_:
        as_json(rows)
    else:
        table(("name", "value", "default", "help"), rows)
