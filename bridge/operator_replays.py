"""Replays as the console and the API make them: the same plan and run as on the command line.

A request may not take long, so planning and selecting have a time; what selecting has found by
then is kept, and goes on when it is asked again. Between two pages webhooks get their turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from bridge.errors import ReplayError
from bridge.live import LiveMappings
from bridge.model import State
from bridge.settings import Settings
from bridge.steps import replay_control as control
from bridge.steps.equipment import Bounds
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_plan import Planner, Wish
from bridge.steps.replay_select import Selection, with_mapping
from bridge.store import replays
from bridge.store.database import Database
from bridge.store.replays import ReplayState

EXAMPLES = 20
"""Differences that a plan shows."""


class _OutOfTime(Exception):  # noqa: N818 - private signal
    pass


class OperatorReplays:
    """``seconds``: how long one request may plan or select. Selections as in the command."""

    def __init__(
        self, settings: Settings, live: LiveMappings, database: Database, seconds: float
    ) -> None:
        self._settings = settings
        self._live = live
        self._database = database
        self._seconds = seconds

    def plan(self, selection: Mapping[str, Any], mapping: str) -> dict[str, Any]:
        """What a replay would do. Errors: ``ReplayError``; ``TimeoutError``: it is too much."""
        wanted = self._selection(selection)
        with self._database.read() as connection:
            wanted = with_mapping(connection, wanted, mapping)
        planner = Planner(
            self._database,
            self._live.current(),
            Choice(self._live.compile),
            Bounds.of(self._settings),
            EXAMPLES,
        )
        try:
            made = planner.plan(wanted, Wish(mapping), self._clock())
        except _OutOfTime:
            raise TimeoutError("planning took too long") from None
        return made.as_json()

    def run(self, selection: Mapping[str, Any], mapping: str, actor: str) -> int:
        """Make a replay, with a line of who did it, and begin to select; its id.

        Errors: ``ReplayError``.
        """
        wanted, rate = self._selection(selection), self._settings["BRIDGE_REPLAY_RATE"]
        number = control.create(self._database, wanted, Wish(mapping), rate, actor=actor)
        self._prepare(number)
        return number

    def report(self, number: int) -> dict[str, Any] | None:
        """What has come of a replay; None if there is none."""
        with self._database.read() as connection:
            found = replays.find(connection, number)
            return None if found is None else control.report(connection, found).as_json()

    def listing(self, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The newest replays."""
        with self._database.read() as connection:
            found = replays.listing(connection, before=before, limit=limit)
            return [report.as_json() for report in control.reports(connection, found)]

    def cancel(self, number: int, actor: str) -> None:
        """Stop a replay where it is. Errors: ``ReplayError``."""
        control.cancel(self._database, number)
        self._note("replay.cancel", number, actor)

    def go_on(self, number: int, actor: str) -> None:
        """Go on with a replay that was cancelled, or is still being selected.

        Errors: ``ReplayError``.
        """
        if control.resume(self._database, number) is ReplayState.PREPARING:
            self._prepare(number)
        self._note("replay.resume", number, actor)

    def _note(self, action: str, number: int, actor: str) -> None:
        with self._database.write() as connection:
            control.note(connection, action, number, actor, {})

    def _prepare(self, number: int) -> None:
        try:
            control.prepare(self._database, number, self._clock())
        except _OutOfTime:
            return  # what was found is kept; whoever looks at the replay can go on

    def _clock(self) -> Callable[[float, int], None]:
        until = time.monotonic() + self._seconds

        def tell(_share: float, _count: int) -> None:
            time.sleep(0)  # others get their turn
            if time.monotonic() > until:
                raise _OutOfTime

        return tell

    @staticmethod
    def _selection(given: Mapping[str, Any]) -> Selection:
        states = tuple(State(state) for state in given.get("states", ()))
        wanted = Selection(**{**given, "states": states})
        if wanted == Selection():
            raise ReplayError("say what to replay: states, source, campaign, receipt or a time.")
        return wanted
