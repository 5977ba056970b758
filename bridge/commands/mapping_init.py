"""``crm-bridge mapping init``: the mapping files that come with the program."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.settings import Settings
from bridge.shipped import copy_mapping_files


@click.command("init", help="Copy the mapping files that come with the program into FOLDER.")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path | None) -> None:
    folder = folder or Path(Settings.current()["BRIDGE_MAPPINGS"])
    for path in copy_mapping_files(folder):
        if path.suffix == ".yaml":
            click.echo(path)
    click.echo(f"Next: BRIDGE_MAPPINGS={folder} crm-bridge mapping check")
