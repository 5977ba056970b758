"""A sender that nobody wrote a file for takes a file and no Python: from signed bytes to updates.

Both are written from what their senders document, as a user would; the vectors are theirs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.map import SourceMapping, load_mappings
from bridge.model import Delivery, Known, Refused, Verified
from bridge.receive.decode import decode
from bridge.receive.verify.any_of import verify
from bridge.settings import Environment

from .test_declared_schemes import VECTORS, request_of

CALENDLY = """\
source: calendly
title: Calendly webhooks
receive:
  verify:
    - hmac:
        secret: "${SIGNING_KEY}"
        header: Calendly-Webhook-Signature
        style: parts
        signed: [timestamp, "text:.", body]
        timestamp: {part: t, tolerance: 180}
  event_id: [event, payload.uri, payload.updated_at]
  event_time: {from: created_at, format: iso}
rules:
  - name: invitee
    when: "event == 'invitee.created'"
    lead:
      phone_number: {first: [payload.text_reminder_number]}
      first_name: payload.first_name
      last_name: payload.last_name
      email: {from: payload.email, to: email}
"""
TYPEFORM = """\
source: typeform
title: Typeform webhooks
receive:
  verify:
    - hmac:
        secret: "${SIGNING_KEY}"
        header: Typeform-Signature
        prefix: "sha256="
        encoding: base64
  event_id: [event_id]
  event_time: {from: form_response.submitted_at, format: iso}
define:
  answers: "form_response.answers"
rules:
  - name: stop calling me
    when: "answers[?field.ref == 'stop_calls'].boolean | [0]"
    channel: voice
    lead:
      phone_number: {all: ["answers[?field.ref == 'phone'].phone_number"]}
      do_not_call: {value: true}
"""
PHONE = "+12025550143"
EXPECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "calendly": (
        CALENDLY,
        {"first_name": "Ann", "last_name": "Lee", "email": "ann.lee@example.com"},
    ),
    "typeform": (TYPEFORM, {"do_not_call": True}),
}


def mapping_of(folder: Path, name: str, secret: str) -> SourceMapping:
    (folder / "campaigns.yaml").write_text("campaigns: {main: {id: camp_1}}\n")
    (folder / f"{name}.yaml").write_text(EXPECTED[name][0])
    return load_mappings(
        folder,
        Environment({"SIGNING_KEY": secret, "BRIDGE_API_TOKEN": "t"}),
        api_url="https://api.example.com",
        api_token=Environment({"T": "t"}).secret("T"),
        default_region="US",
    ).mappings[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_from_signed_bytes_to_lead_updates(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    mapping = mapping_of(tmp_path, name, vector["secret"])
    request = request_of(vector)
    now = vector["now"] * 1000
    assert isinstance(verify(mapping.source.verify, request, now), Verified)
    changed = replace(request, body=request.body.replace(b"0143", b"0144"))
    assert isinstance(verify(mapping.source.verify, changed, now), Refused)
    document = decode(mapping.source.decode, request.body, max_depth=50)
    delivery = Delivery(1, "r1", name, now, "POST", {}, {}, request.body, "hmac")
    (event,) = mapping.split(document, delivery)
    assert not event.weak_time
    (update,) = mapping.apply(event, {}, Known()).updates
    assert (update.phone, dict(update.fields)) == (PHONE, EXPECTED[name][1])
