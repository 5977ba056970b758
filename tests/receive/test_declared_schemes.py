"""Every sender of the vector file by what a mapping file declares, without a line of Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.model import Refused, Request, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .declared import BY_VECTOR, declared
from .webhooks import flipped, make_request, read_vectors

FILE = read_vectors("signatures.json")
VECTORS: dict[str, dict[str, Any]] = {vector["id"]: vector for vector in FILE["vectors"]}
# Nothing ties these to the body: whoever knows the secret may send anything.
NOT_OVER_BODY = {
    "monday-jwt",
    "pipedrive-basic",
    "static-header",
    "dataverse-webhook-key",
    "zoho-body-token",
    "copper-body-secret",
    "salesforce-organization",
}

# What comes with a request and plays no part in its signature.
NOT_SIGNED = {
    "idempotency-key",
    "x-twilio-webhooks-signature-settings",
    "x-twenty-webhook-nonce",
}


def secret_of(vector: dict[str, Any]) -> str:
    value: str = vector["secret"]
    return value.removeprefix("bridge:") if "basic" in vector.get("like", vector["id"]) else value


def request_of(vector: dict[str, Any]) -> Request:
    pairs = list(vector["headers"].items())
    if "repeat_header" in vector:
        pairs.append(tuple(vector["repeat_header"]))
    return make_request(
        url=vector["url"], method=vector["method"], headers=pairs, body=vector["body"].encode()
    )


def test_every_vector_is_declared() -> None:
    assert BY_VECTOR.keys() == VECTORS.keys()


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_genuine_request_passes_and_a_changed_one_does_not(name: str) -> None:
    vector = VECTORS[name]
    now = vector["now"] * 1000
    source = declared(BY_VECTOR[name], secret_of(vector))
    assert [check_scheme(scheme) for scheme in source.verify] == [None]
    request = request_of(vector)
    assert isinstance(verify(source.verify, request, now), Verified)
    if name not in NOT_OVER_BODY:
        for body in (*flipped(request.body, step=97), request.body + b" "):
            altered = verify(source.verify, replace(request, body=body), now)
            assert isinstance(altered, Refused), body
    wrong = declared(BY_VECTOR[name], changed(secret_of(vector)))
    assert isinstance(verify(wrong.verify, request, now), Refused)
    for header in vector["headers"]:
        if header.lower() in ("content-type", "soapaction") or "Id" in header:
            continue
        left = {key: value for key, value in request.headers.items() if key != header.lower()}
        missing = verify(source.verify, replace(request, headers=left), now)
        needless = header.lower() in NOT_SIGNED
        assert isinstance(missing, Verified if needless else Refused), header


def changed(secret: str) -> str:
    """Another secret of the same form: its last letter or digit is another one."""
    place = max(i for i, letter in enumerate(secret) if letter.isalnum()) - 3
    return secret[:place] + ("a" if secret[place] != "a" else "b") + secret[place + 1 :]


@pytest.mark.parametrize("case", FILE["refuse"], ids=lambda case: case["id"])
def test_a_request_to_be_refused_is(case: dict[str, Any]) -> None:
    if not case["secret"]:
        assert declared(BY_VECTOR[case["like"]], "").missing == ("SECRET",)
        return
    source = declared(BY_VECTOR[case["like"]], secret_of(case))
    verdict = verify(source.verify, request_of(case), case["now"] * 1000)
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_what_is_declared_can_be_sent(name: str) -> None:
    vector = VECTORS[name]
    if name == "standard-webhooks-v1a":
        return  # needs the sender's private key; see test_public_keys
    source = declared(BY_VECTOR[name], secret_of(vector))
    url = vector["url"].partition("?")[0].removesuffix("/sf-path-test-token")
    given = {"Klaviyo-Webhook-Id": "another"} if "klaviyo" in name else {}
    body = vector["body"].encode()
    for spoil in (False, True):
        made = sign(
            source.verify,
            method="POST",
            url=url,
            body=body,
            now_ms=vector["now"] * 1000,
            headers=given,
            spoil=spoil,
        )
        request = make_request(url=made.url, headers=made.headers, body=made.body)
        verdict = verify(source.verify, request, vector["now"] * 1000)
        assert isinstance(verdict, Refused if spoil else Verified), verdict
