"""Webhooks as they go over the wire, each one new and signed by HubSpot's formulas.

Every event has a number of its own, which its first name ends with (see ``bench.sink``).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.client import request
from bridge.clock import now_ms
from bridge.receive.verify.hubspot import plain_signature, v3_signature

SECRET = "bench-client-secret"  # noqa: S105 - only this folder knows it
PUBLIC = "https://bridge.example.com"
GENERIC_TOKEN = "bench-generic-token"  # noqa: S105 - as above
CONTACTS = 7_000_000
"""Contacts that take turns; those above are left for opt-outs."""

_numbers = itertools.count(1)
_contacts = itertools.count(1)


def begin_anew() -> None:
    """The next event is the first one again, and so is the next contact: for a new sink."""
    global _numbers, _contacts
    _numbers, _contacts = itertools.count(1), itertools.count(1)


def app_events(count: int, *, contacts: int = CONTACTS) -> list[dict[str, object]]:
    """Property changes of contacts, as an app is told of them; the contact has to be read.

    So many contacts take turns.
    """
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
                "objectId": next(_contacts) % contacts,
                "propertyName": "firstname",
                "propertyValue": f"Jane {number}",
                "changeSource": "CRM_UI",
                "sourceId": "userId:75514748",
            }
        )
    return made


def app_webhook(url: str, events: list[dict[str, object]]) -> bytes:
    """One delivery of an app, signed by version 3, to the bridge at this URL."""
    return app_request(f"{url}/hooks/hubspot", events)


def app_request(url: str, events: list[dict[str, object]]) -> bytes:
    """The same to whatever URL; the signature is over the bridge's."""
    body = json.dumps(events).encode()
    stamp = str(now_ms())
    signature = v3_signature(SECRET.encode(), "POST", f"{PUBLIC}/hooks/hubspot", body, stamp)
    return request(
        url,
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


@dataclass(frozen=True, slots=True)
class LeadEvent:
    """An event of generic JSON: of this phone number, at this time (ms)."""

    number: int
    phone: str
    at: int


def lead_events(count: int, phone: Callable[[int], str]) -> list[LeadEvent]:
    """So many events, each a millisecond newer than the one before; the last one is of now."""
    now = now_ms()
    return [LeadEvent(next(_numbers), phone(n), now - count + 1 + n) for n in range(count)]


def generic_webhook(url: str, events: Sequence[LeadEvent]) -> bytes:
    """One delivery of generic JSON."""
    body = [
        {
            "event_id": str(one.number),
            "occurred_at": datetime.fromtimestamp(one.at / 1000, UTC).isoformat(),
            "phone": one.phone,
            "first_name": f"Jane {one.number}",
        }
        for one in events
    ]
    return request(
        f"{url}/hooks/generic",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {GENERIC_TOKEN}"},
    )


def prepared(count: int, make: Callable[[], bytes]) -> list[bytes]:
    """So many requests, made before the clock starts."""
    return [make() for _ in range(count)]
