"""``crm-bridge mapping try``: what would become of a payload, step by step, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from bridge.clock import iso
from bridge.commands.as_json import as_json
from bridge.commands.mapping_payload import (
    Given,
    Records,
    as_stored,
    database_if_there,
    delivery_of,
    given_records,
    mapping_of,
    must_be_look_ups,
)
from bridge.map import SourceMapping
from bridge.map.explain import Finding
from bridge.map.trace import FieldTrace, RuleSteps
from bridge.model import State
from bridge.settings import Settings
from bridge.steps.preview import Fate, Limits, Preview, preview, readable

WIDEST = 100
"""Characters of a value that are shown."""


@click.command("try")
@click.argument("source")
@click.argument("payload")
@click.option("--ask", "--look-up", is_flag=True, help="Really ask the CRM for the look-ups.")
@click.option(
    "--lookup",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON or YAML file in place of look-ups: look-up, id, record.",
)
@click.option("--found", help='The same as JSON: {"contact": {"123": {"phone": "…"}}}.')
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def command(
    source: str, payload: str, ask: bool, lookup: Path | None, found: str | None, json_: bool
) -> None:
    """Show what would become of PAYLOAD: a file, - for standard input, or the receipt of a stored
    delivery. Nothing is written or sent; where the database is there, what it remembers of the
    contacts and leads counts. Without --ask, --lookup or --found look-ups find nothing.
    """
    settings = Settings.current()
    given = given_records(found, lookup)
    mapping = mapping_of(settings, source)
    must_be_look_ups(mapping, given)
    limits = Limits(settings["BRIDGE_MAX_EVENTS"], settings["BRIDGE_MAX_DEPTH"])
    records = Records(mapping, given, ask=ask)
    with database_if_there(settings) as connection:
        delivery = as_stored(mapping, delivery_of(source, payload, connection), settings)
        remembers = connection is not None
        events = [] if ask else preview(mapping, delivery, limits, records, connection)
    if ask:
        # no transaction is open while a CRM is asked, which may take long
        answers = iter([records(one) for one in readable(mapping, delivery, limits)])
        with database_if_there(settings) as connection:
            events = preview(mapping, delivery, limits, lambda _: next(answers), connection)
    if json_:
        as_json([event.as_json() for event in events])
        return
    if not remembers:
        click.echo("no database: nothing is remembered, no ledger supersedes anything", err=True)
    for line in _beforehand(mapping, given, events):
        click.echo(line, err=True)
    if not events:
        click.echo("the delivery holds no event; it ends as skipped")
    for number, event in enumerate(events, 1):
        for line in _lines(number, event, None if ask else given):
            click.echo(line)


def _beforehand(mapping: SourceMapping, given: Given, events: Iterable[Preview]) -> Iterator[str]:
    """What was left unset, or given and not asked for, and so decides what is shown."""
    for name, campaign in sorted(mapping.directory.campaigns.items()):
        if not campaign.configured:
            yield (
                f"campaign {name} is not configured (set {', '.join(campaign.missing)}): "
                "opt-outs wait for it, nothing else is made for it"
            )
    asked: dict[str, set[str]] = {name: set() for name in given}
    for event in events:
        for look_up in event.trace.look_ups:
            asked.setdefault(look_up.lookup, set()).update(look_up.ids)
    for name, rows in given.items():
        if unasked := sorted(set(rows) - asked[name]):
            yield (
                f"no event asks the look-up {name} for {', '.join(unasked)}; "
                f"asked for: {', '.join(sorted(asked[name])) or 'nothing'}"
            )


def _lines(number: int, one: Preview, given: Given | None) -> Iterator[str]:
    """``given``: what stands in for look-ups; None where the CRM was asked."""
    yield from _event(number, one, given)
    for rule in one.trace.rules:
        yield from _rule(rule)
    if one.copy_of is not None:
        yield f"  → duplicate: the same as stored event {one.copy_of}; nothing is sent"
    for fate in one.fates:
        yield from _fate(fate)
    if one.trace.mapped.erase:
        yield "  → what is kept of the person would be erased"
    if mapped := one.trace.mapped.state:
        yield f"  → {mapped.value}: {one.trace.mapped.reason}"
        if given is not None and any(look_up.missing for look_up in one.trace.look_ups):
            yield "      the CRM was not asked, and what it says may change this"


def _event(number: int, one: Preview, given: Given | None) -> Iterator[str]:
    event = one.trace.event
    weak = " (time of receipt: the event carries none of its own)" if event.weak_time else ""
    yield click.style(f"event {number}, {iso(event.time_ms)}{weak}", bold=True)
    for note in event.notes:
        yield f"  note: {note}"
    for name, value in one.trace.names.items():
        yield f"  {name} = {_text(value)}"
    for look_up in one.trace.look_ups:
        account = f" of account {look_up.account}" if look_up.account else ""
        yield f"  look-up {look_up.lookup}{account}: ids {', '.join(look_up.ids)}"
        for record in look_up.records:
            yield f"    found {_text(record)}"
        if not look_up.missing:
            continue
        if given is None:
            yield f"    not known there: {', '.join(look_up.missing)}"
        elif look_up.lookup in given:
            yield f"    not in what was given: {', '.join(look_up.missing)}"
        else:
            yield "    not asked; --ask asks the CRM, --found or --lookup stands in for it"
    if event.contacts:
        phones = ", ".join(one.trace.known.phones) or "no number"
        opted_out = ", opted out" if one.trace.known.opted_out else ""
        yield f"  remembered of its contacts: {phones}{opted_out}"


def _rule(rule: RuleSteps) -> Iterator[str]:
    if not rule.fired:
        yield click.style(f"  – {rule.rule}: {rule.why}", dim=True)
        for finding in rule.conditions:
            if finding.holds is False:
                yield click.style(f"      {_finding(finding)}", dim=True)
        return
    yield click.style(f"  ✓ {rule.rule}: ", fg="green") + rule.why
    for finding in rule.conditions:
        if finding.holds is not None:
            yield f"      {_finding(finding)}"
    for field in rule.fields:
        yield f"      {_field(field)}"


def _finding(finding: Finding) -> str:
    values = [f"{path} is {_text(value)}" for path, value in finding.values.items()]
    met = f"   ({', '.join(values)})" if values else ""
    return f"{'holds' if finding.holds else 'fails'}: {finding.text}{met}"


def _field(field: FieldTrace) -> str:
    steps = []
    for step in field.steps:
        if step.what.startswith("phone numbers"):
            steps.append(f"E.164 {_text(list(step.value))}")
        elif step.value is None and not step.problem and field.field == "phone_number":
            steps.append(f"{step.what} gives nothing")
        else:
            problem = f" – {step.problem}" if step.problem else ""
            steps.append(f"{step.what} {_text(step.value)}{problem}")
    problem = f"   cannot be used: {field.problem}" if field.problem and not field.result else ""
    return f"{field.field}: {' → '.join(steps)}{problem}"


def _fate(fate: Fate) -> Iterator[str]:
    where = f"campaign {fate.update.campaign}"
    if fate.state is State.WAITING:
        yield click.style(f"  → {where}: would send {json.dumps(fate.payload, ensure_ascii=False)}")
        if fate.message:
            yield f"      {fate.message}"
    else:
        yield f"  → {where}, {fate.update.phone}: {fate.state.value}: {fate.message}"
    for note in fate.update.notes:
        yield f"      note: {note}"


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
