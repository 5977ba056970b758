"""``crm-bridge export resume``: go on with the file of a period whose export broke off."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.commands.actor import actor
from bridge.commands.export_file import keys_of, opened_file, write
from bridge.commands.listings import opened
from bridge.errors import ExportError
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
    keys = keys_of(Settings.current())
    with opened_file(file) as stream, opened() as database:
        broken = resume.look(stream, keys)
        if keys and broken.seal.key is None:
            raise ExportError(
                "no key seals this file, though BRIDGE_EVIDENCE_KEY is set: anybody may have "
                "written what it holds. Export anew."
            )
        job = Job(
            broken.period,
            broken.form,
            broken.seal,
            actor(),
            broken.header["bodies"],
            broken.header["export"],
        )
        with database.write() as connection:
            make.go_on(connection, job, broken.tip.lines)
        stream.truncate(broken.at)
        stream.seek(broken.at)
        write(
            stream,
            broken.tip,
            lambda told: make.rest(
                database, job, broken.tip, seen=broken.seen, size=Size(), told=told
            ),
        )
