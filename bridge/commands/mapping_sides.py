"""What ``mapping diff`` and ``mapping shadow`` share: the two versions, and telling the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bridge import logs
from bridge.commands.as_json import as_json
from bridge.errors import StoreError
from bridge.map import MappingSet, SourceMapping, load_kept, load_mappings, load_text
from bridge.map.shadow import Shadow
from bridge.settings import Settings
from bridge.store import deliveries, mapping_versions, revision
from bridge.store.database import Database

WORKING = "working file"

from_option = click.option(
    "--from",
    "before",
    metavar="REF",
    help="A file or a kept version; left out: the version that was in force last.",
)
to_option = click.option(
    "--to", "after", metavar="REF", help="A file or a kept version; left out: the working file."
)
examples_option = click.option(
    "--examples",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Differences to show.",
)


class Sides:
    """Loads the two versions. ``names``: how they are called."""

    def __init__(self, settings: Settings, source: str, *, placeholders: bool) -> None:
        logs.configure_by(settings, level="error")
        self.names = ("", "")
        self._settings = settings
        self._source = source
        self._placeholders = placeholders
        self._set: MappingSet | None = None

    def load(self, before: str | None, after: str | None) -> tuple[SourceMapping, SourceMapping]:
        """Both sides. Errors: ``MappingError``, ``click.UsageError``."""
        old = self._last_in_force() if before is None else self._one(before)
        new = self._working() if after is None else self._one(after)
        self.names = (before or f"version {old.version}", after or WORKING)
        for name, side in zip(self.names, (old, new), strict=True):
            if side.source.missing:
                lacking = ", ".join(side.source.missing)
                click.echo(f"{name}: no value is set for {lacking}; test-… stands in", err=True)
        return old, new

    def _working(self) -> SourceMapping:
        found = self._all().mappings.get(self._source)
        if found is None:
            there = ", ".join(sorted(self._all().mappings))
            raise click.UsageError(f"there is no source {self._source}; there are {there}")
        return found

    def _all(self) -> MappingSet:
        settings = self._settings
        if self._set is None:
            self._set = load_mappings(
                Path(settings["BRIDGE_MAPPINGS"]),
                settings.environment,
                api_url=settings["BRIDGE_API_URL"],
                api_token=settings.environment.secret("BRIDGE_API_TOKEN"),
                default_region=settings["BRIDGE_DEFAULT_REGION"],
                placeholders=self._placeholders,
            )
        return self._set

    def _one(self, ref: str) -> SourceMapping:
        path = Path(ref)
        if path.is_file():
            return load_text(
                path.read_bytes(),
                self._source,
                self._working().directory,
                self._settings.environment,
                region=self._settings["BRIDGE_DEFAULT_REGION"],
                named=ref,
                placeholders=self._placeholders,
            )
        return self._kept(ref)

    def _kept(self, version: str | None) -> SourceMapping:
        database = Database(self._settings["DATABASE_URL"])
        try:
            revision.check(database)
            with database.read() as connection:
                if version is None:
                    version = deliveries.last_version(connection, self._source)
                if version is not None:
                    kept = mapping_versions.find(connection, version)
                else:
                    kept = mapping_versions.newest(connection, self._source)
        except StoreError as error:
            raise click.UsageError(f"kept versions are in the database, and {error}") from None
        finally:
            database.close()
        if kept is None or kept.source != self._source:
            what = "was in force yet" if version is None else f"{version} is kept, nor such a file"
            raise click.UsageError(
                f"no version of {self._source} {what}; “crm-bridge replay versions” lists them."
            )
        return load_kept(kept, self._settings.environment)

    def _last_in_force(self) -> SourceMapping:
        return self._kept(None)


_REASONS = 5


def tell_of(found: Shadow, names: tuple[str, str], json_: bool) -> int:
    """Prints the comparison, and gives the exit status.

    That is 1 where anything differs, or could not be compared although that was asked for.
    """
    status = 1 if found.differs or found.failed else 0
    if json_:
        as_json({"from": names[0], "to": names[1], **found.as_json()})
        return status
    click.echo(f"{names[0]} → {names[1]}: {found.events} events, ", nl=False)
    click.echo(f"{found.difference.different} would end differently")
    for title, counted in (
        ("events", found.states),
        ("leads", found.difference.leads),
        ("fields", found.difference.fields),
    ):
        if counted:
            told = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
            click.echo(f"  {title}: {told}")
    if found.keys or found.times:
        click.echo(f"  another identity: {found.keys}, another time: {found.times}")
    for reason, count in found.failed.most_common(_REASONS):
        click.echo(f"  not looked up: {count} events: {reason}")
    if found.look_ups:
        how = "" if found.failed else " (--look-up)"
        click.echo(f"  not compared, since they need a look-up{how}: {found.look_ups}")
    for example in found.difference.examples:
        _example(example)
    return status


def _example(example: dict[str, Any]) -> None:
    where = example.get("receipt") or f"case “{example.get('case')}”"
    click.echo(
        f"{where} event {example['event']}: {example['before']} → {example['after']} "
        f"{' → '.join(filter(None, dict.fromkeys(example['reasons'])))}".rstrip()
    )
    for lead in example["leads"]:
        click.echo(f"  {lead['phone_number']} in {lead['campaign']}: {lead['change']}")
        for one in lead["fields"]:
            sides = [repr(one[side]) if side in one else "–" for side in ("before", "after")]
            click.echo(f"    {one['field']}: {sides[0]} → {sides[1]}")
