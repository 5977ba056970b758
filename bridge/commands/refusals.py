"""``crm-bridge refusals``: requests that did not pass verification, and a second look at them."""

from __future__ import annotations

import sys

import click

from bridge import logs
from bridge.commands.as_json import as_json
from bridge.commands.known import must_know_source
from bridge.commands.listings import (
    before_option,
    json_option,
    limit_option,
    reading,
    with_times,
)
from bridge.commands.output import progress, table
from bridge.live import load
from bridge.settings import Settings
from bridge.steps.verify_again import Judge, Verdicts
from bridge.store import refusals, revision
from bridge.store.database import Database

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
INSTEAD = (
    "Tokens, passwords and bodies over the limit are never kept. Correct the cause, and have the "
    "sender send such requests again. Where it cannot, and you know that one is genuine: save its "
    "body from its page in the console, and post it as new with crm-bridge send SOURCE FILE."
)
HEAD = ("received_at", "source", "address", "receipt")


@click.group(
    invoke_without_command=True,
    help="List refused requests, the newest first. “passed over”: how many more came from the "
    "address since its row before and were only counted, since it had its share.",
)
@click.option("--source", help="Only this source.")
@before_option
@limit_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, source: str | None, before: int | None, limit: int, json_: bool
) -> None:
    if ctx.invoked_subcommand is not None:
        return
    with reading() as connection:
        rows = refusals.listing(connection, source=source, before=before, limit=limit)
        if not rows and source is not None:
            must_know_source(connection, source)
    shown = [with_times(row, "received_at") for row in rows]
    if json_:
        as_json(shown)
    elif shown:
        table(COLUMNS, shown, head=HEAD, text="reason")
    else:
        click.echo("no refusal matches")


@command.command(
    help="Judge refused requests by the secrets of now, each at the time at which it came. Shows "
    "how many would pass; with --run they are taken in. Exit status 1 if none passes."
)
@click.option("--source", help="Only this source.")
@click.option("--receipt", help="Only this request.")
@click.option("--run", "run_", is_flag=True, help="Take those in that pass, each once.")
@json_option
def verify(source: str | None, receipt: str | None, run_: bool, json_: bool) -> None:
    settings = Settings.current()
    logs.configure_by(settings)
    database = Database(settings["DATABASE_URL"])
    judge = Judge(
        database,
        load(settings).sources,
        settings["BRIDGE_PUBLIC_URL"],
        settings["BRIDGE_MAX_DEPTH"],
    )
    try:
        revision.check(database)
        with database.read() as connection:
            if source is not None:
                must_know_source(connection, source)
            total = sum(one.rows for one in refusals.held(connection).values())
        with progress("judging") as tell:
            found = judge.look(
                source=source,
                receipt=receipt,
                run=run_,
                progress=lambda count: tell(count / max(1, total), f"{count} requests"),
            )
    finally:
        database.close()
    if json_:
        as_json(found.as_json())
    else:
        _tell(found, run_)
    sys.exit(0 if found.passed else 1)


def _tell(found: Verdicts, run: bool) -> None:
    click.echo(f"{found.looked_at} refused requests")
    for source, count in sorted(found.passed.items()):
        what = f"{found.taken_in[source]} taken in" if run else "would be taken in"
        click.echo(f"  {source}: {count} pass now, {what}")
    for (source, reason), count in found.reasons.most_common(20):
        click.echo(f"  {source}: {count} still refused: {reason}")
    for (source, reason), count in found.not_kept.most_common(20):
        click.echo(f"  {source}: {count} cannot be verified again: {reason}")
    if found.not_kept:
        click.echo(INSTEAD)
    if found.passed and not run:
        click.echo("Nothing was done. To do it, add --run.")
