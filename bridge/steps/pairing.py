"""Which event is which, in a delivery that an edited mapping splits in another way than before.

An event is found again by its key, wherever it stands now. Else a filter that is put before a list
would have one event's row speak for another event, and whatever that row said be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from bridge.model import Event


def paired(
    stored: Mapping[int, str], found: Iterable[Event], *, strictly: bool
) -> dict[int, Event]:
    """The events that a mapping finds now, by the places under which they are stored.

    ``stored``: place → key of all events of the delivery. One whose key is nowhere found any more
    is taken for the one at its place, as after an edit of ``event_id``; ``strictly``: only if no
    key is found, and there are as many as before. Events that are new get places that are free.
    """
    left = {event.ordinal: event for event in found}
    as_many = len(left) == len(stored)
    here = {place for place in stored if place in left and left[place].key == stored[place]}
    pairs = {place: left.pop(place) for place in here}
    by_key: dict[str, list[int]] = {}
    for at in sorted(left, reverse=True):
        by_key.setdefault(left[at].key, []).append(at)
    for place in sorted(stored.keys() - pairs.keys()):
        if by_key.get(stored[place]):
            pairs[place] = left.pop(by_key[stored[place]].pop())
    if not strictly or (as_many and not pairs):
        pairs |= {place: left.pop(place) for place in stored.keys() & left.keys() - pairs.keys()}
    free = (place for place in count() if place not in stored and place not in left)
    for at, event in sorted(left.items()):
        pairs[at if at not in stored else next(free)] = event
    return {place: replace(event, ordinal=place) for place, event in pairs.items()}
