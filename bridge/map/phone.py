"""Phone numbers to E.164. The one home of phonenumbers.

A number counts if its length is right for its country; whether it is assigned is not asked, since
numbering plans change faster than their tables, and an opt-out must not be lost to an old table.
Without ``+``, though, a number of country code 1 whose area code would begin with 0 or 1 is
refused: no such area code exists, so it is a number of another country, and an opt-out is better
seen to be dead than asserted for somebody else. So is one that may begin with the calling code of
its country or with an area code that looks like it (``468123456`` in Sweden), unless it is a mobile
number by one of them (``docs/decisions/0050``). Extensions are cut off: the campaign API names a
lead by E.164 alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from bridge.map.unusable import Unusable, shown
from bridge.model import Json

REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries whose numbers can be read."""

_LONGEST = 60
"""Characters of the text of one number, at most."""

_LONGEST_LIST = 1200
"""Characters of a text that holds several numbers, at most."""

_BETWEEN = re.compile(r"[;,|&\r\n]+")
_ITSELF = re.compile(r"\W*(?:tel:)?\(?(?:\+|0)", re.IGNORECASE)
"""How a number begins that stands for itself: with ``+`` or with the 0 before an area code."""

_EXTENSION = 6
"""Digits of an extension, at most; a longer one is a number of its own."""

_WHOLE = 8
"""Digits beside which letters are words (``mobile``). Beside fewer they stand for digits
(``1-800-FLOWERS``)."""

_DIGIT = re.compile(r"\d")
_LETTERS = re.compile(r"[^\W\d_]+")

_MADE_A_NUMBER = re.compile(r"(\s*\+?\d{8,})\.0\s*\Z")
"""What a table made of a phone number that it took for a number: the 0 is none of its digits."""

_ROUNDED = re.compile(r"\s*\d[.,]\d+[eE]\+?\d{1,2}\s*\Z")
"""A number as a table shows it that has no room for it: its last digits are gone."""

_OLD_MEXICAN_MOBILE = re.compile(r"\+521\d{10}")


def with_calling_code(value: Json) -> str | None:
    """``+14155550123`` from a list of calling code and number, as some CRMs keep them apart.

    A number that has a ``+`` or an international prefix ``00`` of its own stays as it is; without
    a calling code so does every number. One that begins with the code holds it already where only
    that makes a valid number of it, or a mobile one. Errors: ``Unusable``.
    """
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise Unusable(f"{shown(value)} is no list of calling code and number")
    code, number = ("".join(_as_text(part).split()) for part in value)
    if not number:
        return None
    digits = code.lstrip("+").removeprefix("00")
    if not code or number.startswith(("+", "00")):
        return number
    if not digits.isdecimal() or len(digits) > 4:
        raise Unusable(f"{shown(code)} is no calling code")
    held = _valid(f"+{number}") if number.startswith(digits) else None
    if held is not None and (_is_mobile(held) or _valid(f"+{digits}{number}") is None):
        return f"+{number}"
    return f"+{digits}{number}"


def _valid(text: str) -> phonenumbers.PhoneNumber | None:
    """A number with ``+`` that the tables know to be valid."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _is_mobile(number: phonenumbers.PhoneNumber) -> bool:
    return bool(phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE)


def e164(value: Json, region: str) -> str | None:
    """``+14155550123`` for a number as typed; None for absent, null or blank.

    Of several numbers in one text it is the first that can be read. ``region`` is the country of
    numbers without ``+``. Errors: ``Unusable``.
    """
    numbers, problems = every_e164(value, region)
    if not numbers and problems:
        raise Unusable(problems[0])
    return numbers[0] if numbers else None


class Phones(NamedTuple):
    """The numbers (E.164) that a value gave, and the problems with those that cannot be read."""

    numbers: tuple[str, ...]
    problems: tuple[str, ...]


def every_e164(value: Json, region: str) -> Phones:
    """Each number of a text in E.164, and why others cannot be read; nothing for a blank one.

    Numbers stand apart by ``;``, ``,``, ``/``, ``|``, ``&``, a new line or words. ``region``
    empty: only numbers with ``+`` can be read. Errors: ``Unusable`` when the value is no text or
    number.
    """
    text = _as_text(value)
    if _E164.match(text) is not None and _is_e164(text):
        return Phones((text,), ())
    return _short(text, region) if len(text) <= _LONGEST else _every_in(text, region)


@lru_cache(maxsize=65_536)
def _short(text: str, region: str) -> Phones:
    """The same for a text of the usual length, which comes again."""
    return _every_in(text, region)


def _every_in(text: str, region: str) -> Phones:
    numbers: dict[str, None] = {}
    problems: list[str] = []
    if _ROUNDED.match(text) is not None:
        return Phones((), (_unreadable(text, region),))
    text = _MADE_A_NUMBER.sub(r"\1", text)
    for part in _apart(text, region):
        found = _read(part, region)
        numbers.update(dict.fromkeys(found.numbers))
        problems.extend(found.problems)
    if problems and not numbers:
        problems = [_unreadable(text, region)]
    return Phones(tuple(numbers), tuple(problems))


def _read(text: str, region: str) -> Phones:
    """The number of a text, or those that stand beside words in it."""
    digit = _DIGIT.search(text)
    worded = digit is not None and _LETTERS.search(text, digit.end()) is not None
    if not worded or (len(text) <= _LONGEST and _has_extension(text, region)):
        number = _parse(text, region) if len(text) <= _LONGEST else None
        return Phones((number,), ()) if number else Phones((), (_unreadable(text, region),))
    whole = sum(map(str.isdecimal, text)) >= _WHOLE
    numbers: list[str] = []
    problems: list[str] = []
    for piece in _LETTERS.split(text) if whole else [text]:
        number = _known(piece, region)
        if number is not None:
            numbers.append(number)
        elif sum(map(str.isdecimal, piece)) > _EXTENSION:
            problems.append(_unreadable(piece, region))
    spelled = _known(text, region) if not numbers and _ITSELF.match(text) else None
    if spelled is not None:
        return Phones((spelled,), ())
    return Phones(tuple(numbers), tuple(problems if numbers else [_unreadable(text, region)]))


def _known(text: str, region: str) -> str | None:
    """One number in E.164 that is more than the digits beside it, and valid."""
    if len(text) > _LONGEST or sum(map(str.isalnum, text)) <= _EXTENSION:
        return None
    number = _parse(text, region)
    return number if number is not None and _valid(number) is not None else None


def _unreadable(text: str, region: str) -> str:
    if not region:
        return f"{shown(text)} is not a phone number with its country code"
    return f"{shown(text)} is not a phone number (country {region} where no + leads)"


def typed(text: str, region: str) -> tuple[str, ...]:
    """The numbers in a text that somebody typed, in E.164; none if it holds none."""
    try:
        return every_e164(text, region)[0]
    except Unusable:
        return ()


def _as_text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        return str(value)
    if isinstance(value, list):
        raise Unusable("the phone number is a list; write `all:` to take every number of a list")
    raise Unusable(f"{shown(value)} is not a phone number")


def _apart(text: str, region: str) -> list[str]:
    """The texts of the single numbers in a text; a comma or slash inside a number stays there."""
    if not text.strip():
        return []
    if len(text) > _LONGEST_LIST:
        return [text]
    parts = [part for part in _BETWEEN.split(text) if part.strip()]
    if len(parts) > 1 and not (len(text) <= _LONGEST and _has_extension(text, region)):
        return [one for part in parts for one in _at_slashes(part, region)]
    return _at_slashes(text, region)


def _at_slashes(text: str, region: str) -> list[str]:
    # 030/901820 is one number, 030 901820/030 901821 are two.
    parts = [part for part in text.split("/") if part.strip()]
    if len(parts) < 2:
        return [text]
    if all(_ITSELF.match(part) for part in parts):
        return parts
    return [text] if len(text) <= _LONGEST and _read(text, region).numbers else parts


def _has_extension(text: str, region: str) -> bool:
    try:
        extension = phonenumbers.parse(text, region).extension
    except phonenumbers.NumberParseException:
        return False
    return extension is not None and 0 < len(extension) <= _EXTENSION


def _parse(text: str, region: str) -> str | None:
    """One number in E.164; None if it is none. Most are written so already."""
    if _E164.match(text) is not None and _is_e164(text):
        return text
    return _parsed(text, region)


_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")


def _is_e164(text: str) -> bool:
    """Whether parsing such a text would surely give it back. False says nothing."""
    for end in (2, 3, 4):
        code = _code(text[1:end])
        if code is not None:
            national = text[end:]
            return len(national) in code.lengths and code.plain(national) is not None
    return False


@dataclass(frozen=True, slots=True)
class _Code:
    """A calling code: how long its numbers are, and which ones parsing leaves as they are."""

    lengths: frozenset[int]
    plain: Callable[[str], object]


@lru_cache(maxsize=2048)
def _code(digits: str) -> _Code | None:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits))
    if regions is None:
        return None
    main = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(digits), regions[0])
    if main is None or main.general_desc is None or digits == "52":
        return _Code(frozenset(), _NEVER)
    prefix = main.national_prefix_for_parsing
    # a leading zero may be Italy's, which belongs to the number, or a slip, which does not
    plain = re.compile(rf"(?!0)(?!(?:{prefix}))" if prefix else r"(?!0)")
    return _Code(frozenset(main.general_desc.possible_length), plain.match)


_NEVER = re.compile(r"(?!)").match


@lru_cache(maxsize=65_536)
def _parsed(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    plus = phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN
    if number.country_code_source == plus:
        return _possible(number)
    digits = phonenumbers.normalize_digits_only(text).removesuffix(number.extension or "")
    other = _with_code(digits, number, region)
    if other is None or not phonenumbers.is_valid_number(number):
        return _possible(other or number)
    # both could be meant; only that it is the one which is a mobile number is more than likely
    mobile = [one for one in (other, number) if _is_mobile(one)]
    return _possible(mobile[0]) if len(mobile) == 1 else None


def _with_code(
    digits: str, number: phonenumbers.PhoneNumber, region: str
) -> phonenumbers.PhoneNumber | None:
    """The number that these digits are with ``+`` or in place of ``00``, if there is such a one."""
    code = str(phonenumbers.country_code_for_region(region))
    # where a 0 belongs in front of national numbers, one without it may begin with the code
    bare = bool(phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True))
    literal = bare and str(number.national_number) == digits and digits.startswith(code)
    if not literal and not digits.startswith("00"):
        return None
    other = _valid(f"+{digits.removeprefix('00')}")
    if other is None or other.country_code != number.country_code:
        return other
    return None if other.national_number == number.national_number else other


def _possible(number: phonenumbers.PhoneNumber) -> str | None:
    """A number in E.164 if its length is right; see the top of this module."""
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if _OLD_MEXICAN_MOBILE.fullmatch(written):
        return f"+52{written[4:]}"  # until 2019 mobiles in Mexico were called with a 1 in front
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    if phonenumbers.is_possible_number_with_reason(number) != possible:
        return None
    plus = phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN
    if number.country_code == 1 and number.country_code_source != plus and written[2] in "01":
        return None
    return written
