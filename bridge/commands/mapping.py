"""``crm-bridge mapping …``: get mapping files, and see what they do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from bridge.clock import iso, now_ms
from bridge.commands.mapping_diff import diff, shadow
from bridge.commands.output import as_json
from bridge.enrich import Lookups
from bridge.errors import DecodeError, LookupFailed, MappingError
from bridge.live import load
from bridge.map import SourceMapping, load_cases, load_mappings, run_cases
from bridge.map.search import search
from bridge.model import Delivery, Event, Found, Known, Mapped, Source
from bridge.receive.decode import decode
from bridge.receive.verify import OverUrl, check_scheme, over_url
from bridge.settings import Settings
from bridge.shipped import copy_mapping_files


@click.group(help="Get, check, try, test and compare mapping files.")
def command() -> None:
    pass


command.add_command(diff)
command.add_command(shadow)


@command.command(help="Copy the mapping files that come with the program into FOLDER.")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path | None) -> None:
    folder = folder or Path(Settings.current()["BRIDGE_MAPPINGS"])
    for path in copy_mapping_files(folder):
        if path.suffix == ".yaml":
            click.echo(path)
    click.echo(f"Next: BRIDGE_MAPPINGS={folder} crm-bridge mapping check")


@command.command(help="Load all mapping files; print every mistake with file, line and column.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def check(json_: bool) -> None:
    settings = Settings.current()
    try:
        found = load(settings)
    except MappingError as error:
        if json_:
            as_json([asdict(mistake) for mistake in error.mistakes])
            sys.exit(1)
        raise
    notes = [
        {"source": name, "scheme_problem": wrong}
        for name, source in found.sources.items()
        for scheme in source.verify
        if source.configured and (wrong := check_scheme(scheme)) is not None
    ]
    refused = {} if settings["BRIDGE_PUBLIC_URL"] else _over_url(found.sources)
    notes += [
        {
            "source": name,
            "scheme_problem": f"nothing can pass {' or '.join(schemes.names)}, since the signature "
            "covers the URL: set BRIDGE_PUBLIC_URL",
        }
        for name, schemes in refused.items()
        if schemes.all_of_them
    ]
    if json_:
        as_json(notes)
        sys.exit(1 if notes else 0)
    for name, source in sorted(found.sources.items()):
        state = "ready" if source.configured else f"not configured: set {', '.join(source.missing)}"
        if name in refused:
            state = f"{' and '.join(refused[name].names)} refused until BRIDGE_PUBLIC_URL is set"
        click.echo(f"{name}.yaml  {source.title}  {state}")
    for name, campaign in sorted(found.campaigns.items()):
        lacking = f"not configured: set {', '.join(campaign.missing)}"
        click.echo(f"campaign {name}  {'ready' if campaign.configured else lacking}")
    for note in notes:
        click.echo(f"{note['source']}.yaml: {note['scheme_problem']}", err=True)
    sys.exit(1 if notes else 0)


def _over_url(sources: Mapping[str, Source]) -> dict[str, OverUrl]:
    found = {name: over_url(s.verify) for name, s in sources.items() if s.configured}
    return {name: schemes for name, schemes in found.items() if schemes.names}


@command.command("try", help="Show what would become of PAYLOAD (a file, or - for standard input).")
@click.argument("source")
@click.argument("payload", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--look-up", is_flag=True, help="Really ask the CRM; otherwise look-ups find nothing."
)
@click.option("--found", help='JSON in place of look-ups: {"contact": {"123": {"phone": "…"}}}.')
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def try_(source: str, payload: str, look_up: bool, found: str | None, json_: bool) -> None:
    settings = Settings.current()
    given = _found(found)
    mapping = _mapping(settings, source)
    body = sys.stdin.buffer.read() if payload == "-" else Path(payload).read_bytes()
    try:
        document = decode(mapping.source.decode, body, max_depth=settings["BRIDGE_MAX_DEPTH"])
    except DecodeError as error:
        raise click.ClickException(f"dead: the body cannot be read: {error}") from None
    delivery = Delivery(0, "try", source, now_ms(), "POST", {}, {}, body, "try")
    report = []
    for event in mapping.split(document, delivery):
        records = _records(mapping, event, look_up, given)
        report.append(_report(mapping, event, mapping.apply(event, records, Known())))
    if json_:
        as_json(report)
        return
    for number, entry in enumerate(report, 1):
        _print(number, entry)


@command.command(help="Run the cases beside the mapping files; all, or of one source.")
@click.argument("source", required=False)
def test(source: str | None) -> None:
    settings = Settings.current()
    folder = Path(settings["BRIDGE_MAPPINGS"])
    found = load_mappings(
        folder,
        settings.environment,
        api_url=settings["BRIDGE_API_URL"],
        api_token=settings.environment.secret("BRIDGE_API_TOKEN"),
        default_region=settings["BRIDGE_DEFAULT_REGION"],
        placeholders=True,
    )
    if source is not None and source not in found.mappings:
        raise click.ClickException(f"there is no source {source}")
    read = partial(decode, max_depth=settings["BRIDGE_MAX_DEPTH"])
    failed = total = 0
    for name, mapping in sorted(found.mappings.items()):
        path = folder / f"{name}.cases.yaml"
        if source not in (None, name):
            continue
        if not path.exists():
            click.echo(f"{name}: no cases; write {path}")
            continue
        for result in run_cases(mapping, load_cases(path), decode=read):
            total += 1
            click.echo(f"{'ok  ' if result.passed else 'FAIL'} {name}: {result.name}")
            if not result.passed:
                failed += 1
                for difference in result.differences:
                    click.echo(f"       {path}:{result.line}: {difference}")
    click.echo(f"{total - failed} of {total} cases pass")
    sys.exit(1 if failed else 0)


def _mapping(settings: Settings, source: str) -> SourceMapping:
    found = load(settings).mappings
    if source not in found:
        raise click.ClickException(
            f"there is no source {source}; there are {', '.join(sorted(found))}"
        )
    return found[source]


def _found(text: str | None) -> dict[str, dict[str, Any]]:
    """What stands in for the look-ups: look-up → id → record. Errors: ``BadParameter``."""
    try:
        given = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"this is not JSON: {error}", param_hint="--found") from None
    if not isinstance(given, dict) or not all(isinstance(rows, dict) for rows in given.values()):
        raise click.BadParameter('write {"<look-up>": {"<id>": {…record…}}}', param_hint="--found")
    return given


def _records(
    mapping: SourceMapping, event: Event, look_up: bool, given: dict[str, dict[str, Any]]
) -> dict[str, Found]:
    wanted = mapping.wants(event)
    if look_up:
        lookups = Lookups(mapping.lookups, search)
        answers = lookups.resolve(wanted, time.monotonic)
        lookups.close()
        for answer in answers:
            if isinstance(answer, LookupFailed):
                raise click.ClickException(f"the look-up failed: {answer}")
        return {w.lookup: a for w, a in zip(wanted, answers, strict=True) if isinstance(a, Found)}
    return {
        w.lookup: Found(
            tuple(given[w.lookup][i] for i in w.ids if i in given.get(w.lookup, {})),
            tuple(i for i in w.ids if i not in given.get(w.lookup, {})),
        )
        for w in wanted
    }


def _report(mapping: SourceMapping, event: Event, mapped: Mapped) -> dict[str, Any]:
    return {
        "time": iso(event.time_ms),
        "weak_time": event.weak_time,
        "key": event.key,
        "notes": list(event.notes),
        "look_ups": [asdict(wanted) for wanted in mapping.wants(event)],
        "rules": [asdict(trace) for trace in mapped.trace],
        "updates": [
            {
                "campaign": update.campaign,
                "phone_number": update.phone,
                **update.fields,
                "notes": list(update.notes),
            }
            for update in mapped.updates
        ],
        "outcome": mapped.state.value if mapped.state else None,
        "reason": mapped.reason,
    }


def _print(number: int, entry: dict[str, Any]) -> None:
    weak = " (time of receipt: the event carries none)" if entry["weak_time"] else ""
    click.echo(f"event {number}, {entry['time']}{weak}")
    for note in entry["notes"]:
        click.echo(f"  note: {note}")
    for wanted in entry["look_ups"]:
        click.echo(f"  looks up {wanted['lookup']} {', '.join(wanted['ids'])}")
    for trace in entry["rules"]:
        click.echo(f"  {'fires ' if trace['fired'] else 'passes'} {trace['rule']}: {trace['why']}")
    for update in entry["updates"]:
        fields = {k: v for k, v in update.items() if k not in ("campaign", "notes")}
        click.echo(f"  → campaign {update['campaign']}: {json.dumps(fields, ensure_ascii=False)}")
        for note in update["notes"]:
            click.echo(f"    note: {note}")
    if entry["outcome"]:
        click.echo(f"  → {entry['outcome']}: {entry['reason']}")
