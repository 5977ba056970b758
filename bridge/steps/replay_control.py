"""Make, watch, cancel and resume replays: what the command line and the console do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bridge.clock import iso
from bridge.errors import ReplayError
from bridge.model import State
from bridge.steps.replay_plan import Wish, share
from bridge.steps.replay_select import Scan, Selection, begin, page, with_mapping
from bridge.store import history, operator_actions, replays
from bridge.store.database import Connection, Database, clock_ms
from bridge.store.replays import Replay, ReplayState

OPEN = (State.WAITING, State.IN_FLIGHT)


@dataclass(frozen=True, slots=True)
class Report:
    """A replay and what has come of it. ``states``: its outcomes by state."""

    replay: Replay
    states: dict[State, int]

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it by itself; opt-outs may stand."""
        under_way = any(self.states.get(state) for state in OPEN)
        return self.replay.state in (ReplayState.DONE, ReplayState.CANCELLED) and not under_way

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1: deliveries mapped once more, and outcomes decided."""
        made = sum(self.states.values())
        decided = made - sum(self.states.get(state, 0) for state in OPEN)
        if self.replay.state is ReplayState.PREPARING:
            return 0.0
        mapped = (
            self.replay.deliveries_done / self.replay.deliveries if self.replay.deliveries else 1
        )
        return mapped * (decided / made if made else 1.0)

    @property
    def failed(self) -> int:
        """How many of its outcomes ended without an update, and may need a second look."""
        bad = (State.DEAD, State.REJECTED, State.UNCONFIRMED)
        return sum(self.states.get(state, 0) for state in bad)

    def as_json(self) -> dict[str, Any]:
        """The report as an object; times in UTC."""
        replay = self.replay
        return {
            "id": replay.id,
            "state": replay.state.value,
            "created_at": iso(replay.created_at),
            "ended_at": iso(replay.ended_at),
            "selection": dict(replay.selection),
            "mapping": replay.mapping,
            "marks": replay.marks,
            "rate": replay.rate,
            "deliveries": replay.deliveries,
            "deliveries_done": replay.deliveries_done,
            "outcomes": {state.value: count for state, count in self.states.items()},
            "share": round(self.share, 4),
            "settled": self.settled,
            "trouble": replay.trouble,
        }


def create(database: Database, selection: Selection, wish: Wish, rate: float, *, actor: str) -> int:
    """Store a replay, with a line of who made it; ``prepare`` selects its deliveries, and then
    the workers begin.

    ``rate``: events per second. Errors: ``ReplayError``, ``StoreError``.
    """
    with database.write() as connection:
        selection = with_mapping(connection, selection, wish.mapping)
        number = replays.create(
            connection,
            selection=selection.as_json(),
            scan=asdict(begin(connection, selection)),
            mapping=wish.mapping,
            marks=wish.marks,
            rate=rate,
            now=clock_ms(connection),
        )
        details = {"selection": selection.as_json(), "mapping": wish.mapping}
        note(connection, "replay.run", number, actor, details)
        return number


def note(
    connection: Connection, action: str, number: int, actor: str, details: Mapping[str, Any]
) -> None:
    """Note who did something to a replay."""
    operator_actions.note(
        connection,
        actor=actor,
        action=action,
        subject=f"replay {number}",
        details=details,
        now=clock_ms(connection),
    )


def prepare(
    database: Database, replay_id: int, progress: Callable[[float, int], None] | None = None
) -> bool:
    """Select the deliveries of a replay and let it begin; False if it was cancelled meanwhile.

    May be called again for a replay whose preparation broke off: it goes on from there.
    ``progress`` is told how much was looked at (0 to 1), and how many deliveries were chosen.
    """
    replay = _found(database, replay_id)
    selection, scan = Selection.from_json(replay.selection), Scan(**replay.scan)
    begun, chosen = scan, 0
    while not scan.ended:
        with database.read() as connection:
            items, scan = page(connection, selection, scan)
        with database.write() as connection:
            if not replays.add_items(connection, replay_id, items, asdict(scan)):
                return False
        chosen += len(items)
        if progress is not None:
            progress(share(selection, begun, scan), chosen)
    with database.write() as connection:
        return replays.start(connection, replay_id)


def cancel(database: Database, replay_id: int) -> None:
    """Stop a replay where it is; what has left for the campaigns goes its way.

    Errors: ``ReplayError`` if it has ended.
    """
    with database.write() as connection:
        if replays.cancel(connection, replay_id, clock_ms(connection)):
            return
    raise ReplayError(f"replay {replay_id} is {_found(database, replay_id).state} already.")


def resume(database: Database, replay_id: int, rate: float | None = None) -> ReplayState:
    """Have a cancelled replay go on, or one whose preparation broke off; see ``prepare``.

    ``rate``: events per second from now on. Errors: ``ReplayError`` if it is done.
    """
    with database.write() as connection:
        replays.resume(connection, replay_id, rate)
    state = _found(database, replay_id).state
    if state is ReplayState.DONE:
        raise ReplayError(f"replay {replay_id} is done; make a new one for what is left to do.")
    return state


def report(connection: Connection, replay: Replay) -> Report:
    """What has come of a replay."""
    return reports(connection, [replay])[0]


def reports(connection: Connection, found: Sequence[Replay]) -> list[Report]:
    """What has come of some replays."""
    counts = history.counts_of_replays(connection, [replay.id for replay in found])
    return [Report(replay, counts[replay.id]) for replay in found]


def report_of(database: Database, replay_id: int) -> Report:
    """What has come of the replay of this id. Errors: ``ReplayError`` if there is none."""
    replay = _found(database, replay_id)
    with database.read() as connection:
        return report(connection, replay)


def _found(database: Database, replay_id: int) -> Replay:
    with database.read() as connection:
        replay = replays.find(connection, replay_id)
    if replay is None:
        raise ReplayError(f"there is no replay {replay_id}; “crm-bridge replay list” shows them.")
    return replay
