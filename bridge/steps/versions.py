"""The mappings in force, each kept before it makes its first outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bridge import logs
from bridge.clock import now_ms
from bridge.map import MappingSet
from bridge.model import KeptMapping
from bridge.store import mapping_versions
from bridge.store.database import Database


class KeptMappings:
    """Gives the mapping set in force; a set that is new is kept in the database before.

    Errors of the call: ``StoreBusy``, and then nothing works by that set yet.
    """

    def __init__(self, database: Database, current: Callable[[], MappingSet]) -> None:
        self._database = database
        self._current = current
        self._kept: MappingSet | None = None

    def __call__(self) -> MappingSet:
        """The set in force."""
        current = self._current()
        if current is not self._kept:
            keep(self._database, [mapping.kept for mapping in current.mappings.values()])
            self._kept = current
        return current


def keep(database: Database, mappings: Iterable[KeptMapping]) -> None:
    """Keep those of these mappings that are new, without any secret in them."""
    by_version = {kept.version: kept for kept in mappings}
    with database.read() as connection:
        new = mapping_versions.unknown(connection, by_version)
    if not new:
        return
    # a mapping file names its secrets; somebody may have written one into a comment all the same
    clean = [
        replace(by_version[version], text=logs.without_secrets(by_version[version].text))
        for version in sorted(new)
    ]
    with database.write() as connection:
        mapping_versions.keep(connection, clean, now_ms())
