"""One HMAC verifier with parameters serves every sender of the vector file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.model import (
    BasicScheme,
    HeaderScheme,
    HmacScheme,
    PathScheme,
    QueryScheme,
    Refused,
    Request,
    Scheme,
    StandardWebhooksScheme,
    Verified,
)
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .webhooks import (
    flipped,
    flipped_text,
    make_request,
    other_spelling,
    read_vectors,
    secret,
)

FILE = read_vectors("signatures.json")
VECTORS: dict[str, dict[str, Any]] = {vector["id"]: vector for vector in FILE["vectors"]}

# Signed tokens (JWT) and secrets inside the body are no schemes of the bridge.
NOT_EXPRESSIBLE = {"monday-jwt", "zoho-body-token", "copper-body-secret"}

_NONE = secret("replaced by the vector's own")
_STANDARD = StandardWebhooksScheme(_NONE)
_MAILCHIMP = HmacScheme(
    _NONE,
    "X-Mailchimp-Signature",
    style="parts",
    timestamp_part="t",
    signed=("timestamp", "text:.", "body"),
)
_ZENDESK = HmacScheme(
    _NONE,
    "X-Zendesk-Webhook-Signature",
    encoding="base64",
    signed=("timestamp", "body"),
    timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
    timestamp_format="iso",
)
_KLAVIYO = HmacScheme(
    _NONE,
    "Klaviyo-Signature",
    signed=("body", "timestamp"),
    timestamp_header="Klaviyo-Timestamp",
    timestamp_format="http_date",
)
_ESPO = HmacScheme(_NONE, "Signature", style="wrapped")
_TWILIO = HmacScheme(
    _NONE, "X-Twilio-Signature", algorithm="sha1", encoding="base64", signed=("url", "form")
)

SCHEMES: dict[str, Scheme] = {
    "standard-webhooks-v1": _STANDARD,
    "standard-webhooks-v1-rotation": _STANDARD,
    "standard-webhooks-v1-public": _STANDARD,
    "standard-webhooks-v1a": _STANDARD,
    "svix-v1": replace(_STANDARD, header_prefix="svix"),
    "close": HmacScheme(
        _NONE,
        "close-sig-hash",
        key="hex",
        signed=("timestamp", "body"),
        timestamp_header="close-sig-timestamp",
    ),
    "attio": HmacScheme(_NONE, "Attio-Signature"),
    "intercom": HmacScheme(_NONE, "X-Hub-Signature", algorithm="sha1", prefix="sha1="),
    "follow-up-boss": HmacScheme(_NONE, "FUB-Signature", signed=("body_base64",)),
    "zendesk": _ZENDESK,
    "zendesk-empty-body": _ZENDESK,
    "twenty": HmacScheme(
        _NONE,
        "X-Twenty-Webhook-Signature",
        signed=("timestamp", "text::", "body"),
        timestamp_header="X-Twenty-Webhook-Timestamp",
        timestamp_format="unix_ms",
    ),
    "espocrm": _ESPO,
    "espocrm-legacy": replace(_ESPO, header="X-Signature", encoding="raw"),
    "frappe": HmacScheme(_NONE, "X-Frappe-Webhook-Signature", encoding="base64"),
    "customerio": HmacScheme(
        _NONE,
        "X-CIO-Signature",
        signed=("text:v0:", "timestamp", "text::", "body"),
        timestamp_header="X-CIO-Timestamp",
    ),
    "klaviyo-http-date": _KLAVIYO,
    "klaviyo-iso": replace(_KLAVIYO, timestamp_format="iso"),
    "mailchimp": _MAILCHIMP,
    "mailchimp-rotation": _MAILCHIMP,
    "calendly": replace(_MAILCHIMP, header="Calendly-Webhook-Signature", tolerance_s=180),
    "typeform": HmacScheme(_NONE, "Typeform-Signature", prefix="sha256=", encoding="base64"),
    "twilio-form": _TWILIO,
    "twilio-form-query": _TWILIO,
    "twilio-form-port": _TWILIO,
    "twilio-repeated": _TWILIO,
    "twilio-sha256": replace(_TWILIO, algorithm="sha256"),
    "twilio-json": replace(_TWILIO, signed=("url",), body_hash="bodySHA256"),
    "pipedrive-basic": BasicScheme("bridge", _NONE),
    "static-header": HeaderScheme("X-Bridge-Token", _NONE),
    "dataverse-webhook-key": QueryScheme("code", _NONE),
    "salesforce-organization": PathScheme(_NONE),
}
REFUSE = [case for case in FILE["refuse"] if case["like"] not in NOT_EXPRESSIBLE]
HMACS = sorted(name for name, scheme in SCHEMES.items() if isinstance(scheme, HmacScheme))


def scheme_of(name: str, value: str) -> Scheme:
    scheme = SCHEMES[name]
    if isinstance(scheme, BasicScheme):
        return replace(scheme, password=secret(value.removeprefix("bridge:")))
    if isinstance(scheme, HeaderScheme | QueryScheme | PathScheme):
        return replace(scheme, token=secret(value))
    assert isinstance(scheme, HmacScheme | StandardWebhooksScheme)
    return replace(scheme, secret=secret(value))


def request_of(vector: dict[str, Any]) -> Request:
    pairs = list(vector["headers"].items())
    if "repeat_header" in vector:
        pairs.append(tuple(vector["repeat_header"]))
    return make_request(
        url=vector["url"], method=vector["method"], headers=pairs, body=vector["body"].encode()
    )


def test_every_vector_that_can_be_expressed_is_used() -> None:
    assert SCHEMES.keys() | NOT_EXPRESSIBLE == VECTORS.keys()


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_a_genuine_request_passes(name: str) -> None:
    vector = VECTORS[name]
    scheme = scheme_of(name, vector["secret"])
    assert check_scheme(scheme) is None
    assert isinstance(verify((scheme,), request_of(vector), vector["now"] * 1000), Verified)


@pytest.mark.parametrize("case", REFUSE, ids=lambda case: case["id"])
def test_a_request_to_be_refused_is(case: dict[str, Any]) -> None:
    scheme = scheme_of(case["like"], case["secret"])
    verdict = verify((scheme,), request_of(case), case["now"] * 1000)
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize("case", ["close-empty-secret", "close-bad-key"])
def test_a_useless_key_is_told_at_start(case: str) -> None:
    vector = next(one for one in REFUSE if one["id"] == case)
    problem = check_scheme(scheme_of("close", vector["secret"]))
    assert problem is not None
    assert "CRM_SECRET" in problem


@pytest.mark.parametrize("name", HMACS)
def test_one_changed_bit_in_body_secret_or_signature_refuses(name: str) -> None:
    vector = VECTORS[name]
    now = vector["now"] * 1000
    scheme = scheme_of(name, vector["secret"])
    assert isinstance(scheme, HmacScheme)
    scheme = replace(scheme, tolerance_s=10**15)
    request = request_of(vector)
    header = scheme.header.lower()
    changed = [replace(request, body=body) for body in flipped(request.body, step=11)]
    # The id in front of a wrapped signature is not signed, nor are signatures that do not fit.
    if scheme.style == "alone":
        changed += [
            replace(request, headers={**request.headers, header: (text,)})
            for text in flipped_text(request.headers[header][0])
        ]
    if "url" in scheme.signed:
        changed += [replace(request, url=url) for url in flipped_text(request.url)]
    assert isinstance(verify((scheme,), request, now), Verified)
    for altered in changed:
        assert isinstance(verify((scheme,), altered, now), Refused), altered
    # In the "hex" form some flips leave no key at all, which must refuse as well.
    for wrong in flipped_text(vector["secret"]):
        other = replace(scheme, secret=secret(wrong))
        assert isinstance(verify((other,), request, now), Refused)


def test_the_time_among_the_parts_is_signed_and_stands_once() -> None:
    vector = VECTORS["mailchimp"]
    scheme = scheme_of("mailchimp", vector["secret"])
    good = vector["headers"]["X-Mailchimp-Signature"]
    for value in (
        good.replace("t=1768473000", "t=1768473001"),
        f"t=1768473001,{good}",
        f"{good},t=1768473001",
        good.replace("v1=", "v0="),
        good.partition(",")[2],
    ):
        request = make_request(
            headers={"X-Mailchimp-Signature": value}, body=vector["body"].encode()
        )
        assert isinstance(verify((scheme,), request, vector["now"] * 1000), Refused), value


def test_two_different_times_are_refused_as_such() -> None:
    value = "t=1768473000,t=1768473001,v1=00"
    request = make_request(headers={"X-Mailchimp-Signature": value})
    verdict = verify((_MAILCHIMP,), request, 1768473000_000)
    assert isinstance(verdict, Refused)
    assert "two different timestamps" in verdict.reason


@pytest.mark.parametrize("name", ["espocrm", "espocrm-legacy"])
def test_a_wrapping_has_one_spelling(name: str) -> None:
    vector = VECTORS[name]
    scheme = scheme_of(name, vector["secret"])
    assert isinstance(scheme, HmacScheme)
    good = vector["headers"][scheme.header]
    other = other_spelling(good)
    assert (other != good) is good.endswith("=")
    if other != good:
        request = make_request(headers={scheme.header: other}, body=vector["body"].encode())
        assert isinstance(verify((scheme,), request, 0), Refused)


@pytest.mark.parametrize(
    ("signed", "configured", "good"),
    [
        ("https://h.example/x?y=1", "https://h.example:443/x?y=1", True),
        ("https://h.example:443/x?y=1", "https://h.example/x?y=1", True),
        ("http://h.example:80/x", "http://h.example/x", True),
        ("https://h.example:80/x", "https://h.example/x", False),
        ("https://h.example:8443/x", "https://h.example/x", False),
        ("https://h.example:8443/x", "https://h.example:443/x", False),
        ("https://h.example:443/x", "http://h.example/x", False),
    ],
)
def test_the_standard_port_may_be_written_out_or_not(
    signed: str, configured: str, good: bool
) -> None:
    scheme = scheme_of("twilio-form", "an-auth-token")
    made = sign((scheme,), method="POST", url=signed, body=b"a=1", now_ms=0, headers={})
    request = make_request(url=configured, headers=made.headers, body=b"a=1")
    assert isinstance(verify((scheme,), request, 0), Verified) is good


def test_hex_digits_may_be_in_upper_case() -> None:
    vector = VECTORS["attio"]
    headers = {"Attio-Signature": vector["headers"]["Attio-Signature"].upper()}
    request = make_request(headers=headers, body=vector["body"].encode())
    assert isinstance(verify((scheme_of("attio", vector["secret"]),), request, 0), Verified)


def test_a_flood_of_signatures_or_pairs_is_refused_unlooked() -> None:
    parts = ",".join(["t=1768473000", *["v1=00"] * 1000])
    many = make_request(headers={"X-Mailchimp-Signature": parts})
    verdict = verify((_MAILCHIMP,), many, 1768473000_000)
    assert isinstance(verdict, Refused)
    assert "too many signatures" in verdict.reason
    flood = make_request(headers={"X-Twilio-Signature": "AAAA"}, body=b"a=1&" * 100_000)
    verdict = verify((_TWILIO,), flood, 0)
    assert isinstance(verdict, Refused)
    assert "too many pairs" in verdict.reason
