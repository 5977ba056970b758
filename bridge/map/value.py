"""Where the value of a lead's field comes from, compiled."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.map import transforms
from bridge.map.expression import Expression
from bridge.map.phone import every_e164
from bridge.map.text import clean, storable
from bridge.map.transforms import ToE164, Transform
from bridge.map.unusable import Unusable, shown
from bridge.model import Json


@dataclass(frozen=True, slots=True)
class Value:
    """One value: from expressions or a constant, through transforms, with a default.

    ``sources``: the first that gives something counts; with ``every`` all of them do.
    ``step_texts``: the transforms as the file has them, for people.
    """

    sources: tuple[Expression, ...]
    constant: Json = None
    every: bool = False
    steps: tuple[Transform, ...] = ()
    default: Json = None
    region: str = "US"
    step_texts: tuple[str, ...] = ()

    def get(self, view: Json, notes: list[str]) -> Json:
        """The value after all transforms; None if absent. Errors: ``Unusable``."""
        value = self.constant
        for source in self.sources:
            value = source.get(view, notes)
            if value is not None:
                break
        for step in self.steps:
            value = step(value)
        return self.default if value is None else value

    def phones(self, view: Json, notes: list[str]) -> Phones:
        """Every number in E.164, and why others cannot be read."""
        numbers: dict[str, None] = {}
        problems: list[str] = []
        for raw in self._raw_phones(view, notes):
            try:
                self._take_phones(raw, numbers, problems)
            except Unusable as problem:
                problems.append(str(problem))
        if not numbers and not problems and self.default is not None:
            try:
                self._take_phones(self.default, numbers, problems, steps=())
            except Unusable as problem:
                problems.append(str(problem))
        if self.every or not numbers:
            return Phones(tuple(numbers), tuple(problems))
        return Phones(tuple(numbers)[:1], ())

    def _take_phones(
        self,
        raw: Json,
        numbers: dict[str, None],
        problems: list[str],
        steps: tuple[Transform, ...] | None = None,
    ) -> None:
        """Adds the numbers that one value gives, and the problems. Errors: ``Unusable``."""
        value = raw
        for step in self.steps if steps is None else steps:
            if self.every and isinstance(step, ToE164) and isinstance(value, str):
                # One number would be all that is left of a text with several.
                found, unreadable = every_e164(value, step.region)
                problems.extend(unreadable)
                value = list(found)
            else:
                value = step(value)
        for one in value if self.every and isinstance(value, list) else (value,):
            found, unreadable = every_e164(one, self.region)
            numbers.update(dict.fromkeys(found))
            problems.extend(unreadable)

    def _raw_phones(self, view: Json, notes: list[str]) -> list[Json]:
        """What the sources give. Without ``every`` it is the first that is not blank."""
        if not self.sources:
            return [self.constant]
        found: list[Json] = []
        for source in self.sources:
            value = source.get(view, notes)
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            if not self.every:
                return [value]
            if isinstance(value, list):
                found.extend(value)
            else:
                found.append(value)
        return found


@dataclass(frozen=True, slots=True)
class Phones:
    """The numbers (E.164) that a value gave, and the problems with those that cannot be read."""

    numbers: tuple[str, ...]
    problems: tuple[str, ...]


def text_field(value: Json) -> Json:
    """A name or address as text; None if blank. Errors: ``Unusable``."""
    found = transforms.text(value)
    if found is None:
        return None
    found = clean(found)
    return found if found.strip() else None


def flag_field(value: Json) -> Json:
    """A boolean. Errors: ``Unusable``."""
    return transforms.boolean(value)


def custom_field(value: Json) -> Json:
    """A text, number, boolean or a list of them; None if there is nothing to send."""
    if value is None:
        return None
    if isinstance(value, list):
        items = [_simple(item) for item in value]
        return [item for item in items if item is not None] or None
    return _simple(value)


def _simple(value: Json) -> Json:
    if isinstance(value, str):
        return text_field(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        number = storable(transforms.number(value))
        if number is None:
            raise Unusable("a number is too large to be sent")
        return number
    raise Unusable(
        f"{shown(value)} cannot be sent; a custom field takes text, numbers, true or false"
    )
