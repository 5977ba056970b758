"""``crm-bridge export verify``: whether a file is what was exported, and whole."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from bridge.commands.as_json import as_json
from bridge.commands.export_file import keys_of
from bridge.commands.listings import json_option, opened
from bridge.operate.export import make
from bridge.operate.export.verify import Whole, WrongLineError, verify
from bridge.settings import Settings


@click.command(
    help="Verify a file, and name its first line that is wrong. Ends with 0 if it is whole, with 1 "
    "if it is not, with 2 if that cannot be told. Needs no database; with BRIDGE_EVIDENCE_KEY set, "
    "a file that is not sealed by it does not count, unless --unkeyed is given."
)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--noted", is_flag=True, help="Ask the bridge's database as well whether it made this file."
)
@click.option("--unkeyed", is_flag=True, help="Take a file without a key, though one is set.")
@json_option
def command(file: BinaryIO, noted: bool, unkeyed: bool, json_: bool) -> None:
    keys = keys_of(Settings.current())
    try:
        found = verify(file, keys)
    except WrongLineError as error:
        _say({"whole": False, "line": error.number, "problem": error.why}, str(error), json_)
        sys.exit(1)
    keyed = found.header["algorithm"] != "sha256"
    problem = ""
    kept = _unnoted(found) if noted else None
    if keys and not keyed and not unkeyed:
        problem = "no key seals it, though BRIDGE_EVIDENCE_KEY is set: anybody may have made it"
    elif noted and kept is None:
        problem = "this database knows of no such file: it was made elsewhere, or made anew"
    said = {
        "whole": not problem,
        "line": None,
        "problem": problem or None,
        "lines": found.lines,
        "hash": found.hash,
        "keyed": keyed,
        "noted": noted and not problem,
        "lines_without_note": kept,
        "export": {name: value for name, value in found.header.items() if name != "kind"},
        "ended_at": found.end["ended_at"],
    }
    _say(said, problem and f"every line fits, but {problem}", json_)
    if problem:
        sys.exit(1)
    if not json_:
        _tell(found, keyed=keyed, kept=kept)


def _unnoted(found: Whole) -> int | None:
    with opened() as database, database.read() as connection:
        return make.unnoted(connection, found.header["export"], found.lines, found.hash)


def _say(document: dict[str, Any], problem: str, json_: bool) -> None:
    if json_:
        as_json(document)
    elif problem:
        click.echo(problem)


def _tell(found: Whole, *, keyed: bool, kept: int | None) -> None:
    header = found.header
    click.echo(f"Whole: {found.lines:,} lines, made {header['made_at']} by {header['made_by']}.")
    click.echo(f"The last hash is {found.hash}.")
    if kept is not None:
        click.echo("The database has noted that it made this file.")
        if kept and not keyed:
            click.echo(
                f"It broke off once and was gone on with: of its first {kept:,} lines there is no "
                "note, and no key seals them."
            )
    elif not keyed:
        click.echo(
            "No key seals it, so whoever can edit it can chain it anew: compare the last hash with "
            "one that was kept elsewhere, or ask the bridge's database with --noted."
        )
