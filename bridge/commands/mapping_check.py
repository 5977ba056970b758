"""``crm-bridge mapping check``: every mistake at once, and what can have no effect."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from bridge.commands.annotations import github, sarif
from bridge.commands.as_json import as_json
from bridge.commands.mapping_files import decoder, excerpt, folder_of, path_of, read
from bridge.errors import Mistake
from bridge.map.check import Report, check_folder
from bridge.model import Source
from bridge.receive.verify import OverUrl, over_url
from bridge.settings import Settings

FORMATS = ("text", "json", "github", "sarif")
CLEAN, REMARKS, MISTAKES = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to tell, with its level: ``error`` or ``warning``."""

    level: str
    path: str
    mistake: Mistake


@click.command("check")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="text", help="How to print it."
)
@click.option("--json", "json_", is_flag=True, help="The same as --format json.")
@click.option("--strict", is_flag=True, help="End with 1 where there are warnings.")
def command(format_: str, json_: bool, strict: bool) -> None:
    """Tell every mistake in the mapping files, campaigns.yaml and the case files, with file, line
    and column, and warn of what can have no effect: rules that never fire or that another one
    overrules, names that nothing uses, expressions that no case reaches.

    Ends with 2 if a file has a mistake; with 1 if a source that has its secrets lets nothing pass,
    or, with --strict, if there is a warning; otherwise with 0.
    """
    settings = Settings.current()
    folder = folder_of(settings)
    report = check_folder(
        folder,
        partial(read, settings),
        Settings.declared().environment,
        decode=decoder(Settings.declared()),
    )
    refused = {} if settings["BRIDGE_PUBLIC_URL"] else _over_url(report.mappings.sources)
    closed = [] if report.mistakes else list(_closed(report, refused))
    levels = (("error", report.mistakes), ("error", closed), ("warning", report.warnings))
    found = [
        Found(level, path_of(settings, one.file), one) for level, many in levels for one in many
    ]
    _print("json" if json_ else format_, report, found, refused)
    if report.mistakes:
        sys.exit(MISTAKES)
    sys.exit(REMARKS if closed or (strict and report.warnings) else CLEAN)


def _closed(report: Report, refused: Mapping[str, OverUrl]) -> Iterable[Mistake]:
    """Sources whose secrets are there and that let no request pass all the same."""
    configured = {n: s for n, s in report.mappings.sources.items() if s.configured}
    if not configured:
        return
    from bridge.receive.verify.sanity import check_scheme  # noqa: PLC0415 - slow to load

    for name, source in configured.items():
        document = report.documents[f"{name}.yaml"]
        told = [wrong for one in source.verify if (wrong := check_scheme(one)) is not None]
        hint = ""
        if not told and name in refused and refused[name].all_of_them:
            told = [f"nothing can pass {' or '.join(refused[name].names)}, since it covers the URL"]
            hint = "Set BRIDGE_PUBLIC_URL."
        verify = ("receive", "verify")
        yield from document.finished(
            [document.mistake(verify, "nothing-passes", f"{one}.", hint, key=True) for one in told]
        )


def _print(
    format_: str, report: Report, found: list[Found], refused: Mapping[str, OverUrl]
) -> None:
    rows = [(one.level, one.path, one.mistake) for one in found]
    if format_ == "github":
        for line in github(rows):
            click.echo(line)
    elif format_ == "sarif":
        as_json(sarif(rows))
    elif format_ == "json":
        as_json(_document(report, found))
    else:
        _print_text(report, found, refused)


def _print_text(report: Report, found: list[Found], refused: Mapping[str, OverUrl]) -> None:
    for one in found:
        colour = "red" if one.level == "error" else "yellow"
        place = f"{one.path}:{one.mistake.line}:{one.mistake.column}:"
        level = click.style(one.level, fg=colour)
        code = click.style(one.mistake.code, bold=True)
        told = f"{one.mistake.message} {one.mistake.hint}".strip()
        click.echo(f"{place} {level}: {code}: {told}", err=True)
        for line in excerpt(one.mistake):
            click.echo(line, err=True)
    if not report.mistakes:
        for name, source in sorted(report.mappings.sources.items()):
            lacking = f"not configured: set {', '.join(source.missing)}"
            state = "ready" if source.configured else lacking
            if name in refused:
                state = (
                    f"{' and '.join(refused[name].names)} refused until BRIDGE_PUBLIC_URL is set"
                )
            click.echo(f"{name}.yaml  {source.title}  {state}")
        for name, campaign in sorted(report.mappings.campaigns.items()):
            lacking = f"not configured: set {', '.join(campaign.missing)}"
            click.echo(f"campaign {name}  {'ready' if campaign.configured else lacking}")
    counted = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((len(report.mistakes), "mistake"), (len(report.warnings), "warning"))
        if count
    ]
    if counted:
        click.echo(f"{' and '.join(counted)} in the mapping files", err=True)


def _document(report: Report, found: list[Found]) -> dict[str, Any]:
    return {
        "found": [
            {
                "level": one.level,
                "path": one.path,
                "file": one.mistake.file,
                "line": one.mistake.line,
                "column": one.mistake.column,
                "end_column": one.mistake.end_column or None,
                "text": one.mistake.text or None,
                "code": one.mistake.code,
                "message": one.mistake.message,
                "hint": one.mistake.hint,
            }
            for one in found
        ],
        "sources": {
            name: {"configured": source.configured, "missing": list(source.missing)}
            for name, source in sorted(report.mappings.sources.items())
        },
        "campaigns": {
            name: {"configured": campaign.configured, "missing": list(campaign.missing)}
            for name, campaign in sorted(report.mappings.campaigns.items())
        },
    }


def _over_url(sources: Mapping[str, Source]) -> dict[str, OverUrl]:
    found = {name: over_url(s.verify) for name, s in sources.items() if s.configured}
    return {name: schemes for name, schemes in found.items() if schemes.names}
