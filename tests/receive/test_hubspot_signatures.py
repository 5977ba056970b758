"""HubSpot's signatures: published and computed vectors pass; anything altered does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from bridge.model import HubSpotScheme, Refused, Request, Verified
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.hubspot import url_readings

from .webhooks import flipped, flipped_text, make_request, read_vectors, secret

FILE = read_vectors("hubspot-signatures.json")
VECTORS: dict[str, dict[str, Any]] = {vector["id"]: vector for vector in FILE["vectors"]}
ALL = sorted(VECTORS)
V3_HEADER = "x-hubspot-signature-v3"
TIME_HEADER = "x-hubspot-request-timestamp"
# Long enough that only the signature decides, whatever is done to the timestamp.
FOREVER = 10**15


def scheme_of(vector: dict[str, Any], **changes: Any) -> HubSpotScheme:
    scheme = HubSpotScheme(version=vector["version"], secret=secret(vector["secret"]))
    return replace(scheme, **changes)


def request_of(vector: dict[str, Any]) -> Request:
    if vector["version"] == "v3":
        headers = {V3_HEADER: vector["expected"], TIME_HEADER: vector["timestamp"]}
    else:
        headers = {
            "X-HubSpot-Signature": vector["expected"],
            "X-HubSpot-Signature-Version": vector["version"],
        }
    return make_request(
        url=vector["uri"],
        method=vector["method"],
        headers=headers,
        body=vector["body"].encode(),
    )


def now_of(vector: dict[str, Any]) -> int:
    return int(vector["timestamp"] or 0)


def header_changed(request: Request, name: str, *values: str) -> Request:
    return replace(request, headers={**request.headers, name: values})


@pytest.mark.parametrize("name", ALL)
def test_a_genuine_request_passes(name: str) -> None:
    vector = VECTORS[name]
    verdict = verify((scheme_of(vector),), request_of(vector), now_of(vector))
    assert verdict == Verified(f"hubspot_{vector['version']}")


@pytest.mark.parametrize("case", FILE["must_fail"], ids=lambda case: case["why"])
def test_an_altered_request_does_not(case: dict[str, Any]) -> None:
    vector = VECTORS[case["base"]]
    assert isinstance(verify((scheme_of(vector),), request_of(vector), now_of(vector)), Verified)
    altered = {**vector, **case["change"]}
    verdict = verify((scheme_of(altered),), request_of(altered), now_of(vector))
    assert isinstance(verdict, Refused)
    assert "does not match" in verdict.reason
    # v2 and v3 cover the address, so that may be what is wrong
    assert ("the public URL" in verdict.reason) is (vector["version"] != "v1")


@pytest.mark.parametrize("case", FILE["age"], ids=lambda case: str(case["now_ms"]))
def test_age_decides_to_the_millisecond(case: dict[str, Any]) -> None:
    vector = VECTORS[case["base"]]
    verdict = verify((scheme_of(vector),), request_of(vector), case["now_ms"])
    assert isinstance(verdict, Verified) is case["fresh"]


@pytest.mark.parametrize(("ahead_ms", "fresh"), [(300_000, True), (300_001, False)])
def test_a_time_ahead_has_the_same_limit(ahead_ms: int, fresh: bool) -> None:
    vector = VECTORS["v3-property-change"]
    verdict = verify((scheme_of(vector),), request_of(vector), now_of(vector) - ahead_ms)
    assert isinstance(verdict, Verified) is fresh


@pytest.mark.parametrize("name", ALL)
def test_one_changed_bit_anywhere_refuses(name: str) -> None:
    vector = VECTORS[name]
    request = request_of(vector)
    scheme = scheme_of(vector, tolerance_s=FOREVER)
    now = now_of(vector)
    signature = V3_HEADER if vector["version"] == "v3" else "x-hubspot-signature"
    changed = [replace(request, body=body) for body in flipped(request.body, step=7)]
    changed += [
        header_changed(request, signature, text) for text in flipped_text(vector["expected"])
    ]
    if vector["version"] != "v1":
        changed += [replace(request, url=url) for url in flipped_text(request.url)]
        changed += [replace(request, method=method) for method in flipped_text(request.method)]
    if vector["version"] == "v3":
        changed += [
            header_changed(request, TIME_HEADER, text) for text in flipped_text(vector["timestamp"])
        ]
    assert verify((scheme,), request, now) == Verified(f"hubspot_{vector['version']}")
    for altered in changed:
        assert isinstance(verify((scheme,), altered, now), Refused), altered
    for wrong in flipped_text(vector["secret"]):
        other = replace(scheme, secret=secret(wrong))
        assert isinstance(verify((other,), request, now), Refused)


@pytest.mark.parametrize("position", [0, 1])
def test_both_live_secrets_are_tried(position: int) -> None:
    vector = VECTORS["v3-property-change"]
    values = ["another-secret", "another-secret"]
    values[position] = vector["secret"]
    scheme = scheme_of(vector, secret=secret(*values))
    assert isinstance(verify((scheme,), request_of(vector), now_of(vector)), Verified)


@pytest.mark.parametrize("values", [(), ("",), ("", "")])
def test_a_secret_without_value_lets_nobody_in(values: tuple[str, ...]) -> None:
    vector = VECTORS["v1-property-change"]
    forged = hashlib.sha256(vector["body"].encode()).hexdigest()
    request = request_of({**vector, "expected": forged})
    assert isinstance(verify((scheme_of(vector, secret=secret(*values)),), request, 0), Refused)


@pytest.mark.parametrize(
    "timestamp",
    ["", " ", "now", "1782371970000.0", "-1", "1e12", "١٧٨٢", "1782371970000 ", "9" * 5000, "²"],
)
def test_a_timestamp_that_is_not_digits_refuses_even_when_signed(timestamp: str) -> None:
    vector = VECTORS["v3-property-change"]
    message = f"POST{vector['uri']}{vector['body']}{timestamp}".encode()
    digest = hmac.new(vector["secret"].encode(), message, "sha256").digest()
    request = request_of(
        {**vector, "timestamp": timestamp, "expected": base64.b64encode(digest).decode()}
    )
    assert isinstance(verify((scheme_of(vector),), request, now_of(vector)), Refused)


@pytest.mark.parametrize("name", [V3_HEADER, TIME_HEADER])
def test_missing_empty_or_contradicting_headers_refuse(name: str) -> None:
    vector = VECTORS["v3-property-change"]
    request = request_of(vector)
    good = request.headers[name][0]
    missing = replace(request, headers={k: v for k, v in request.headers.items() if k != name})
    for altered, why in [
        (missing, "is missing"),
        (header_changed(request, name, ""), "is empty"),
        (header_changed(request, name, good, good + "0"), "more than once"),
        (header_changed(request, name, good + "0", good), "more than once"),
    ]:
        verdict = verify((scheme_of(vector),), altered, now_of(vector))
        assert isinstance(verdict, Refused)
        assert why in verdict.reason
    twice = header_changed(request, name, good, good)
    assert isinstance(verify((scheme_of(vector),), twice, now_of(vector)), Verified)


@pytest.mark.parametrize("older", ["v1-property-change", "v2-workflow-custom-body"])
def test_a_request_with_v3_cannot_be_downgraded(older: str) -> None:
    vector = VECTORS[older]
    scheme = scheme_of(vector, yields_to_v3=True)
    request = request_of(vector)
    assert isinstance(verify((scheme,), request, 0), Verified)
    for value in ("AAAA", ""):
        verdict = verify((scheme,), header_changed(request, V3_HEADER, value), 0)
        assert isinstance(verdict, Refused)
        assert "v3 alone" in verdict.reason


@pytest.mark.parametrize("version", ["v2", "v3", "", "V1"])
def test_the_version_header_must_name_the_version(version: str) -> None:
    vector = VECTORS["v1-property-change"]
    request = header_changed(request_of(vector), "x-hubspot-signature-version", version)
    assert isinstance(verify((scheme_of(vector),), request, 0), Refused)


def test_all_twelve_escapes_are_decoded_once_and_no_others() -> None:
    url = "https://h/a?x=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B%20%26%3D%25%2B%23%253A"
    assert url_readings(url) == ("https://h/a?x=:/?@!$'()*,;%20%26%3D%25%2B%23%253A",)


def test_escapes_in_lower_case_are_taken_either_way() -> None:
    assert url_readings("https://h/?x=%3a%3A") == ("https://h/?x=%3a:", "https://h/?x=::")
    base = VECTORS["v3-property-change"]
    for signed in ("https://h/?x=%3a:", "https://h/?x=::"):
        message = f"POST{signed}{base['body']}{base['timestamp']}".encode()
        digest = hmac.new(base["secret"].encode(), message, "sha256").digest()
        expected = base64.b64encode(digest).decode()
        vector = {**base, "uri": "https://h/?x=%3a%3A", "expected": expected}
        assert isinstance(verify((scheme_of(vector),), request_of(vector), now_of(base)), Verified)
