"""``crm-bridge mapping diff``: what two versions of a file make of its cases."""

from __future__ import annotations

import sys

import click

from bridge.commands.listings import json_option
from bridge.commands.mapping_files import decoder, folder_of
from bridge.commands.mapping_sides import Sides, examples_option, from_option, tell_of, to_option
from bridge.map import load_cases
from bridge.map.load import CASES, CaseMappings
from bridge.map.shadow import shadow_cases
from bridge.settings import Settings


@click.command(
    "diff",
    help="What two versions of SOURCE's file make of its cases. Exit status: 0 the same, 1 not.",
)
@click.argument("source")
@from_option
@to_option
@examples_option
@json_option
def command(source: str, before: str | None, after: str | None, examples: int, json_: bool) -> None:
    settings = Settings.current()
    sides = Sides(settings, source, placeholders=True)
    old, new = sides.load(before, after)
    path = folder_of(settings) / f"{source}{CASES}"
    if not path.exists():
        raise click.UsageError(f"there are no cases; write {path}")
    found = shadow_cases(
        load_cases(path),
        old,
        new,
        decode=decoder(settings),
        under=CaseMappings(settings.environment).under,
        examples=examples,
    )
    sys.exit(tell_of(found, sides.names, json_))
