"""How the export commands write a file: piece by piece, with a bar, readable by its owner alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from bridge.commands.output import progress
from bridge.errors import ExportError
from bridge.operate.export import make
from bridge.operate.export.chain import Seal
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Job, Tip
from bridge.operate.export.walk import Size, Told
from bridge.settings import Settings
from bridge.store.database import Database

form_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Form]),
    default=Form.JSONL.value,
    show_default=True,
    help="JSON Lines, or CSV for spreadsheets.",
)
output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which may not exist yet; otherwise to standard output.",
)
bodies_option = click.option(
    "--bodies/--no-bodies",
    default=True,
    show_default=True,
    help="Raw webhooks with their bodies, or with the hashes of these alone.",
)


def seal_of(settings: Settings) -> Seal:
    """How new files are sealed."""
    return Seal.by(settings["BRIDGE_EVIDENCE_KEY"])


def keys_of(settings: Settings) -> tuple[str, ...]:
    """What files may have been sealed by."""
    secret = settings.environment.secret("BRIDGE_EVIDENCE_KEY")
    return () if secret is None else secret.values


def write_new(database: Database, job: Job, output: Path | None) -> None:
    """Make a whole file. Errors: ``ExportError``, ``StoreError``."""
    tip = Tip()
    with _new(output) as stream:
        with database.write() as connection:
            make.begin(connection, job)
        write(stream, tip, lambda told: make.whole(database, job, tip, size=Size(), told=told))


def write(stream: BinaryIO, tip: Tip, pieces: Callable[[Told], Iterator[bytes]]) -> None:
    """Write what there is, with a bar, and say where it ended."""
    with progress("exporting") as tell:
        stream.writelines(pieces(lambda share, count: tell(share, f"{count:,} deliveries")))
    click.echo(f"{tip.lines:,} lines; the last hash is {tip.hash}", err=True)


@contextmanager
def opened_file(path: Path, *, new: bool = False) -> Iterator[BinaryIO]:
    """A file to read and write, on the disk at the end; a new one for its owner's eyes alone.

    Errors: ``ExportError``.
    """
    flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0)
    stream: BinaryIO | None = None
    try:
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise ExportError(f"{path} is there already, and nothing is overwritten.") from None
    except OSError as error:
        what = "opened" if stream is None else "written"
        raise ExportError(f"{path} cannot be {what} ({error.strerror}).") from None


@contextmanager
def _new(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with opened_file(output, new=True) as stream:
        try:
            yield stream
        except BaseException:
            click.echo(f"{output} is not whole.", err=True)
            raise
