"""``crm-bridge alert list``: what each channel knows of, and how it does."""

from __future__ import annotations

from typing import Any

import click

from bridge.clock import iso
from bridge.commands.as_json import as_json
from bridge.commands.listings import json_option, reading
from bridge.commands.output import table
from bridge.store import alerts
from bridge.store.alerts import Entry

COLUMNS = ("channel", "state", "urgent", "kind", "subject", "since", "told_at", "times", "text")


@click.command(
    help="List what each channel of alerts was told and has still to be told, and channels that "
    "do not take messages."
)
@json_option
def command(json_: bool) -> None:
    with reading() as connection:
        rows = [_row(channel, entry) for channel, entry in alerts.listing(connection)]
        channels = alerts.channels(connection)
    if json_:
        found = {
            name: {
                "sent_at": iso(one.sent_at or None),
                "failures": one.failures,
                "failing_since": iso(one.failing_since),
                "trouble": one.trouble,
            }
            for name, one in channels.items()
        }
        as_json({"channels": found, "alerts": rows})
        return
    if rows:
        table(COLUMNS, rows)
    else:
        click.echo("nothing is told, and nothing has to be")
    for name, one in channels.items():
        if one.failing_since is not None:
            click.echo(f"{name} takes nothing since {iso(one.failing_since)}: {one.trouble}")


def _row(channel: str, entry: Entry) -> dict[str, Any]:
    told = "waiting" if entry.told_at is None else "told"
    return {
        "channel": channel,
        "state": told if entry.gone_at is None else "over",
        "urgent": entry.urgent,
        "kind": entry.kind,
        "subject": entry.subject,
        "since": iso(entry.since),
        "over_at": iso(entry.gone_at),
        "told_at": iso(entry.told_at),
        "times": entry.times,
        "size": entry.size,
        "text": entry.text,
    }
