"""Where the value of a lead's field comes from, compiled."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.map import transforms
from bridge.map.expression import FAILURES, Expression, Run
from bridge.map.phone import REGIONS, Phones, every_e164
from bridge.map.text import clean, storable
from bridge.map.transforms import ToE164, Transform
from bridge.map.unusable import Unusable, shown
from bridge.model import Json

_NUMBERS = (int, float)
_CODES_IN_USE = {"UK": "GB"}
"""What people write for a country in place of its ISO code."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: from expressions or a constant, through transforms, with a default.

    ``sources``: the first that gives something counts; with ``every`` all of them do.
    ``step_texts``: the transforms as the file has them, for people. ``region`` is the country of
    phone numbers without ``+`` where ``region_from`` gives nothing. Where it gives what is no
    country, or reads a record that is not there, they cannot be read: an opt-out is better seen to
    be dead than asserted for somebody in another country.
    """

    sources: tuple[Expression, ...]
    constant: Json = None
    every: bool = False
    steps: tuple[Transform, ...] = ()
    default: Json = None
    region: str = "US"
    step_texts: tuple[str, ...] = ()
    region_from: Value | None = None
    _runs: tuple[Run, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_runs", tuple([source.run for source in self.sources]))

    @property
    def told(self) -> tuple[str, ...]:
        """Its expressions and transforms as text, by which two that are alike are known."""
        return (*(source.source for source in self.sources), *self.step_texts)

    def get(self, view: Json, notes: list[str]) -> Json:
        """The value after all transforms; None if absent. Errors: ``Unusable``."""
        value = self.constant
        try:
            for run in self._runs:
                value = run(view)
                if value is not None:
                    break
        except FAILURES:
            value = self._first(view, notes)
        for step in self.steps:
            value = step(value)
        return self.default if value is None else value

    def _first(self, view: Json, notes: list[str]) -> Json:
        """What the first source gives that does not fail; every one that does leaves a note."""
        found = (source.get(view, notes) for source in self.sources)
        return next((one for one in found if one is not None), None)

    def region_in(self, view: Json) -> tuple[str, str]:
        """The country of numbers without ``+`` for this event; empty and why, if it is none."""
        if self.region_from is None:
            return self.region, ""
        try:
            given = self.region_from.get(view, [])
        except Unusable as problem:
            return "", f"its country cannot be read: {problem}"
        if given is None or (isinstance(given, str) and not given.strip()):
            lacking = _records_lacking(self.region_from, view)
            if lacking:
                return "", f"its country stands in the record of {lacking}, which is not there"
            return self.region, ""
        code = given.strip().upper() if isinstance(given, str) else ""
        code = _CODES_IN_USE.get(code, code)
        return (code, "") if code in REGIONS else ("", f"{shown(given)} is no country code")

    def phones_in(self, raw: Json, view: Json) -> Phones:
        """The numbers in what one source gives, and why others cannot be read."""
        return self._phones_in(raw, self.steps, view)

    def phones_of_default(self, view: Json) -> Phones:
        """The same for the default, which no transform changes."""
        return self._phones_in(self.default, (), view)

    def _phones_in(self, raw: Json, steps: tuple[Transform, ...], view: Json) -> Phones:
        region, _ = self.region_in(view)
        if not steps and isinstance(raw, str):
            return every_e164(raw, region)
        numbers: dict[str, None] = {}
        problems: list[str] = []
        try:
            self._take_phones(raw, steps, region, numbers, problems)
        except Unusable as problem:
            problems.append(str(problem))
        return Phones(tuple(numbers), tuple(problems))

    def _take_phones(
        self,
        value: Json,
        steps: tuple[Transform, ...],
        region: str,
        numbers: dict[str, None],
        problems: list[str],
    ) -> None:
        """Adds the numbers that one value gives, and the problems. Errors: ``Unusable``."""
        for step in steps:
            if not isinstance(step, ToE164):
                value = step(value)
                continue
            reading = step.within(region)
            if self.every and isinstance(value, str):
                # One number would be all that is left of a text with several.
                found, unreadable = every_e164(value, reading.region or "")
                problems.extend(unreadable)
                value = list(found)
            else:
                value = reading(value)
        for one in value if self.every and isinstance(value, list) else (value,):
            found, unreadable = every_e164(one, region)
            numbers.update(dict.fromkeys(found))
            problems.extend(unreadable)


def _records_lacking(value: Value, view: Json) -> str:
    """The look-up that a value reads and that brought no record, if there is one."""
    names = view if isinstance(view, dict) else {}
    read = sorted(name for source in value.sources for name in source.names)
    return next((n for n in read if f"{n}_missing" in names and names.get(n) is None), "")


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
    if isinstance(value, _NUMBERS):
        number = storable(transforms.number(value))
        if number is None:
            raise Unusable("a number is too large to be sent")
        return number
    raise Unusable(
        f"{shown(value)} cannot be sent; a custom field takes text, numbers, true or false"
    )
