"""What an operator names on the command line: a phone number as typed, a source, a campaign."""

from __future__ import annotations

from collections.abc import Iterable

import click

from bridge.errors import MappingError
from bridge.live import load
from bridge.map import MappingSet
from bridge.map.nearest import nearest
from bridge.map.phone import typed
from bridge.settings import Settings
from bridge.store import campaigns, deliveries, mapping_versions, pauses
from bridge.store.database import Connection


def read_phones(text: str) -> tuple[str, ...]:
    """The numbers in a text as people write them, in E.164, at least one."""
    region = Settings.current()["BRIDGE_DEFAULT_REGION"]
    text = text.encode(errors="replace").decode()  # what the shell gave may be no Unicode
    numbers = typed(text, region)
    if not numbers:
        raise click.UsageError(
            f"{text[:40]} is no phone number. Write +14155550123, or as people do in {region} "
            "(BRIDGE_DEFAULT_REGION)."
        )
    return numbers


def must_know_source(connection: Connection, name: str) -> None:
    """Refuse a source that neither the database nor the mapping files know.

    While the mapping files have a mistake nobody can tell, and it passes.
    """
    if deliveries.last_by_source(connection, [name]):
        return
    if mapping_versions.listing(connection, source=name, limit=1):
        return
    files = files_if_valid()
    if files is not None and name not in files.sources:
        raise unknown("source", name, files.sources)


def must_know_campaign(connection: Connection, name: str) -> None:
    """The same for a campaign."""
    seen = {*campaigns.conditions(connection), *pauses.pauses(connection)}
    if name in seen:
        return
    files = files_if_valid()
    if files is not None and name not in files.campaigns:
        raise unknown("campaign", name, {*files.campaigns, *seen})


def unknown(kind: str, name: str, known: Iterable[str]) -> click.UsageError:
    """The refusal of a name, with the one most like it and what else there is."""
    names = sorted(known)
    close = nearest(name, names)
    meant = f" Did you mean {close}?" if close else ""
    return click.UsageError(
        f"there is no {kind} {name}.{meant} There are: {', '.join(names) or 'none'}."
    )


def files_if_valid() -> MappingSet | None:
    """The mapping files; None while they have a mistake."""
    try:
        return load(Settings.current())
    except MappingError:
        return None
