"""``crm-bridge erase``: a person is erased, and what shows that they were is kept."""

from __future__ import annotations

import re
import sys

import click

from bridge.commands.as_json import as_json
from bridge.commands.known import must_know_source, read_phones
from bridge.commands.listings import (
    before_option,
    json_option,
    limit_option,
    opened,
    with_times,
)
from bridge.commands.output import table
from bridge.model import ContactRef
from bridge.steps.erase import erase_now
from bridge.store import erasures

COLUMNS = ("id", "requested_at", "done_at", "source", "erased", "receipt")


@click.command(
    help="Erase what is kept of a person: requests, names, values, remembered numbers. An opt-out "
    "that is in force stays so, with its number. What is still on its way is erased by a worker "
    "once it has ended; the command then ends with 1."
)
@click.option("--phone", help="The phone number, as people write it; one at a time.")
@click.option("--contact", help="The id of the contact in its CRM; needs --source.")
@click.option("--source", default="", help="The source that the contact is of.")
@click.option("--account", default="", help="The account of the CRM, where there are several.")
@click.option("--list", "list_", is_flag=True, help="List the requests so far, and erase nobody.")
@before_option
@limit_option
@json_option
def command(
    phone: str | None,
    contact: str | None,
    source: str,
    account: str,
    list_: bool,
    before: int | None,
    limit: int,
    json_: bool,
) -> None:
    if list_:
        _list(before, limit, json_)
        return
    if phone is None and contact is None:
        raise click.UsageError("Name the person: --phone, or --contact with --source.")
    if contact is not None and not source:
        raise click.UsageError("A contact's id needs --source: the name of its mapping file.")
    source = _unicode(source)
    refs = () if contact is None else (ContactRef(_unicode(account), _unicode(contact)),)
    phones = () if phone is None else _one(phone)
    with opened() as database:
        if source:
            with database.read() as connection:
                must_know_source(connection, source)
        number, erased, waiting = erase_now(database, erasures.Wanted(source, refs, phones))
    if json_:
        told = {"request": number, "phones": phones, "erased": dict(erased), "waiting": waiting}
        as_json(told)
    else:
        rows = ", ".join(f"{count} {name}" for name, count in erased.items() if count)
        person = "".join(f" of {one}" for one in phones)
        click.echo(f"Request {number}: erased {rows or 'nothing'}{person}.")
        if waiting:
            click.echo(f"{waiting} rows are on their way still; a worker goes on when they end.")
    sys.exit(1 if waiting else 0)


def _one(phone: str) -> tuple[str, ...]:
    """The number in E.164. What is written so is taken as it is: it may be stored, valid or not."""
    if re.fullmatch(r"\+[0-9]+", phone):
        return (phone,)
    numbers = read_phones(phone)
    if len(numbers) > 1:
        raise click.UsageError("Nothing brings a person back: name one phone number at a time.")
    return numbers


def _unicode(text: str) -> str:
    """What the shell gave may be none."""
    return text.encode(errors="replace").decode()


def _list(before: int | None, limit: int, json_: bool) -> None:
    with opened() as database, database.read() as connection:
        rows = erasures.listing(connection, before=before, limit=limit)
    shown = [with_times(row, "requested_at", "done_at") for row in rows]
    if json_:
        as_json(shown)
    elif shown:
        table(COLUMNS, shown, head=("requested_at", "source", "receipt"))
    else:
        click.echo("nobody was erased")
