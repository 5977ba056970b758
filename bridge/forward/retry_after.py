"""``Retry-After``: seconds or an HTTP date, as RFC 9110 section 10.2.3 has it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_S = 86_400.0


def retry_after_s(value: str | None, now_ms: int) -> float | None:
    """How many seconds to wait from now; None if the header is absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MOST_S)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ahead = (moment - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    return min(max(ahead, 0.0), MOST_S)
