"""Which mapping a replay goes by: the current, the original of each event, or one version."""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import MappingError
from bridge.map import MappingSet, SourceMapping
from bridge.model import KeptMapping
from bridge.steps.replay_select import CURRENT, ORIGINAL
from bridge.store import mapping_versions
from bridge.store.database import Connection

Compile = Callable[[KeptMapping], SourceMapping]
"""Makes a kept mapping usable. Errors: ``MappingError``."""


class Choice:
    """Which mapping a replay goes by: the current, the original of each event, or one version.

    What was compiled is kept for as long as the same mapping set is in force.
    """

    def __init__(self, compile_kept: Compile) -> None:
        self._compile = compile_kept
        self._current: MappingSet | None = None
        self._compiled: dict[str, SourceMapping | str] = {}

    def mapping(
        self,
        connection: Connection,
        wanted: str,
        current: MappingSet,
        source: str,
        version: str,
    ) -> SourceMapping | str:
        """The mapping for an event that ``version`` made; or why there is none."""
        if wanted == CURRENT:
            in_force = current.mappings.get(source)
            return f"no mapping of {source} is in force" if in_force is None else _ready(in_force)
        chosen = version if wanted == ORIGINAL else wanted
        if not chosen:
            return "no mapping has made anything of this delivery yet"
        if self._current is not current:
            self._current, self._compiled = current, {}
        if chosen not in self._compiled:
            self._compiled[chosen] = self._load(connection, chosen)
        found = self._compiled[chosen]
        if not isinstance(found, str) and found.source.name != source:
            return f"the mapping version {chosen} is one of {found.source.name}"
        return found

    def _load(self, connection: Connection, version: str) -> SourceMapping | str:
        kept = mapping_versions.find(connection, version)
        if kept is None:
            return f"the mapping version {version} was not kept"
        try:
            return _ready(self._compile(kept))
        except MappingError as error:
            return f"the mapping version {version} cannot be used any more: {error.mistakes[0]}"


def _ready(mapping: SourceMapping) -> SourceMapping | str:
    """The mapping, unless it would take something else for a setting that has no value."""
    source = mapping.source
    if source.configured:
        return mapping
    return f"the mapping of {source.name} is not configured: set {', '.join(source.missing)}"
