"""The phone numbers of an event: each place where rules look for one is read once.

Rules ask for numbers in several ways, such as all of a list of fields or the first that is filled
in, and mostly of the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.map.expression import Expression
from bridge.map.phone import Phones
from bridge.map.value import Value
from bridge.model import Json

_NOTHING_THERE = Phones((), ())
"""What a place gives that is absent or blank; told from one that is read and gives no number."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of finding numbers. ``places``: its sources, numbered across all ways of a file."""

    value: Value
    places: tuple[tuple[int, Expression], ...]

    def phones(self, view: Mapping[str, Json], read: dict[int, Phones]) -> Phones:
        """Every number that it gives, and why others cannot be read.

        ``read``: what the places gave that were read for this event already.
        """
        value = self.value
        parts: list[Phones] = []
        for place, source in self.places:
            part = read.get(place)
            if part is None:
                raw = source.get(view, [])
                part = read[place] = _NOTHING_THERE if raw is None else _read(value, raw, view)
            if part is not _NOTHING_THERE:
                parts.append(part)
                if not value.every:
                    break
        if not self.places:
            parts.append(value.phones_in(value.constant, view))
        found = _together(parts) if parts else _NOTHING_THERE
        if not found.numbers and not found.problems and value.default is not None:
            found = value.phones_of_default(view)
        if found.problems:
            return self._told(found, view)
        return found if value.every or len(found.numbers) < 2 else Phones(found.numbers[:1], ())

    def _told(self, found: Phones, view: Mapping[str, Json]) -> Phones:
        """The same with problems as they are told: of a first number none, once it is found."""
        if found.numbers and not self.value.every:
            return Phones(found.numbers[:1], ())
        _, unknown = self.value.region_in(view)
        if not unknown:
            return found
        return Phones(found.numbers, tuple(f"{problem}; {unknown}" for problem in found.problems))


def ways_of(values: Iterable[Value]) -> tuple[Way, ...]:
    """The ways of a file's phone numbers. Places that are read alike have the same number."""
    numbered: dict[object, int] = {}
    ways = []
    for value in values:
        treated = (
            value.every,
            value.steps,
            value.region,
            value.region_from and value.region_from.told,
        )
        places = []
        for source in value.sources:
            place = numbered.setdefault((source.source, treated), len(numbered))
            places.append((place, source))
        ways.append(Way(value, tuple(places)))
    return tuple(ways)


def _read(value: Value, raw: Json, view: Mapping[str, Json]) -> Phones:
    if isinstance(raw, str):
        return value.phones_in(raw, view) if raw.strip() else _NOTHING_THERE
    if value.every and isinstance(raw, list):
        parts = [value.phones_in(one, view) for one in raw]
        return _together(parts) if parts else _NOTHING_THERE
    return value.phones_in(raw, view)


def _together(parts: Sequence[Phones]) -> Phones:
    if len(parts) == 1:
        return parts[0]
    numbers = dict.fromkeys([number for part in parts for number in part.numbers])
    return Phones(tuple(numbers), tuple([said for part in parts for said in part.problems]))


class Numbers:
    """The phone numbers of one event, each way and each place tried once."""

    __slots__ = ("_found", "_read", "_view", "_ways")

    def __init__(self, ways: tuple[Way, ...], view: Mapping[str, Json]) -> None:
        self._ways = ways
        self._view = view
        self._found: list[Phones | None] = [None] * len(ways)
        self._read: dict[int, Phones] = {}

    def of(self, way: int) -> Phones:
        """The numbers that one way gives."""
        phones = self._found[way]
        if phones is None:
            phones = self._found[way] = self._ways[way].phones(self._view, self._read)
        return phones

    def all(self, ways: Iterable[int]) -> tuple[str, ...]:
        """Every number found so far or in these ways, each once."""
        for way in ways:
            self.of(way)
        found = [phones.numbers for phones in self._found if phones is not None]
        return tuple(dict.fromkeys([number for numbers in found for number in numbers]))
