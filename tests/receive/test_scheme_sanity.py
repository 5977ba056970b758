"""A scheme that cannot work, or that would prove nothing, is told when the bridge starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import (
    AllOfScheme,
    BasicScheme,
    BearerScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    PathScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
)
from bridge.receive.verify.sanity import check_scheme

from .webhooks import secret

GOOD = HmacScheme(secret("s3cret"), "X-Signature")
TIMED = replace(GOOD, timestamp_header="X-Time", signed=("timestamp", "body"))


@pytest.mark.parametrize(
    ("scheme", "why"),
    [
        (HubSpotScheme("v3", secret()), "CRM_SECRET has no value"),
        (HubSpotScheme("v3", secret("good", "")), "CRM_SECRET is empty"),
        (HubSpotScheme("v3", secret("s"), tolerance_s=0), "tolerance"),
        (replace(GOOD, key="hex"), "hexadecimal"),
        (replace(GOOD, secret=secret("6 06"), key="hex"), "hexadecimal"),
        (replace(GOOD, secret=secret("s3cret!"), key="base64"), "not base64"),
        (replace(GOOD, key="whsec"), "whsec_"),
        (replace(GOOD, header=""), "header name"),
        (replace(GOOD, header="X Signature"), "header name"),
        (replace(GOOD, encoding="raw"), "wrapped"),
        (replace(GOOD, style="parts", part=""), "needs part"),
        (replace(GOOD, signed=("boddy", "body")), "unknown part 'boddy'"),
        (replace(GOOD, signed=("header:", "body")), "header name"),
        (replace(GOOD, signed=()), "change the body"),
        (replace(GOOD, signed=("url",)), "change the body"),
        (replace(GOOD, body_hash="h"), "must hold url"),
        (replace(GOOD, signed=("timestamp", "body")), "which header or part"),
        (replace(TIMED, signed=("body",)), "not signed"),
        (replace(TIMED, timestamp_part="t"), "not both"),
        (replace(TIMED, timestamp_header=None, timestamp_part="t"), "style parts"),
        (
            replace(
                TIMED,
                style="parts",
                timestamp_header=None,
                timestamp_part="t",
                timestamp_format="http_date",
            ),
            "comma",
        ),
        (replace(TIMED, tolerance_s=-1), "tolerance"),
        (PublicKeyScheme("ed25519", (), "X-S"), "keys is empty"),
        (BasicScheme("a:b", secret("s")), "colon"),
        (BasicScheme("", secret("s")), "user"),
        (BearerScheme(secret()), "no value"),
        (HeaderScheme("X:Y", secret("s")), "header name"),
        (QueryScheme("", secret("s")), "name is empty"),
        (PathScheme(secret("")), "is empty"),
        (AllOfScheme(()), "no scheme"),
        (AllOfScheme((GOOD, PathScheme(secret()))), "all_of: path: "),
    ],
)
def test_it_says_what_is_wrong(scheme: Scheme, why: str) -> None:
    problem = check_scheme(scheme)
    assert problem is not None
    assert why in problem
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    "scheme",
    [
        GOOD,
        TIMED,
        replace(TIMED, signed=("header:x-time", "body")),
        replace(TIMED, signed=("body",), tolerance_s=None),
        replace(GOOD, signed=("url",), body_hash="h"),
        AllOfScheme((GOOD, PathScheme(secret("s")))),
    ],
)
def test_a_sound_scheme_has_no_problem(scheme: Scheme) -> None:
    assert check_scheme(scheme) is None
