"""How many deliveries a turn fetches: about as many as hold the events that it may take in."""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field

LEAST = 5
"""However many events the last deliveries held: the next ones may hold fewer."""

SPARE = 1.25
"""What is fetched over what the last deliveries let expect; a turn is rather full than small."""


class Portion:
    """What the deliveries of a worker's last turn held; for one thread.

    It starts with one event each, as most CRMs send them. After a change one turn fetches too
    many deliveries, or takes in too few events, and the next one knows better.
    """

    def __init__(self) -> None:
        self._each = 1.0

    def of(self, events: int) -> int:
        """How many deliveries to fetch where there is room for so many events."""
        return max(LEAST, min(events, math.ceil(SPARE * events / self._each)))

    def held(self, parts: Sequence[tuple[object, Sized]]) -> int:
        """Tell what a turn has taken, deliveries with their events; returns how many events."""
        events = sum(len(found) for _, found in parts)
        if parts:
            self._each = max(1.0, events / len(parts))
        return events


@dataclass(frozen=True, slots=True)
class Portions:
    """One for those that may hold an opt-out, one for those that come in their turn."""

    ahead: Portion = field(default_factory=Portion)
    in_line: Portion = field(default_factory=Portion)
