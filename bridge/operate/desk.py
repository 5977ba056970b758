"""What the console and the API are given: the database, the health, and what the other stages know.

Stages are strangers to each other, so whatever belongs to receiving or mapping comes in as a
function. Every value that these give is made of JSON types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.model import Campaign, Source
from bridge.operate.health import Health
from bridge.store.database import Database


class Trials(Protocol):
    """What mapping files would make of a body; nothing is stored, sent or looked up.

    Errors of all: ``TimeoutError`` when it takes too long.
    """

    def shelf(self) -> list[dict[str, Any]]:
        """Every mapping file: name, title, state, rules, cases, and which rules cases reach."""
        ...

    def text(self, source: str) -> str | None:
        """A mapping file as it stands on disk; None if there is none."""
        ...

    def draft(
        self, source: str, text: str, body: bytes, records: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """What a mapping, given as text, would make of a body: mistakes, or its events.

        ``records``: what stands in for look-ups, look-up → id → record.
        """
        ...

    def trace(self, receipt: str) -> dict[str, Any] | None:
        """What the mapping in force makes of a stored delivery; None if there is none."""
        ...


class Replays(Protocol):
    """Replays: what would come of one, and making, watching and stopping it.

    A selection has ``since``, ``until`` (ms), ``source``, ``campaign``, ``states``, ``error``,
    ``version`` and ``receipt``, each of which may be left out; a mapping is ``current``,
    ``original`` or a version. Errors of all: ``ReplayError`` in words for a person.
    """

    def plan(self, selection: Mapping[str, Any], mapping: str) -> dict[str, Any]:
        """What a replay would do; nothing is done. Errors: ``TimeoutError``: it is too much."""
        ...

    def run(self, selection: Mapping[str, Any], mapping: str, actor: str) -> int:
        """Make a replay; its id."""
        ...

    def report(self, number: int) -> dict[str, Any] | None:
        """What has come of a replay; None if there is none."""
        ...

    def listing(self, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The newest replays."""
        ...

    def cancel(self, number: int, actor: str) -> None:
        """Stop a replay where it is."""
        ...

    def go_on(self, number: int, actor: str) -> None:
        """Go on with a replay that was cancelled, or whose selection has not ended."""
        ...


@dataclass(frozen=True)
class Desk:
    """``read_phone``: a phone number as people write it → E.164, none if it is none.

    ``address_of``: the sender of a request, from its WSGI environment. ``tokens``: those that are
    accepted, the newest first. ``session_s``: how long a session lasts.
    ``evidence_key`` seals exports; ``export_most``: deliveries of a period that one may have;
    ``export_settle_ms``: how old they have to be.
    """

    database: Database
    health: Health
    sources: Callable[[], dict[str, Source]]
    campaigns: Callable[[], dict[str, Campaign]]
    mapping_problem: Callable[[], str | None]
    trials: Trials
    replays: Replays
    read_phone: Callable[[str], tuple[str, ...]]
    address_of: Callable[[dict[str, Any]], str]
    tokens: tuple[str, ...]
    https: bool
    session_s: float
    evidence_key: str | None = field(repr=False)
    export_most: int
    export_settle_ms: int
