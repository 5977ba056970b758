"""Which lane of a campaign a thread serves next."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.model import Lane
from bridge.store.schema import NEVER

OTHER_LANES = (Lane.FIRST, Lane.RETRY, Lane.STANDING, Lane.REPLAY)


class Turns:
    """The turns of one thread. ``only_opt_outs``: it is there for nothing else."""

    def __init__(self, turn: int, *, only_opt_outs: bool) -> None:
        self.only_opt_outs = only_opt_outs
        self._turn = turn

    def choose(self, due: Mapping[Lane, int], now: int) -> Lane | None:
        """The lane to serve now: opt-outs first, the others by turns, so that none starves.

        But replays, which never go before what comes for the first time. A lane keeps its turn
        until it was ``served``, however often it had to wait.
        """
        if due.get(Lane.OPT_OUT, NEVER) <= now:
            return Lane.OPT_OUT
        for step in range(len(OTHER_LANES)):
            lane = OTHER_LANES[(self._turn + step) % len(OTHER_LANES)]
            if lane is Lane.REPLAY and due.get(Lane.FIRST, NEVER) <= now:
                continue
            if due.get(lane, NEVER) <= now:
                return lane
        return None

    def served(self, lane: Lane) -> None:
        """A batch of the lane goes out: the turn is the next one's."""
        if lane is not Lane.OPT_OUT:
            self._turn = (OTHER_LANES.index(lane) + 1) % len(OTHER_LANES)
