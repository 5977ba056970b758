"""``crm-bridge export period``: whatever was received in a time and became of it."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.commands.actor import actor
from bridge.commands.export_file import (
    bodies_option,
    form_option,
    output_option,
    seal_of,
    write_new,
)
from bridge.commands.listings import opened
from bridge.commands.moments import Moment
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Job
from bridge.operate.export.subject import Period, settle_ms, settled_until
from bridge.settings import Settings
from bridge.store.database import clock_ms


@click.command(
    help="Export whatever was received in a time: deliveries, events, outcomes with every call, "
    "refusals, and what people did by hand. What came in the last five seconds is left out. If it "
    "breaks off: crm-bridge export resume."
)
@click.option(
    "--since", type=Moment(), required=True, help="Received since: 7d, 12h, or 2026-06-25T07:00Z."
)
@click.option("--until", type=Moment(), help="Received before; left out: until now.")
@click.option("--source", help="Only this source.")
@click.option(
    "--campaign", help="Only outcomes of this campaign, and of events without lead updates."
)
@form_option
@output_option
@bodies_option
def command(
    since: int,
    until: int | None,
    source: str | None,
    campaign: str | None,
    form: str,
    output: Path | None,
    bodies: bool,
) -> None:
    settings = Settings.current()
    with opened() as database:
        with database.read() as connection:
            now = clock_ms(connection)
        end = settled_until(until, settle_ms(settings["BRIDGE_COMMIT_TIMEOUT"]), now)
        if since >= end:
            raise click.UsageError("The period ends before it begins.")
        wanted = Period(since, end, source, campaign)
        job = Job(wanted, Form(form), seal_of(settings), actor(), bodies)
        write_new(database, job, output)
