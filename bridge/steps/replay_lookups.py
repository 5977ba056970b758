"""Look-ups for events that are mapped once more: apart from those of first tries, and slower."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bridge import logs
from bridge.clock import now_ms
from bridge.enrich import Lookups
from bridge.enrich.lookups import sleep
from bridge.enrich.oauth import Keeper
from bridge.enrich.round import LATELY
from bridge.errors import LookupFailed
from bridge.map import SourceMapping
from bridge.map.search import search
from bridge.model import Delivery, Event, Found, Wanted

SHARE = 0.25
"""The part of a look-up's pace that is left to whoever maps events once more."""

OPEN_MOST = 32
"""Mapping versions of which connections and pace are kept; each edit makes another one."""

log = logs.get("replay")


class Desk:
    """Asks CRMs, for each mapping by its own declarations. For one thread; close it at the end.

    ``wait``, ``wall``, ``keeper``: see ``Lookups``. Without a keeper no CRM is asked whose refresh
    tokens end with their use.
    """

    def __init__(
        self,
        wait: Callable[[float], bool] = sleep,
        wall: Callable[[], int] = now_ms,
        keeper: Keeper | None = None,
    ) -> None:
        self._wait = wait
        self._wall = wall
        self._keeper = keeper
        self._open: OrderedDict[tuple[str, str], Lookups] = OrderedDict()

    def ask(
        self, wanting: Sequence[tuple[Delivery, Event, SourceMapping]]
    ) -> list[dict[str, Found | LookupFailed]]:
        """What the look-ups of each event bring, by their names, in the same order."""
        by_mapping: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, (_, _, mapping) in enumerate(wanting):
            by_mapping[mapping.source.name, mapping.version].append(place)
        answers: list[dict[str, Found | LookupFailed]] = [{} for _ in wanting]
        for key, places in by_mapping.items():
            lookups = self._lookups(key, wanting[places[0]][2])
            wanted = {place: _wanted(*wanting[place]) for place in places}
            asked = [one for place in places for one in wanted[place]]
            found = iter(lookups.resolve(asked, time.monotonic))
            for place in places:
                answers[place] = {one.lookup: next(found) for one in wanted[place]}
        return answers

    def close(self) -> None:
        """Close every connection."""
        for lookups in self._open.values():
            lookups.close()
        self._open.clear()

    def _lookups(self, key: tuple[str, str], mapping: SourceMapping) -> Lookups:
        declared = {
            name: replace(one, rate_per_s=one.rate_per_s * SHARE)
            for name, one in mapping.lookups.items()
        }
        if key not in self._open:
            self._open[key] = Lookups(
                {}, search, wait=self._wait, wall=self._wall, keeper=self._keeper
            )
        self._open.move_to_end(key)
        if len(self._open) > OPEN_MOST:
            _, longest_unused = self._open.popitem(last=False)
            longest_unused.close()
        self._open[key].replace(declared)
        return self._open[key]


def _wanted(delivery: Delivery, event: Event, mapping: SourceMapping) -> list[Wanted]:
    try:
        wanted = mapping.wants(event)
    except Exception:
        log.exception("look-ups not known", receipt=delivery.receipt, ordinal=event.ordinal)
        return []
    return [replace(one, not_before=delivery.received_at) for one in wanted]


def failure(answers: Mapping[str, Found | LookupFailed]) -> LookupFailed | None:
    """The look-up that failed, if one did."""
    return next((one for one in answers.values() if isinstance(one, LookupFailed)), None)


def reason(failed: LookupFailed) -> str:
    """Why, in the same words for all that failed for the same reason, so that they can be counted.

    A CRM that has failed is left alone for a while, and each event meanwhile says what was then.
    """
    return str(failed).replace(LATELY, "", 1)


def records(answers: Mapping[str, Found | LookupFailed]) -> dict[str, Found]:
    """What the look-ups brought."""
    return {name: one for name, one in answers.items() if isinstance(one, Found)}
