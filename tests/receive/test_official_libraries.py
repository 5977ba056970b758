"""The senders' own libraries agree with ours, both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hubspot.utils.signature import Signature
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from bridge.model import HubSpotScheme, Refused, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify

from .declared import BY_VECTOR, declared
from .test_declared_schemes import VECTORS
from .webhooks import NOW, make_request, secret

URL = "https://bridge.example.com/hooks/crm"
WHSEC = "whsec_Nrxy/3HShlwkS6Oi/Gs5LgSkLyhjToc6VENzDi1k4+8="
BODY = '{"type":"contact.updated","data":{"name":"José"}}'


def test_svix() -> None:
    # it loads hundreds of modules, which not every tester has to do to find the tests
    from svix.webhooks import Webhook, WebhookVerificationError

    schemes = declared(BY_VECTOR["svix-v1"], WHSEC).verify
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    theirs = Webhook(WHSEC)
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": theirs.sign("msg_1", now, BODY),
    }
    good = make_request(headers=headers, body=BODY.encode())
    assert isinstance(verify(schemes, good, now_ms), Verified)
    made = sign(schemes, method="POST", url=URL, body=BODY.encode(), now_ms=now_ms, headers={})
    theirs.verify(BODY.encode(), made.headers)
    with pytest.raises(WebhookVerificationError):
        theirs.verify(BODY.encode() + b" ", made.headers)


@pytest.mark.parametrize("name", ["twilio-form", "twilio-repeated"])
def test_twilio(name: str) -> None:
    validator = RequestValidator("an-auth-token")
    body: str = VECTORS[name]["body"]
    pairs = MultiDict(parse_qsl(body, keep_blank_values=True))
    source = declared(BY_VECTOR["twilio-form"], "an-auth-token")
    made = sign(source.verify, method="POST", url=URL, body=body.encode(), now_ms=0, headers={})
    assert validator.validate(URL, pairs, made.headers["X-Twilio-Signature"])
    theirs = {"X-Twilio-Signature": validator.compute_signature(URL, pairs)}
    good = make_request(url=URL, headers=theirs, body=body.encode())
    assert isinstance(verify(source.verify, good, 0), Verified)
    changed = make_request(url=URL, headers=theirs, body=body.encode() + b"&x=1")
    assert isinstance(verify(source.verify, changed, 0), Refused)


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_hubspot(version: str) -> None:
    scheme = HubSpotScheme(version, secret("client-secret"))  # type: ignore[arg-type]
    made = sign((scheme,), method="POST", url=URL, body=BODY.encode(), now_ms=NOW, headers={})
    header = "X-HubSpot-Signature-v3" if version == "v3" else "X-HubSpot-Signature"
    expected = Signature.get_signature(
        "client-secret", BODY, version, http_uri=URL, http_method="POST", timestamp=str(NOW)
    )
    assert made.headers[header] == expected
    request = make_request(url=URL, headers=made.headers, body=BODY.encode())
    assert isinstance(verify((scheme,), request, NOW), Verified)
