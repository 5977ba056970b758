"""``crm-bridge export lead``: all that is known of a person."""

from __future__ import annotations

import sys
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
from bridge.commands.known import files_if_valid
from bridge.commands.listings import opened
from bridge.map.phone import typed
from bridge.operate.export import make
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Job
from bridge.operate.reading import whole_found
from bridge.settings import Settings


@click.command(
    help="Export all that is known of a person, found by phone number as people write it, e-mail "
    "address or contact id. Ends with 1 if nothing is known."
)
@click.argument("text")
@form_option
@output_option
@bodies_option
def command(text: str, form: str, output: Path | None, bodies: bool) -> None:
    text = text.encode(errors="replace").decode()  # what the shell gave may be no Unicode
    settings = Settings.current()
    region = settings["BRIDGE_DEFAULT_REGION"]
    files = files_if_valid()
    with opened() as database:
        with database.read() as connection:
            found = whole_found(connection, text, lambda one: typed(one, region))
            subject = make.person(connection, found, None if files is None else files.campaigns)
        if subject is None:
            click.echo("Nothing is known of this number, address or id.", err=True)
            sys.exit(1)
        job = Job(subject, Form(form), seal_of(settings), actor(), bodies)
        write_new(database, job, output)
