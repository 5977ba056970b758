"""What two ways of mapping the same events would do differently, field by field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from bridge.model import Json, Mapped

Place: TypeAlias = tuple[str, str]
"""Campaign and phone number."""

_ABSENT = object()


class Kind(StrEnum):
    """What is different for one lead in one campaign."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after; what is absent on a side is not in ``as_json`` either."""

    name: str
    before: Any
    after: Any

    def as_json(self) -> dict[str, Json]:
        """``{"field": …, "before": …, "after": …}``."""
        sides = {"before": self.before, "after": self.after}
        shown = {side: value for side, value in sides.items() if value is not _ABSENT}
        return {"field": self.name, **shown}

    def __str__(self) -> str:
        before, after = (
            "–" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
            for value in (self.before, self.after)
        )
        return f"{self.name}: {before} → {after}"


@dataclass(frozen=True, slots=True)
class LeadChange:
    """What is different for one lead in one campaign."""

    campaign: str
    phone: str
    kind: Kind
    fields: tuple[FieldChange, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The change as an object."""
        return {
            "campaign": self.campaign,
            "phone_number": self.phone,
            "change": self.kind.value,
            "fields": [one.as_json() for one in self.fields],
        }


def compare(
    before: Mapping[Place, Mapping[str, Json]], after: Mapping[Place, Mapping[str, Json]]
) -> Iterator[LeadChange]:
    """The changes from one set of lead updates to another, those that are the same included."""
    for place in sorted({*before, *after}):
        old, new = before.get(place), after.get(place)
        if old is None:
            kind = Kind.ADDED
        elif new is None:
            kind = Kind.GONE
        else:
            kind = Kind.SAME if _same(old, new) else Kind.CHANGED
        yield LeadChange(*place, kind, tuple(_fields(old or {}, new or {})))


def updates_of(mapped: Mapped) -> dict[Place, Mapping[str, Json]]:
    """What a mapping asks for, by campaign and phone number."""
    return {(update.campaign, update.phone): update.fields for update in mapped.updates}


def _fields(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[FieldChange]:
    old, new = dict(_flat(before)), dict(_flat(after))
    for name in sorted({*old, *new}):
        was, is_now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if was is _ABSENT or is_now is _ABSENT or not _same(was, is_now):
            yield FieldChange(name, was, is_now)


def _flat(fields: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for name, value in fields.items():
        if name == "custom_fields" and isinstance(value, dict):
            yield from ((f"{name}.{key}", custom) for key, custom in value.items())
        else:
            yield name, value


def _same(one: Json, other: Json) -> bool:
    # true and 1 are different things to the campaign API
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@dataclass(slots=True)
class Difference:
    """The sum of many changes; no more than ``most`` examples are kept."""

    most: int
    leads: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Json]] = field(default_factory=list)
    different: int = 0

    def add(
        self, changes: list[LeadChange], about: Mapping[str, Json], *, also: bool = False
    ) -> None:
        """Count the changes of one event; ``also``: it is different in another way as well."""
        self.leads.update(change.kind.value for change in changes)
        real = [change for change in changes if change.kind is not Kind.SAME]
        self.fields.update(one.name for change in real for one in change.fields)
        if not real and not also:
            return
        self.different += 1
        if len(self.examples) < self.most:
            shown = [change.as_json() for change in real[: self.most]]
            self.examples.append({**about, "leads": shown})
