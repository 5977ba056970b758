"""What ``mapping try`` and ``mapping case`` share: a payload, its look-ups, the database."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.clock import now_ms
from bridge.errors import DecodeError, LookupFailed, StoreError
from bridge.live import load
from bridge.map import SourceMapping
from bridge.map.document import read_document
from bridge.map.nearest import advice
from bridge.map.search import search
from bridge.model import Delivery, Event, Found
from bridge.receive.decode import decode, redacted
from bridge.receive.verify import body_credentials
from bridge.settings import Settings

if TYPE_CHECKING:
    from bridge.store.database import Connection

Given = Mapping[str, Mapping[str, Any]]
"""What stands in for the look-ups: look-up → id → record."""


def mapping_of(settings: Settings, source: str) -> SourceMapping:
    """The mapping of a source; the files of others are not read.

    Errors: ``MappingError``, ``ClickException``.
    """
    found = load(settings, only=source).mappings
    if source not in found:
        raise click.ClickException(f"there is no source {source}. {advice(source, found)}")
    return found[source]


@contextmanager
def database_if_there(settings: Settings) -> Iterator[Connection | None]:
    """A connection for reading; None where there is no database of this version."""
    if _no_file(settings["DATABASE_URL"]):
        yield None
        return
    # slow to load, and whoever writes a mapping file need not have a database
    from bridge.store import revision  # noqa: PLC0415
    from bridge.store.database import Database  # noqa: PLC0415

    try:
        database = Database(settings["DATABASE_URL"])
    except StoreError:
        yield None
        return
    try:
        if database.path is not None and not database.path.exists():
            yield None
            return
        try:
            revision.check(database)
        except StoreError:
            yield None
            return
        with database.read() as connection:
            yield connection
    finally:
        database.close()


def stored(connection: Connection | None, receipt: str) -> Delivery | None:
    """The stored delivery of a receipt, if there is one."""
    if connection is None:
        return None
    from bridge.store import deliveries  # noqa: PLC0415 - slow to load, and seldom needed

    return deliveries.by_receipt(connection, receipt)


def _no_file(url: str) -> bool:
    """Whether this is clearly the URL of an SQLite file that is not there."""
    name = url.removeprefix("sqlite:///")
    return name != url and "?" not in name and not Path(name).exists()


def delivery_of(source: str, payload: str, connection: Connection | None) -> Delivery:
    """The delivery that a payload stands for: a file, ``-`` for standard input, or a receipt.

    Errors: ``ClickException`` where it is none of them.
    """
    path = Path(payload)
    if payload != "-" and not path.is_file():
        found = stored(connection, payload)
        if found is None:
            where = "" if connection is not None else " (there is no database to look in)"
            raise click.ClickException(
                f"{payload} is no file, and no stored delivery has that receipt{where}"
            )
        if found.damaged is not None:
            raise click.ClickException(f"delivery {payload}: {found.damaged}")
        return found
    try:
        body = sys.stdin.buffer.read() if payload == "-" else path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{payload} cannot be read ({type(error).__name__})") from None
    return Delivery(0, "try", source, now_ms(), "POST", {}, {}, body, "try")


def as_stored(mapping: SourceMapping, delivery: Delivery, settings: Settings) -> Delivery:
    """A delivery as it would be stored: without what its source drops, and without credentials."""
    source = mapping.source
    try:
        document = decode(source.decode, delivery.body, max_depth=settings["BRIDGE_MAX_DEPTH"])
    except DecodeError:
        return delivery
    places = (*source.drop.body, *body_credentials(source.verify))
    body = redacted(source.decode.decoder, delivery.body, document, places)
    return replace(delivery, body=body)


def given_records(text: str | None, file: Path | None) -> Given:
    """The records of ``--found`` or ``--lookup``. Errors: ``BadParameter``."""
    shape = '{"<look-up>": {"<id>": {…record…}}}'
    if file is not None:
        document = read_document(file)
        if document.mistakes:
            raise click.BadParameter(str(document.mistakes[0]), param_hint="--lookup")
        given, hint = document.data, "--lookup"
    else:
        hint = "--found"
        try:
            given = json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            raise click.BadParameter(f"this is not JSON: {error}", param_hint=hint) from None
    if not isinstance(given, dict) or not all(isinstance(rows, dict) for rows in given.values()):
        raise click.BadParameter(f"write {shape}", param_hint=hint)
    return given


def must_be_look_ups(mapping: SourceMapping, given: Given) -> None:
    """Refuse records of a look-up that the mapping does not have. Errors: ``UsageError``."""
    for name in given:
        if name not in mapping.lookups:
            raise click.UsageError(
                f"{mapping.source.name} has no look-up {name}. {advice(name, mapping.lookups)}"
            )


class Records:
    """Brings the records of an event: from what is given, or by asking the CRM."""

    def __init__(self, mapping: SourceMapping, given: Given, *, ask: bool) -> None:
        self._mapping, self._given, self._ask = mapping, given, ask

    def __call__(self, event: Event) -> dict[str, Found]:
        """By look-up name. Errors: ``ClickException`` when the CRM does not answer."""
        wanted = self._mapping.wants(event)
        if not self._ask:
            return {
                w.lookup: Found(
                    tuple(rows[one] for one in w.ids if one in rows),
                    tuple(one for one in w.ids if one not in rows),
                )
                for w in wanted
                for rows in (self._given.get(w.lookup, {}),)
            }
        from bridge.enrich import Lookups  # noqa: PLC0415 - slow to load, and seldom needed

        lookups = Lookups(self._mapping.lookups, search)
        try:
            answers = lookups.resolve(wanted, time.monotonic)
        finally:
            lookups.close()
        for answer in answers:
            if isinstance(answer, LookupFailed):
                raise click.ClickException(f"the look-up failed: {answer}")
        return {w.lookup: a for w, a in zip(wanted, answers, strict=True) if isinstance(a, Found)}
