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
from bridge.map.phone import e164
from bridge.map.text import as_text
from bridge.map.times import TimeFormat
from bridge.map.unusable import Unusable, shown
from bridge.model import Json

Transform: TypeAlias = Callable[[Json], Json]

TRUE_WORDS = frozenset({"true", "yes", "y", "on", "1", "t", "checked"})
FALSE_WORDS = frozenset({"false", "no", "n", "off", "0", "f", "unchecked"})

_EMAIL = re.compile(r"[^@\s,;<>]{1,64}@[^@\s,;<>]+\.[^@\s.,;<>]+\Z")


def folded(value: Json) -> str | None:
    """A value as it is compared with words: as text, in small letters, without outer blanks."""
    text = as_text(value)
    return None if text is None else text.strip().casefold()


def boolean(value: Json) -> Json:
    """True or false from the usual words; None for blank text."""
    if isinstance(value, bool) or value is None:
        return value
    word = folded(value)
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    if word == "":
        return None
    raise Unusable(f"{shown(value)} is neither true nor false")


def boolean_of(true: Iterable[Json], false: Iterable[Json]) -> Transform:
    """True or false from the words of the file."""
    yes = frozenset(folded(word) for word in true)
    no = frozenset(folded(word) for word in false)

    def transform(value: Json) -> Json:
        if isinstance(value, bool) or value is None:
            return value
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
    """The opposite boolean."""
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
    if isinstance(value, bool) or not isinstance(value, int | float):
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


def contains_of(item: Json) -> Transform:
    """Whether a list, or a comma-separated text, has an item."""
    wanted = folded(item)

    def transform(value: Json) -> Json:
        if value is None:
            return None
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is neither a list nor a text")
        return any(folded(one) == wanted for one in value)

    return transform


def pick_of(where: Mapping[str, Json], value_of: Expression | None) -> Transform:
    """From a list of objects the first one whose keys have these values, or a value of it."""
    wanted = {key: as_text(constant) for key, constant in where.items()}

    def transform(value: Json) -> Json:
        if value is None:
            return None
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is not a list of objects")
        for item in value:
            if isinstance(item, dict) and all(
                as_text(item.get(key)) == constant for key, constant in wanted.items()
            ):
                return item if value_of is None else value_of.take(item)
        return None

    return transform


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
    """A phone number as E.164. ``region``: the country of numbers without ``+``."""

    region: str

    def __call__(self, value: Json) -> Json:
        """The first number of a text that can be read."""
        return e164(value, self.region)


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
}
"""The transforms that take no parameter."""
