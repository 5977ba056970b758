"""``Retry-After`` in seconds and as a date; anything else is as if it were absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.retry_after import retry_after_s

MOST_S = 86_400.0
NOW = 1_782_371_969_000


def http_date(seconds: float) -> str:
    moment = datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999999999999999999", MOST_S),
        ("9" * 5000, MOST_S),
        ("2.5", 2.5),
        ("-5", None),
        ("1.", None),
        (".5", None),
        ("1e3", None),
        ("\u0663", None),
        ("soon", None),
        (http_date(90), 90.0),
        (http_date(-90), 0.0),
        (http_date(10_000_000), MOST_S),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0.0),
        ("Wed Oct 21 07:28:00 2015", 0.0),
        (http_date(90).replace("GMT", "-0000"), 90.0),
        ("Mon, 20 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Wed, 32 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_what_a_value_means(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW, most_s=MOST_S) == seconds


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .+")))
def test_no_value_breaks_it(value: str) -> None:
    seconds = retry_after_s(value, NOW, most_s=MOST_S)
    assert seconds is None or 0 <= seconds <= MOST_S
