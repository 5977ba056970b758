"""What two versions of a mapping make of the same events, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias

from bridge.errors import BridgeError
from bridge.map.case_file import Case
from bridge.map.cases import Decode, Under, events_of, mapped_for
from bridge.map.difference import Difference, compare, updates_of
from bridge.map.mapping import SourceMapping
from bridge.model import Event, Json, Mapped, State

Seen: TypeAlias = tuple[Event, Mapped | None]
"""An event and what becomes of it; None while only its CRM's answer would tell."""


@dataclass(slots=True)
class Shadow:
    """The sum over many events.

    ``states``: what becomes of events, ``before → after`` where that differs. ``keys`` and
    ``times``: events that would get another identity, or another time; either changes what counts
    as a copy and what as newer. ``look_ups``: events of which only a look-up would tell;
    ``failed``: why it was tried for some of them in vain.
    """

    difference: Difference
    events: int = 0
    look_ups: int = 0
    keys: int = 0
    times: int = 0
    states: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def differs(self) -> bool:
        """Whether the two do anything differently."""
        return self.difference.different > 0

    def add(self, about: Mapping[str, Json], before: Sequence[Seen], after: Sequence[Seen]) -> None:
        """Compare the events of one delivery, by their places in it."""
        for place, (old, new) in enumerate(zip_longest(before, after)):
            self.events += 1
            if any(side is not None and side[1] is None for side in (old, new)):
                self.look_ups += 1
                continue
            was, would_be = _end(old), _end(new)
            moved = was != would_be
            if moved:
                self.states[f"{was} → {would_be}"] += 1
            rekeyed = retimed = False
            if old is not None and new is not None:
                rekeyed = old[0].key != new[0].key
                retimed = old[0].time_ms != new[0].time_ms
                self.keys += rekeyed
                self.times += retimed
            changes = list(compare(_updates(old), _updates(new)))
            told = {
                **about,
                "event": place,
                "before": was,
                "after": would_be,
                "reasons": [_reason(old), _reason(new)],
                "another_key": rekeyed,
                "another_time": retimed,
            }
            self.difference.add(changes, told, also=moved or rekeyed or retimed)

    def as_json(self) -> dict[str, Json]:
        """The sum as an object."""
        return {
            "events": self.events,
            "events_that_differ": self.difference.different,
            "look_ups": self.look_ups,
            "look_ups_failed": dict(self.failed),
            "other_keys": self.keys,
            "other_times": self.times,
            "states": dict(self.states),
            "leads": dict(self.difference.leads),
            "fields": dict(self.difference.fields),
            "examples": self.difference.examples,
        }


def _end(side: Seen | None) -> str:
    if side is None or side[1] is None:
        return "no event"
    mapped = side[1]
    return "updates" if mapped.updates else (mapped.state or State.DEAD).value


def _reason(side: Seen | None) -> str:
    return side[1].reason if side is not None and side[1] is not None else ""


def _updates(side: Seen | None) -> dict[tuple[str, str], Mapping[str, Json]]:
    return updates_of(side[1]) if side is not None and side[1] is not None else {}


_WAITS = Mapped(state=State.WAITING, reason="it waits for a look-up that fails")


def shadow_cases(
    cases: Iterable[Case],
    before: SourceMapping,
    after: SourceMapping,
    *,
    decode: Decode,
    under: Under,
    examples: int,
) -> Shadow:
    """What two versions make of the payloads of cases. Pure.

    ``under`` gives a version with the settings that a case brings.
    """
    found = Shadow(Difference(examples))
    for case in cases:
        sides = [_seen(side, case, decode, under) for side in (before, after)]
        found.add({"case": case.name, "line": case.line}, *sides)
    return found


def _seen(mapping: SourceMapping, case: Case, decode: Decode, under: Under) -> list[Seen]:
    try:
        mapping = under(mapping, case.settings)
        events = events_of(mapping, case, decode)
    except BridgeError as error:
        event = Event(0, "case", case.received_at, True, {}, problem=str(error))
        return [(event, Mapped(state=State.DEAD, reason=str(error)))]
    made = ((event, mapped_for(mapping, event, case)) for event in events)
    return [(event, _WAITS if mapped is None else mapped) for event, mapped in made]
