"""``crm-bridge deliveries``: the webhook requests as they came in."""

from __future__ import annotations

import sys

import click

from bridge.commands.as_json import as_json
from bridge.commands.known import must_know_source
from bridge.commands.listings import (
    before_option,
    json_option,
    limit_option,
    reading,
    with_times,
)
from bridge.commands.output import table
from bridge.store import deliveries

COLUMNS = ("id", "received_at", "source", "scheme", "state", "bytes", "problem", "receipt")
HEAD = ("received_at", "state", "source", "receipt")


@click.command(help="List deliveries, the newest first; --body prints the raw body of one.")
@click.option("--source", help="Only this source.")
@click.option("--body", metavar="RECEIPT", help="Print the raw body of this delivery, and no list.")
@before_option
@limit_option
@json_option
def command(
    source: str | None, body: str | None, before: int | None, limit: int, json_: bool
) -> None:
    with reading() as connection:
        if body is not None:
            found = deliveries.by_receipt(connection, body)
            if found is None:
                raise click.ClickException(f"there is no delivery with receipt {body}")
            sys.stdout.buffer.write(found.body)
            if found.damaged is not None:
                sys.stdout.buffer.flush()
                raise click.ClickException(f"{found.damaged}; this is what is left of it")
            return
        rows = deliveries.listing(connection, source=source, before=before, limit=limit)
        if not rows and source is not None:
            must_know_source(connection, source)
    shown = [with_times(row, "received_at") for row in rows]
    if json_:
        as_json(shown)
    elif shown:
        table(COLUMNS, shown, head=HEAD, text="problem")
    else:
        click.echo("no delivery matches")
