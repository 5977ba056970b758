"""``crm-bridge erase``: a person is erased, and what shows that they were is kept."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

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
from bridge.store import contacts, erasures
from bridge.store.database import Connection

MOST = 100
"""Contacts that a number is told to be remembered of."""

COLUMNS = ("id", "requested_at", "done_at", "source", "erased", "receipt")


@click.command(
    help="Erase what is kept of a person: requests, names, values, remembered numbers. An opt-out "
    "that is in force stays so, with its number. What is still on its way is erased by a worker "
    "once it has ended; the command then ends with 1, and so it does where the number is still "
    "remembered of a contact that was not named."
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
                for ref in refs:
                    _must_be_of_account(connection, source, ref)
        with database.read() as connection:
            known = contacts.recall(connection, source, refs)
        linked = [link.id for one in known.values() for link in one.links]
        number, erased, waiting = erase_now(database, erasures.Wanted(source, refs, phones))
        with database.read() as connection:
            held = [one for phone in phones for one in contacts.holding(connection, phone, MOST)]
        others = [(name, ref) for name, ref in held if name != source or ref not in refs]
    if json_:
        done = {"phones": phones, "erased": dict(erased), "waiting": waiting, "linked": linked}
        remembered = [
            {"source": name, "account": ref.account, "contact": ref.id} for name, ref in others
        ]
        as_json({"request": number, **done, "remembered": remembered})
    else:
        rows = ", ".join(f"{count} {name}" for name, count in erased.items() if count)
        person = "".join(f" of {one}" for one in phones)
        click.echo(f"Request {number}: erased {rows or 'nothing'}{person}.")
        if linked:
            them = "them" if len(linked) > 1 else "it"
            click.echo(
                f"The CRM named {', '.join(linked)} as the same person. Only the numbers were "
                f"taken from there; if it is the same person, erase {them} too."
            )
        _tell_of(others)
        if waiting:
            click.echo(f"{waiting} rows are on their way still; a worker goes on when they end.")
    sys.exit(1 if waiting or others else 0)


def _must_be_of_account(connection: Connection, source: str, ref: ContactRef) -> None:
    """Refuse a contact whose id only another account knows: nothing of it would be erased."""
    others = erasures.elsewhere(connection, source, ref, MOST)
    if others is None:
        return
    here = f"in account {ref.account}" if ref.account else "without an account"
    known = [account or '""' for account in others]
    where = f"It is known in {', '.join(known)};" if known else "Events name it in another one;"
    raise click.UsageError(
        f"{source} has no contact {ref.id} {here}. {where} name it by --account."
    )


def _tell_of(others: Sequence[tuple[str, ContactRef]]) -> None:
    if others:
        click.echo(
            "The number is still remembered of contacts. If they are this person, erase them too:"
        )
    for source, ref in others:
        account = ("--account", ref.account) if ref.account else ()
        words = ("crm-bridge", "erase", "--contact", ref.id, "--source", source, *account)
        click.echo(f"  {shlex.join(words)}")


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
