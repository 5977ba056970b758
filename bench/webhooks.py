"""Webhooks as they go over the wire, each one new and signed by HubSpot's formulas."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

from bench.client import request
from bridge.clock import now_ms
from bridge.receive.verify.hubspot import plain_signature, v3_signature

SECRET = "bench-client-secret"  # noqa: S105 - only this folder knows it
PUBLIC = "https://bridge.example.com"

_numbers = itertools.count(1)


def app_events(count: int, *, contacts: int = 1_000_000) -> list[dict[str, object]]:
    """Property changes of contacts, as an app is told of them; the contact has to be read."""
    made = []
    for _ in range(count):
        number = next(_numbers)
        made.append(
            {
                "eventId": number,
                "subscriptionId": 6527613,
                "portalId": 48975575,
                "appId": 39522895,
                "occurredAt": now_ms(),
                "subscriptionType": "contact.propertyChange",
                "attemptNumber": 0,
                "objectId": number % contacts,
                "propertyName": "firstname",
                "propertyValue": f"Jane {number}",
                "changeSource": "CRM_UI",
                "sourceId": "userId:75514748",
            }
        )
    return made


def app_webhook(url: str, events: list[dict[str, object]]) -> bytes:
    """One delivery of an app, signed by version 3."""
    body = json.dumps(events).encode()
    stamp = str(now_ms())
    signature = v3_signature(SECRET.encode(), "POST", f"{PUBLIC}/hooks/hubspot", body, stamp)
    return request(
        f"{url}/hooks/hubspot",
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/)",
            "X-HubSpot-Signature-v3": signature.decode(),
            "X-HubSpot-Request-Timestamp": stamp,
        },
    )


def workflow_body(phone: str, *, opt_out: bool, name: str = "Jane") -> bytes:
    """What a workflow posts: the phone number is in it, so nothing has to be looked up."""
    number = next(_numbers)
    body: dict[str, object] = {
        "event_id": str(number),
        "occurred_at": now_ms(),
        "phone": phone,
        "firstname": f"{name} {number}",
        "hs_object_id": str(number),
    }
    if opt_out:
        body["do_not_call"] = "true"
    return json.dumps(body).encode()


def workflow_webhook(url: str, body: bytes) -> bytes:
    """One delivery of a workflow, signed by version 2."""
    signature = plain_signature(
        "v2", SECRET.encode(), "POST", f"{PUBLIC}/hooks/hubspot-workflow", body
    )
    return request(
        f"{url}/hooks/hubspot-workflow",
        body,
        {
            "Content-Type": "application/json",
            "X-HubSpot-Signature": signature.decode(),
            "X-HubSpot-Signature-Version": "v2",
        },
    )


def prepared(count: int, make: Callable[[], bytes]) -> list[bytes]:
    """So many requests, made before the clock starts."""
    return [make() for _ in range(count)]
