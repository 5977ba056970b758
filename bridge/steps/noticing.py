"""A worker notes what it alone knows is not well: its clock, and its copy of the mapping files."""

from __future__ import annotations

from collections.abc import Callable

from bridge.operate.concern import SUBJECT_LENGTH, Kind, clean
from bridge.store import notices, workers
from bridge.store.database import Connection
from bridge.store.notices import Notice
from bridge.store.shared_clock import SharedClock

NOTICED_MS = 15_000
"""How long counts what a worker has noticed, unless it notices it again."""


class Noticing:
    """What one worker has noticed. ``mapping_problem``: why the last edit was not taken in."""

    def __init__(
        self, owner: str, clock: SharedClock, mapping_problem: Callable[[], str | None]
    ) -> None:
        self._owner = owner
        self._clock = clock
        self._mapping_problem = mapping_problem
        self._since: dict[Kind, int] = {}

    def note(self, connection: Connection, now: int) -> None:
        """Note what is not well now, and nothing else."""
        found = self._found()
        if not found and not self._since:
            return
        host = workers.this_host()
        self._since = {kind: self._since.get(kind, now) for kind in found}
        rows = [
            Notice(
                process=self._owner,
                kind=kind.value,
                subject=host[:SUBJECT_LENGTH],
                text=f"{host}: {text}",
                size=1,
                since=self._since[kind],
                until=now + NOTICED_MS,
            )
            for kind, text in found.items()
        ]
        notices.note(connection, self._owner, rows)
        notices.forget(connection, now)

    def _found(self) -> dict[Kind, str]:
        found = {}
        if self._clock.wrong:
            seconds = abs(self._clock.ahead_ms) // 1000
            where = "behind" if self._clock.ahead_ms > 0 else "ahead of"
            found[Kind.CLOCK_WRONG] = f"its clock is {seconds} s {where} the database's"
        problem = self._mapping_problem()
        if problem is not None:
            first = clean(problem.partition("\n")[0])
            found[Kind.MAPPING_INVALID] = f"its mapping files are not valid: {first}"
        return found
