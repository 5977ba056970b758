"""Signature headers of any make, read without a pattern engine that could run away."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.header_pattern import pattern_problem, read_pattern, write_pattern
from bridge.model import HmacScheme, Refused, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .webhooks import NOW, make_request, secret

PATTERN = 'keyId="{id}", ts={timestamp};sig={signature}'
SCHEME = HmacScheme(
    secret("s3cret"),
    "X-Sig",
    style="pattern",
    pattern=PATTERN,
    encoding="base64",
    signed=("group:id", "text:.", "timestamp", "text:.", "body"),
    timestamp_part="timestamp",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'keyId="k", ts=1;sig=a=',
            {"id": "k", "timestamp": "1", "signature": "a="},
        ),
        ('keyId="", ts=;sig=', {"id": "", "timestamp": "", "signature": ""}),
        ('keyId="k", ts=1', None),
        (' keyId="k", ts=1;sig=a', None),
        ("", None),
    ],
)
def test_reading(text: str, found: dict[str, str] | None) -> None:
    assert read_pattern(PATTERN, text) == found


@given(st.text(), st.text())
def test_what_is_written_is_read(one: str, two: str) -> None:
    pattern = "a={signature}\x00b={x}"
    text = write_pattern(pattern, {"signature": one.replace("\x00", ""), "x": two}, "?")
    assert read_pattern(pattern, text) == {"signature": one.replace("\x00", ""), "x": two}


@pytest.mark.parametrize(
    "pattern",
    ["", "t={timestamp}", "{signature}{x}", "{signature}-{signature}", "{Signature}", "{signature"],
)
def test_a_pattern_that_cannot_be_used_is_told(pattern: str) -> None:
    assert pattern_problem(pattern)
    problem = check_scheme(HmacScheme(secret("x"), "X-Sig", style="pattern", pattern=pattern))
    assert problem is not None
    assert "pattern" in problem


def test_it_signs_and_verifies_and_covers_its_names() -> None:
    assert check_scheme(SCHEME) is None
    made = sign((SCHEME,), method="POST", url="https://x/", body=b"{}", now_ms=NOW, headers={})
    text = made.headers["X-Sig"]
    for header, good in (
        (text, True),
        (text.replace("crm-bridge", "another"), False),
        (text.replace("ts=1", "ts=2"), False),
        (text[:-2] + "x=", False),
        (text.replace("sig=", "sgi="), False),
    ):
        request = make_request(headers={"X-Sig": header}, body=b"{}")
        assert isinstance(verify((SCHEME,), request, NOW), Verified if good else Refused), header


def test_no_header_makes_it_run_away() -> None:
    pattern = "a={one}a={two}a={three}a={signature}!"
    started = time.perf_counter()
    assert read_pattern(pattern, "a=" * 500_000) is None
    assert read_pattern(pattern, "a" * 1_000_000) is None
    assert time.perf_counter() - started < 5.0


def test_a_signature_in_the_query() -> None:
    for encoding in ("hex", "base64", "base64url"):
        scheme = HmacScheme(secret("s3cret"), "", query="sig", encoding=encoding)
        assert check_scheme(scheme) is None
        for number in range(8):
            body = b"%d" % number
            url = "https://bridge.example.com/hooks/crm?x=1"
            made = sign((scheme,), method="POST", url=url, body=body, now_ms=0, headers={})
            request = make_request(url=made.url, body=body)
            assert isinstance(verify((scheme,), request, 0), Verified)
            other = make_request(url=made.url, body=body + b" ")
            assert isinstance(verify((scheme,), other, 0), Refused)
