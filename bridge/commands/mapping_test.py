"""``crm-bridge mapping test``: runs the cases, and tells what none of them reaches."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bridge.commands.as_json import as_json
from bridge.commands.mapping_files import case_mappings, decoder, folder_of, path_of
from bridge.errors import Mistake
from bridge.map import CaseResult, load_cases, run_cases
from bridge.map.coverage import Coverage
from bridge.map.load import CASES
from bridge.map.nearest import advice
from bridge.map.review import not_covered
from bridge.settings import Settings

_DIFFERENCE = re.compile(r"(.*?): expected (.*), found (.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tested:
    """The cases of one source, and what they leave out. ``results`` None: there is no file."""

    source: str
    path: Path
    results: list[CaseResult] | None
    reached: int
    branches: int
    left: list[Mistake]


@click.command("test")
@click.argument("source", required=False)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.option("--strict", is_flag=True, help="End with 1 where a branch is not reached.")
def command(source: str | None, json_: bool, strict: bool) -> None:
    """Run the cases of every source, or of one, whose file alone is then read; tell which rules and
    branches none of them reaches. Ends with 1 if a case fails.
    """
    settings = Settings.current()
    folder, under = case_mappings(settings, only=source)
    if source is not None and source not in folder.mappings.mappings:
        told = advice(source, folder.mappings.mappings)
        raise click.ClickException(f"there is no source {source}. {told}")
    tested: list[Tested] = []
    for name, mapping in sorted(folder.mappings.mappings.items()):
        path = folder_of(settings) / f"{name}{CASES}"
        if source not in (None, name):
            continue
        if not path.exists():
            tested.append(Tested(name, path, None, 0, 0, []))
            continue
        coverage = Coverage(mapping)
        results = run_cases(
            mapping,
            load_cases(path),
            decode=decoder(Settings.declared()),
            under=under.under,
            coverage=coverage,
        )
        left = not_covered(folder.documents[f"{name}.yaml"], name, coverage)
        tested.append(Tested(name, path, results, *coverage.counts(), left))
    failed = sum(not r.passed for one in tested for r in one.results or ())
    if json_:
        as_json([_document(one) for one in tested])
    else:
        _print(tested, settings, failed)
    sys.exit(1 if failed or (strict and any(one.left for one in tested)) else 0)


def _print(tested: list[Tested], settings: Settings, failed: int) -> None:
    for one in tested:
        if one.results is None:
            click.echo(f"{one.source}: no cases; write {one.path}")
            continue
        for result in one.results:
            word = click.style("ok  ", fg="green") if result.passed else click.style("FAIL", "red")
            click.echo(f"{word} {one.source}: {result.name}")
            for difference in result.differences:
                for line in _difference(f"{one.path}:{result.line}", difference):
                    click.echo(line)
    for one in tested:
        if one.results is not None:
            click.echo(f"{one.source}: its cases reach {one.reached} of {one.branches} branches")
        for left in one.left:
            place = f"{path_of(settings, left.file)}:{left.line}:{left.column}"
            click.echo(f"       {place}: {left.message}")
    total = sum(len(one.results or ()) for one in tested)
    click.echo(f"{total - failed} of {total} cases pass")


def _difference(place: str, text: str) -> Iterator[str]:
    """A difference in three lines: where, what was expected, what was found."""
    found = _DIFFERENCE.match(text)
    if found is None:
        yield f"       {place}: {text}"
        return
    where, expected, got = found.groups()
    yield f"       {place}: {where}"
    yield click.style(f"         - expected {expected}", fg="red")
    yield click.style(f"         + found    {got}", fg="green")


def _document(one: Tested) -> dict[str, Any]:
    return {
        "source": one.source,
        "file": str(one.path),
        "cases": None
        if one.results is None
        else [
            {
                "name": result.name,
                "line": result.line,
                "passed": result.passed,
                "differences": list(result.differences),
            }
            for result in one.results
        ],
        "reached": one.reached,
        "branches": one.branches,
        "not_reached": [
            {"file": left.file, "line": left.line, "column": left.column, "what": left.message}
            for left in one.left
        ],
    }
