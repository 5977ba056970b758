"""``crm-bridge export resume``: go on with the file of a period whose export broke off."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.commands.actor import actor
from bridge.commands.export_file import keys_of, opened_file, write
from bridge.commands.listings import opened
from bridge.operate.export import make, resume
from bridge.operate.export.make import Job
from bridge.operate.export.walk import Size
from bridge.settings import Settings


@click.command(
    help="Go on with the file of a period whose export broke off. Its lines are verified first; "
    "what is left is read as it stands now."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    with opened_file(file) as stream, opened() as database:
        broken = resume.look(stream, keys_of(Settings.current()))
        job = Job(
            broken.period,
            broken.form,
            broken.seal,
            actor(),
            broken.header["bodies"],
            broken.header["export"],
        )
        with database.write() as connection:
            make.begin(connection, job, action=make.GO_ON)
        stream.truncate(broken.at)
        stream.seek(broken.at)
        write(
            stream,
            broken.tip,
            lambda told: make.rest(
                database, job, broken.tip, seen=broken.seen, size=Size(), told=told
            ),
        )
