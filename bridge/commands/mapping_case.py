"""``crm-bridge mapping case``: a new case from a stored delivery, personal data replaced."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bridge.commands.mapping_files import decoder, folder_of, read_with_placeholders
from bridge.commands.mapping_payload import (
    Given,
    Records,
    as_stored,
    database_if_there,
    delivery_of,
    given_records,
)
from bridge.errors import DecodeError
from bridge.map import SourceMapping
from bridge.map.case_maker import make_case
from bridge.map.load import CASES
from bridge.map.nearest import advice
from bridge.map.schema import first_line
from bridge.model import Delivery, Known
from bridge.settings import Settings
from bridge.steps.memory import Memory
from bridge.store.database import Connection


@click.command("case")
@click.argument("payload", metavar="RECEIPT")
@click.option("--source", help="Take RECEIPT as a file with a payload of this source.")
@click.option("--name", default="", help="What the case shows.")
@click.option("--ask", is_flag=True, help="Really ask the CRM for the look-ups.")
@click.option(
    "--lookup",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON or YAML file in place of look-ups: look-up, id, record.",
)
@click.option("--write", is_flag=True, help="Put it behind the other cases of the source.")
def command(
    payload: str, source: str | None, name: str, ask: bool, lookup: Path | None, write: bool
) -> None:
    """Print a case made of the stored delivery RECEIPT. Phone numbers become numbers that are
    reserved for fiction, e-mail addresses end in example.com, names become others, each the same
    way everywhere; ids stay. What the mapping makes of it now is what the case expects: read it
    before you keep it.
    """
    settings = Settings.current()
    given = given_records(None, lookup)
    folder = read_with_placeholders(settings)
    with database_if_there(settings) as connection:
        delivery = delivery_of(source or "", payload, connection)
        source = source or delivery.source
        if source not in folder.mappings.mappings:
            known_ones = advice(source, folder.mappings.mappings)
            raise click.ClickException(
                f"there is no source {source}. {known_ones}"
                if source
                else "name the source of the file by --source"
            )
        mapping = folder.mappings.mappings[source]
        delivery = as_stored(mapping, delivery, settings)
        try:
            known, found = _around(mapping, delivery, settings, given, connection, ask=ask)
            case = make_case(
                name or f"like delivery {delivery.receipt}",
                mapping,
                folder.documents[f"{source}.yaml"],
                delivery,
                given=found,
                known=known,
                settings=settings.environment,
                decode=decoder(settings),
            )
        except DecodeError as error:
            raise click.ClickException(f"the body cannot be read: {error}") from None
    for told in case.differs:
        click.echo(f"the replaced data goes another way: {told}", err=True)
    if not write:
        click.echo(case.text(), nl=False)
        return
    path = folder_of(settings) / f"{source}{CASES}"
    new = not path.exists() or not path.read_bytes().strip()
    with path.open("a", encoding="utf-8") as file:
        file.write((first_line(path) + "\n" if new else "\n") + case.text())
    click.echo(f"{path}: read what it expects, then run crm-bridge mapping test {source}")
    sys.exit(0)


def _around(
    mapping: SourceMapping,
    delivery: Delivery,
    settings: Settings,
    given: Given,
    connection: Connection | None,
    *,
    ask: bool,
) -> tuple[Known, Given]:
    """What is remembered of a delivery's contacts, and the records of its look-ups by id."""
    document = decoder(settings)(mapping.source.decode, delivery.body)
    events = mapping.split(document, delivery)
    name = mapping.source.name
    memory = Memory({})
    if connection is not None:
        memory = Memory.recall(connection, ((name, event) for event in events))
    phones: dict[str, None] = {}
    opted_out = False
    found: dict[str, dict[str, object]] = {key: dict(rows) for key, rows in given.items()}
    records = Records(mapping, given, ask=ask)
    for event in events:
        known = memory.of(name, event)
        phones.update(dict.fromkeys(known.phones))
        opted_out = opted_out or known.opted_out
        if not ask:
            continue
        brought = records(event)
        for wanted in mapping.wants(event):
            here = brought[wanted.lookup]
            there = [one for one in wanted.ids if one not in here.missing]
            found.setdefault(wanted.lookup, {}).update(zip(there, here.records, strict=True))
    return Known(tuple(phones), opted_out), found
