"""The closed list of transforms: what each does to a value.

A transform takes None (absent or null) as None, ``default`` excepted, and raises ``Unusable`` for
a value that it cannot take. The list with all parameters stands in ``docs/mappings.md``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import TypeAlias

from bridge.map.expression import Expression
from bridge.map.phone import e164, with_calling_code
from bridge.map.text import as_text
from bridge.map.times import TimeFormat
from bridge.map.unusable import Unusable, shown
from bridge.model import Json

Transform: TypeAlias = Callable[[Json], Json]

TRUE_WORDS = frozenset({"true", "yes", "y", "on", "1", "t", "checked"})
FALSE_WORDS = frozenset({"false", "no", "n", "off", "0", "f", "unchecked"})

_NUMBERS = (int, float)
_EMAIL = re.compile(r"[^@\s,;<>]{1,64}@[^@\s,;<>]+\.[^@\s.,;<>]+\Z")


def folded(value: Json) -> str | None:
    """A value as it is compared with words: as text, in small letters, without outer blanks."""
    text = as_text(value)
    return None if text is None else text.strip().casefold()


def boolean(value: Json) -> Json:
    """True or false from the usual words; None for blank text. Of a list, as ``_any`` says."""
    if isinstance(value, bool) or value is None:
        return value
    if value and isinstance(value, list):
        return _any(boolean, value)
    word = folded(value)
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    if word == "":
        return None
    raise Unusable(f"{shown(value)} is neither true nor false")


def _any(of_one: Transform, items: Iterable[Json]) -> Json:
    """True if one of the items says so, whatever the others are; else all have to say false."""
    found: set[Json] = set()
    problem: Unusable | None = None
    for item in items:
        try:
            found.add(of_one(item))
        except Unusable as error:
            problem = problem or error
    if True in found:
        return True
    if problem is not None:
        raise problem
    return False if False in found else None


def boolean_of(true: Iterable[Json], false: Iterable[Json]) -> Transform:
    """True or false from the words of the file."""
    yes = frozenset(folded(word) for word in true)
    no = frozenset(folded(word) for word in false)

    def transform(value: Json) -> Json:
        if isinstance(value, bool) or value is None:
            return value
        if value and isinstance(value, list):
            return _any(transform, value)
        word = folded(value)
        if word is not None and word in yes:
            return True
        if word is not None and word in no:
            return False
        if word == "":
            return None
        raise Unusable(f"{shown(value)} is among neither the words for true nor those for false")

    return transform


def negated(value: Json) -> Json:
    """The opposite boolean; of a list, true if that of one of its items is."""
    if value and isinstance(value, list):
        return _any(negated, value)
    found = boolean(value)
    return None if found is None else not found


def text(value: Json) -> Json:
    """A text, number or boolean as text."""
    if value is None or isinstance(value, str):
        return value
    found = as_text(value)
    if found is None:
        raise Unusable(f"{shown(value)} is not text")
    return found


def of_text(change: Callable[[str], str]) -> Transform:
    """A change of a text."""
    return lambda value: None if value is None else change(text(value))


def integer(value: Json) -> Json:
    """A whole number."""
    found = number(value)
    if found is None or isinstance(found, int):
        return found
    if not found.is_integer() or abs(found) >= 1e16:
        raise Unusable(f"{shown(value)} is not a whole number")
    return int(found)


def number(value: Json) -> Json:
    """A number."""
    if value is None:
        return None
    if isinstance(value, str):
        plain = value.strip()
        if not plain:
            return None
        try:
            value = int(plain) if len(plain) <= 18 and plain.lstrip("+-").isdecimal() else None
            value = float(plain) if value is None and len(plain) <= 40 else value
        except ValueError:
            value = None
        if value is None:
            raise Unusable(f"{shown(plain)} is not a number")
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise Unusable(f"{shown(value)} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unusable("the number is not finite")
    return value


def email(value: Json) -> Json:
    """An e-mail address: trimmed, its domain in small letters, its shape checked."""
    if value is None:
        return None
    address = str(text(value)).strip()
    if not address:
        return None
    if len(address) > 254 or not _EMAIL.match(address):
        raise Unusable(f"{shown(address)} is not an e-mail address")
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def first_name(value: Json) -> Json:
    """The first name in a whole name."""
    return _names(value)[0]


def last_name(value: Json) -> Json:
    """The last name in a whole name, prefixes such as ``van`` with it."""
    return _names(value)[1]


def _names(value: Json) -> tuple[str | None, str | None]:
    if value is None:
        return None, None
    whole = " ".join(str(text(value)).split())
    if "," in whole:
        last, _, first = whole.partition(",")
    else:
        first, _, last = whole.partition(" ")
    return first.strip() or None, last.strip() or None


def table_of(table: Mapping[str, Json], otherwise: Json, has_otherwise: bool) -> Transform:
    """A value of the table for each of its keys."""

    def transform(value: Json) -> Json:
        if value is None:
            return None
        key = as_text(value)
        if key is not None:
            key = key if key in table else key.strip()
            if key in table:
                return table[key]
        if has_otherwise:
            return otherwise
        raise Unusable(f"{shown(value)} is not in the table")

    return transform


def default_of(constant: Json) -> Transform:
    """A constant for absent and null."""
    return lambda value: constant if value is None else value


def null_if_of(words: Iterable[Json]) -> Transform:
    """None for values that stand for nothing."""
    nothing = frozenset(as_text(word) for word in words)

    def transform(value: Json) -> Json:
        found = as_text(value)
        return None if found is not None and found in nothing else value

    return transform


def contains_of(items: Iterable[Json], separator: str = ",") -> Transform:
    """Whether a list, or a text of items between separators, has one of these whole items."""
    wanted = {folded(item) for item in items}

    def transform(value: Json) -> Json:
        if value is None:
            return None
        if isinstance(value, str):
            value = value.split(separator)
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is neither a list nor a text")
        return any(folded(one) in wanted for one in value if one is not None)

    return transform


def pick_of(
    wheres: Iterable[Mapping[str, Json]], value_of: Expression | None, otherwise: str
) -> Transform:
    """From a list of objects the first one whose keys have these values, or a value of it.

    Of several conditions the first that an object with a value meets counts, then ``otherwise``:
    the first or last object with a value, or nothing; ``last`` looks from the end. A condition of
    true or false is met by every usual word for it (``1``).
    """
    tests = [_meets(where) for where in wheres]
    if otherwise != "nothing":
        tests.append(lambda _item: True)

    def valued(items: Iterable[dict[str, Json]]) -> Json:
        for item in items:
            found = item if value_of is None else value_of.take(item)
            if found is not None and found != "":
                return found
        return None

    def transform(value: Json) -> Json:
        if value is None:
            return None
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is not a list of objects")
        items = [item for item in value if isinstance(item, dict)]
        if otherwise == "last":
            items.reverse()
        found = (valued(filter(test, items)) for test in tests)
        return next((one for one in found if one is not None), None)

    return transform


def _meets(where: Mapping[str, Json]) -> Callable[[dict[str, Json]], bool]:
    tests = [(key, _same(constant)) for key, constant in where.items()]
    return lambda item: all(same(item.get(key)) for key, same in tests)


def _same(constant: Json) -> Callable[[Json], bool]:
    if isinstance(constant, bool):
        words = TRUE_WORDS if constant else FALSE_WORDS
        return lambda value: folded(value) in words
    wanted = folded(constant)
    return lambda value: folded(value) == wanted


def map_of(key_of: Expression, value_of: Expression) -> Transform:
    """A list of objects that each hold a key and a value, as one object."""

    def transform(value: Json) -> Json:
        if value is None:
            return None
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is not a list of objects")
        found: dict[str, Json] = {}
        for item in value:
            key = as_text(key_of.take(item))
            if key is not None:
                found[key] = value_of.take(item)
        return found

    return transform


def second(value: Json) -> Json:
    """The second of a pair, such as the new value of ``[old, new]``."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise Unusable(f"{shown(value)} is not a pair")
    return value[1]


def false_to_null(value: Json) -> Json:
    """None for false, which some CRMs write for a text that is empty."""
    return None if value is False else value


def join_of(separator: str) -> Transform:
    """The items of a list as one text."""

    def transform(value: Json) -> Json:
        if value is None or isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is not a list")
        return separator.join(str(text(item)) for item in value if item not in (None, ""))

    return transform


def opened_json(value: Json) -> Json:
    """What a text that holds JSON says."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Unusable("the text does not hold JSON") from None


def _refuse(word: str) -> Json:
    raise ValueError(word)


def date_of(source: TimeFormat, to: str) -> Transform:
    """``2026-01-31`` or, in UTC, ``2026-01-31T10:20:30Z``."""

    def transform(value: Json) -> Json:
        if value is None or value == "":
            return None
        moment = source.read(value)
        if to == "datetime" and moment.tzinfo is None:
            raise Unusable("the time has no offset, and the file gives no zone")
        try:
            if to == "date":
                local = moment.astimezone(source.zone) if source.zone and moment.tzinfo else moment
                return local.date().isoformat()
            return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        except (OverflowError, ValueError):
            raise Unusable("the time is out of range") from None

    return transform


def truncate_of(most: int) -> Transform:
    """A text of at most so many characters."""
    return lambda value: None if value is None else text(value)[:most]


@dataclass(frozen=True, slots=True)
class ToE164:
    """A phone number as E.164. ``region``: the country of numbers without ``+``.

    None: it is that of the phone number it serves, and ``usual`` where it serves none.
    """

    region: str | None
    usual: str

    def __call__(self, value: Json) -> Json:
        """The first number of a text that can be read."""
        return e164(value, self.usual if self.region is None else self.region)

    def within(self, region: str) -> ToE164:
        """The same for a phone number of this country."""
        return self if self.region is not None else ToE164(region, self.usual)


PLAIN: Mapping[str, Transform] = {
    "boolean": boolean,
    "not": negated,
    "text": text,
    "trim": of_text(str.strip),
    "lower": of_text(str.lower),
    "upper": of_text(str.upper),
    "integer": integer,
    "number": number,
    "email": email,
    "first_name": first_name,
    "last_name": last_name,
    "json": opened_json,
    "second": second,
    "false_to_null": false_to_null,
    "with_calling_code": with_calling_code,
}
"""The transforms that take no parameter."""
