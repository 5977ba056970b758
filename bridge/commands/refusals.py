"""``crm-bridge refusals``: requests that did not pass verification, and why."""

from __future__ import annotations

import click

from bridge.commands.listings import (
    before_option,
    json_option,
    limit_option,
    reading,
    with_times,
)
from bridge.commands.output import as_json, table
from bridge.store import refusals

COLUMNS = (
    "id",
    "received_at",
    "source",
    "address",
    "method",
    "bytes",
    "passed_over",
    "reason",
    "receipt",
)


@click.command(
    help="List refused requests, the newest first. “passed over”: how many more came from the "
    "address since its row before and were only counted, since it had its share."
)
@click.option("--source", help="Only this source.")
@before_option
@limit_option
@json_option
def command(source: str | None, before: int | None, limit: int, json_: bool) -> None:
    with reading() as connection:
        rows = refusals.listing(connection, source=source, before=before, limit=limit)
    shown = [with_times(row, "received_at") for row in rows]
    if json_:
        as_json(shown)
    elif shown:
        table(COLUMNS, shown)
    else:
        click.echo("no refusal matches")
