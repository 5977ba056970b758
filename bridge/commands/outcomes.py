"""``crm-bridge outcomes``: what became of each lead update."""

from __future__ import annotations

import click

from bridge.commands.as_json import as_json
from bridge.commands.known import must_know_campaign, must_know_source, read_phones
from bridge.commands.listings import (
    before_option,
    json_option,
    limit_option,
    reading,
    with_times,
)
from bridge.commands.output import table
from bridge.model import State
from bridge.store import outcomes

COLUMNS = (
    "id",
    "accepted_at",
    "source",
    "campaign",
    "phone",
    "state",
    "fields",
    "message",
    "tries",
    "elapsed_ms",
    "replay_id",
    "receipt",
)
HEAD = ("accepted_at", "state", "campaign", "phone", "receipt")


@click.command(help="List outcomes, the newest first. Phone numbers are shown in full.")
@click.option("--state", type=click.Choice([s.value for s in State]), help="Only this state.")
@click.option("--campaign", help="Only this campaign.")
@click.option("--phone", help="Only this phone number, as people write it.")
@click.option("--receipt", help="Only this delivery.")
@click.option("--source", help="Only this source.")
@before_option
@limit_option
@json_option
def command(
    state: str | None,
    campaign: str | None,
    phone: str | None,
    receipt: str | None,
    source: str | None,
    before: int | None,
    limit: int,
    json_: bool,
) -> None:
    phones = None if phone is None else read_phones(phone)
    with reading() as connection:
        rows = outcomes.listing(
            connection,
            state=state,
            campaign=campaign,
            phones=phones,
            receipt=receipt,
            source=source,
            before=before,
            limit=limit,
        )
        if not rows and source is not None:
            must_know_source(connection, source)
        if not rows and campaign is not None:
            must_know_campaign(connection, campaign)
    shown = []
    for row in rows:
        decided = row["decided_at"]
        row["elapsed_ms"] = None if decided is None else decided - row["accepted_at"]
        shown.append(
            with_times(
                row, "accepted_at", "decided_at", "event_time", "batch_started_at", "erased_at"
            )
        )
    if json_:
        as_json(shown)
    elif shown:
        rows = [{**row, "replay_id": row["replay_id"] or None} for row in shown]
        table(COLUMNS, rows, head=HEAD, text="message")
    else:
        click.echo("no outcome matches")
