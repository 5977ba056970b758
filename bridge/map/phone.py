"""Phone numbers to E.164. The one home of phonenumbers.

A number counts if its length is right for its country; whether it is assigned is not asked, since
numbering plans change faster than their tables, and an opt-out must not be lost to an old table.
Extensions are cut off: the campaign API names a lead by E.164 alone.
"""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from bridge.map.unusable import Unusable, shown
from bridge.model import Json

REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries whose numbers can be read."""

_LONGEST = 60


def e164(value: Json, region: str) -> str | None:
    """``+14155550123`` for a number as typed; None for absent, null or blank.

    ``region`` is the country of numbers without ``+``. Errors: ``Unusable``.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        value = str(value)
    if isinstance(value, list):
        raise Unusable("the phone number is a list; write `all:` to take every number of a list")
    if not isinstance(value, str):
        raise Unusable(f"{shown(value)} is not a phone number")
    if not value.strip():
        return None
    number = _parse(value, region) if len(value) <= _LONGEST else None
    if number is None:
        raise Unusable(f"{shown(value)} is not a phone number (country {region} where no + leads)")
    return number


@lru_cache(maxsize=65_536)
def _parse(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    if phonenumbers.is_possible_number_with_reason(number) != possible:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
