"""Whether a signed time is close enough to now. Times are milliseconds since 1970 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal, TypeAlias

from bridge.errors import VerifyError

TimeForm: TypeAlias = Literal["unix_s", "unix_ms", "iso", "http_date"]

# Nineteen digits hold every time that fits 64 bits; a longer run is no time at all.
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
# RFC 9110, section 5.6.7; the library function alone would also take far looser spellings.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", re.ASCII
)
_LONGEST = 40

_SAYS = {
    "unix_s": "whole seconds since 1970, digits only",
    "unix_ms": "milliseconds since 1970, digits only",
    "iso": "an ISO 8601 time with its offset",
    "http_date": "an HTTP date such as Thu, 15 Jan 2026 10:30:00 GMT",
}


def require_fresh(text: str, form: TimeForm, tolerance_s: int, now_ms: int) -> None:
    """Pass if the time lies within the tolerance of now, in the past or in the future.

    Exactly ``tolerance_s`` seconds still pass.

    Errors: ``VerifyError`` if the time is unreadable, stale or too far ahead.
    """
    try:
        age_ms = now_ms - read_time(text, form)
    except (ValueError, OverflowError):
        raise VerifyError(f"the timestamp is not {_SAYS[form]}") from None
    if age_ms > tolerance_s * 1000:
        raise VerifyError(
            f"the timestamp is {_told(age_ms)} old; at most {tolerance_s} s are allowed"
        )
    if -age_ms > tolerance_s * 1000:
        raise VerifyError(
            f"the timestamp is {_told(-age_ms)} ahead; at most {tolerance_s} s are allowed. "
            "Check the clock of this machine"
        )


def read_time(text: str, form: TimeForm) -> int:
    """The time that a text names, in milliseconds since 1970 UTC.

    Errors: ``ValueError`` or ``OverflowError`` for text that is not of that form.
    """
    if form in ("unix_s", "unix_ms"):
        if not _DIGITS.fullmatch(text):
            raise ValueError("not digits")
        return int(text) * (1000 if form == "unix_s" else 1)
    if len(text) > _LONGEST or not text.isascii():
        raise ValueError("not a time")
    if form == "http_date":
        if not _HTTP_DATE.fullmatch(text):
            raise ValueError("not an HTTP date")
        moment = parsedate_to_datetime(text)
    else:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no offset")
    return round(moment.timestamp() * 1000)


def write_time(now_ms: int, form: TimeForm) -> str:
    """A time as a sender of that form writes it."""
    if form == "unix_s":
        return str(now_ms // 1000)
    if form == "unix_ms":
        return str(now_ms)
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    if form == "http_date":
        return format_datetime(moment, usegmt=True)
    return moment.isoformat().replace("+00:00", "Z")


def _told(ms: int) -> str:
    """Days after two days: a number of seven digits would be masked in logs as a phone number."""
    seconds = ms / 1000
    return f"{seconds:.0f} s" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
