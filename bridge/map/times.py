"""Times as CRMs write them, read by a declared format. Results are milliseconds since 1970 UTC."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from bridge.map.nearest import advice
from bridge.map.unusable import Unusable, shown
from bridge.model import Json

FORMATS = ("unix_s", "unix_ms", "unix_us", "iso", "http_date", "dotnet")

LONGEST_PATTERN = 60

EARLIEST = 946_684_800_000
"""The year 2000. An earlier time is a sign of the wrong unit, not of an old event."""

LATEST = 32_503_680_000_000
"""The year 3000."""

AHEAD = 300_000
"""How far ahead of the receipt a source's clock may be: five minutes."""

Moment: TypeAlias = datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS = {"unix_s": 0.001, "unix_ms": 1, "unix_us": 1000}
_NUMBERS = (int, float)
_DOTNET = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/\Z")
_WITH_HOURS = re.compile(r"[Tt ]\d")
_FRACTION = re.compile(r"(\.\d{6})\d+")
_OFFSET_WITH_COLON = re.compile(r"([+-]\d\d):(\d\d)\Z")
_NO_OFFSET = re.compile(r"[+-](?!\d{4}\Z)\S*\Z")
_NAMED_ZONE = re.compile(r"[^\W\d]\)?\Z")
_UTC_WORDS = ("utc", "gmt")  # in small letters, as time.strptime gives them


class FormatError(ValueError):
    """A declared format or zone that does not exist; ``hint`` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a time is read. ``read`` gives a datetime, naive if neither value nor file has a zone.

    ``count``: for formats that count from 1970, milliseconds without the way over a datetime.
    """

    name: str
    read: Callable[[Json], Moment]
    zone: tzinfo | None = None
    count: Callable[[Json], int] | None = None

    def milliseconds(self, value: Json) -> int:
        """The time in milliseconds since 1970 UTC. Errors: ``Unusable``."""
        if self.count is not None:
            return self.count(value)
        moment = self.read(value)
        if self._lacks_hours(value):
            raise Unusable("the time is a date without hours, which would put it at midnight")
        if moment.tzinfo is None:
            raise Unusable(f"the time {shown(value)} has no offset, and the file gives no zone")
        try:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
        except (OverflowError, ValueError):
            raise Unusable("the time is out of range") from None

    @property
    def without_hours(self) -> bool:
        """Whether it is a pattern that does not tell morning from evening, so that it names days
        and no moments."""
        if "%" not in self.name:
            return False
        told = set(re.findall(r"%(.)", self.name))  # "%%" counts as one, so that "%%H" says nothing
        return not told & set("HcX") and not {"I", "p"} <= told

    def _lacks_hours(self, value: Json) -> bool:
        if self.name == "iso":
            return isinstance(value, str) and not _WITH_HOURS.search(value.strip())
        return self.without_hours


def time_format(name: str, zone: str | None = None) -> TimeFormat:
    """The reader for a format of the mapping language. Errors: ``FormatError``."""
    where = time_zone(zone) if zone is not None else None
    if name in _PER_MS:
        count = _unix(_PER_MS[name])
        return TimeFormat(name, lambda value: _moment(count(value)), where, count)
    if name == "iso":
        return TimeFormat(name, lambda value: _iso(value, where), where)
    if name == "http_date":
        return TimeFormat(name, _http_date, where)
    if name == "dotnet":
        return TimeFormat(name, _dotnet, where)
    if len(name) > LONGEST_PATTERN:
        raise FormatError(
            f"the time pattern has {len(name)} characters; {LONGEST_PATTERN} are the most.",
            "Write one such as %Y-%m-%d %H:%M:%S.",
        )
    if "%" not in name:
        raise FormatError(f"`{name}` is not a time format.", advice(name, FORMATS))
    if where is None and "%z" not in name:
        raise FormatError(
            f"the time pattern `{name}` needs a zone.", "Add zone: UTC, or the CRM's time zone."
        )
    try:
        sample = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(name)
        datetime.strptime(sample, name)  # noqa: DTZ007 - only whether the pattern can be read
    except (ValueError, re.error) as error:
        raise FormatError(
            f"`{name}` is not a time pattern ({error}).", "Write one such as %Y-%m-%d %H:%M:%S."
        ) from None
    return TimeFormat(name, lambda value: _pattern(value, name, where), where)


def time_zone(name: str) -> tzinfo:
    """The zone of an IANA name. Errors: ``FormatError``."""
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise FormatError(
            f"`{name}` is not a time zone.", "Write an IANA name such as UTC or America/New_York."
        ) from None


def _unix(per_ms: float) -> Callable[[Json], int]:
    def count(value: Json) -> int:
        number = _number(value)
        try:
            ms = round(number / per_ms)
            if EARLIEST <= ms <= LATEST:
                return ms
        except (OverflowError, ValueError):
            pass
        raise Unusable("the time is out of range; the format may have the wrong unit")

    return count


def _moment(ms: int) -> Moment:
    return _EPOCH + timedelta(milliseconds=ms)


def _number(value: Json) -> float:
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise Unusable("the time is not a number")
    if isinstance(value, int) and value.bit_length() > 80:
        raise Unusable("the time is out of range")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unusable("the time is not a number")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str) or len(value) > 80:
        raise Unusable("the time is not a short text")
    return value.strip()


def _iso(value: Json, zone: tzinfo | None) -> Moment:
    text = _FRACTION.sub(r"\1", _text(value))
    if text.endswith(("z", "Z")):
        text = text[:-1] + "+00:00"
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Unusable("the time is not ISO 8601") from None
    return _zoned(moment, zone)


def _http_date(value: Json) -> Moment:
    text = _OFFSET_WITH_COLON.sub(r"\1\2", _text(value))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise Unusable("the time is not an HTTP date") from None
    # a zone that the library does not know is none to it, and would stand for UTC
    if _NO_OFFSET.search(text) or (moment.tzinfo is None and _NAMED_ZONE.search(text)):
        raise Unusable("the time is in a zone that is not known")
    return _zoned(moment, UTC)


def _dotnet(value: Json) -> Moment:
    found = _DOTNET.match(_text(value))
    if not found:
        raise Unusable("the time is not of the form /Date(milliseconds)/")
    try:
        return _EPOCH + timedelta(milliseconds=int(found.group(1)))
    except OverflowError:
        raise Unusable("the time is out of range") from None


def _pattern(value: Json, pattern: str, zone: tzinfo | None) -> Moment:
    try:
        moment = datetime.strptime(_text(value), pattern)  # noqa: DTZ007 - the zone comes next
        # %Z takes the name of a zone and forgets it: what is read then is by another clock
        named = time.strptime(_text(value), pattern).tm_zone if "%Z" in pattern else None
    except (ValueError, OverflowError):
        raise Unusable(f"the time does not have the form {pattern}") from None
    if named is not None and moment.tzinfo is None:
        if named.lower() not in _UTC_WORDS:
            raise Unusable("the time is in a zone that is not known")
        return moment.replace(tzinfo=UTC)
    return _zoned(moment, zone)


def _zoned(moment: datetime, zone: tzinfo | None) -> Moment:
    if moment.tzinfo is not None or zone is None:
        return moment
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise Unusable("the time comes twice, or never, on the day on which the clocks change")
    return first
