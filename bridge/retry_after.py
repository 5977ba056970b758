"""``Retry-After``: seconds or an HTTP date, as RFC 9110 section 10.2.3 has it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def retry_after_s(value: str | None, now_ms: int, *, most_s: float) -> float | None:
    """How many seconds to wait from now, 0 to ``most_s``; None if the header is absent or
    unreadable.

    Whole seconds are what the RFC allows; decimals, which some servers send, are taken as well. A
    date without a time zone is in UTC, and one that is over means no wait.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), most_s)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        ahead = (moment - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return min(max(ahead, 0.0), most_s)
