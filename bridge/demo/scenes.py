"""What the demonstration posts, in order, and what each post must lead to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.model import State

PAYLOADS = Path(__file__).parent / "payloads"
SPRING, RENEWALS = "spring", "renewals"
CAMPAIGN_IDS = {SPRING: "camp_abc123", RENEWALS: "Vm9pY2VDYW1wYWlnbjoxMjM="}

JANE, JOHN, NOAH, ADA = "+14155550123", "+919509597501", "+12125550147", "+13125550188"
JANE_ID, NOAH_ID, ADA_ID, TYPO_ID = 508369434347, 508369434900, 508369434901, 508369434902
START = 1_782_371_969_536

CONTACTS: list[dict[str, Any]] = [
    {"id": str(JANE_ID), "properties": {"phone": "(415) 555-0123", "firstname": "Jane",
                                        "hs_calculated_phone_number": JANE}},
    {"id": str(NOAH_ID), "properties": {"phone": "212-555-0147", "firstname": "Noah"}},
    {"id": str(ADA_ID), "properties": {"phone": "312 555 0188", "firstname": "Ada"}},
    {"id": str(TYPO_ID), "properties": {"phone": "call the office", "firstname": "Typo"}},
]  # fmt: skip

LEADS: dict[str, list[dict[str, Any]]] = {
    SPRING: [
        {"phone_number": JANE, "first_name": "J.", "answered": False},
        {"phone_number": JOHN, "answered": True},
        {"phone_number": ADA, "answered": True},
    ],
    RENEWALS: [
        {"phone_number": JANE, "answered": False},
        {"phone_number": JOHN, "answered": False},
        {"phone_number": ADA, "answered": False},
    ],
}


@dataclass(frozen=True)
class Expected:
    """An outcome that has to come: of one lead in one campaign, or (both empty) of an event."""

    state: State
    campaign: str = ""
    phone: str = ""
    message: str = ""


@dataclass(frozen=True)
class Scene:
    """One post. ``status``: the HTTP status that has to come back."""

    title: str
    source: str
    body: bytes
    expected: tuple[Expected, ...] = field(default=())
    spoilt: bool = False
    status: int = 200


def _both(state: State, phone: str, message: str = "") -> tuple[Expected, ...]:
    return tuple(Expected(state, name, phone, message) for name in (SPRING, RENEWALS))


def _change(contact: int, name: str, value: str, after_ms: int, attempt: int = 0) -> dict[str, Any]:
    """A HubSpot property change, with the keys that HubSpot sends."""
    return {
        "attemptNumber": attempt,
        "sourceId": "userId:75514748",
        "eventId": 2572854943 + after_ms,
        "changeSource": "CRM_UI",
        "occurredAt": START + after_ms,
        "subscriptionType": "contact.propertyChange",
        "propertyName": name,
        "portalId": 48975575,
        "appId": 39522895,
        "propertyValue": value,
        "subscriptionId": 6527613,
        "objectId": contact,
    }


def _hubspot(title: str, events: list[dict[str, Any]], *expected: Expected) -> Scene:
    return Scene(title, "hubspot", json.dumps(events).encode(), expected)


def scenes() -> list[Scene]:
    """All posts, in order."""
    opt_out = (PAYLOADS / "hubspot-opt-out.json").read_bytes()
    again = {**json.loads(opt_out)[0], "attemptNumber": 1}
    return [
        Scene(
            "HubSpot: Jane asks not to be called", "hubspot", opt_out, _both(State.UPDATED, JANE)
        ),
        _hubspot(
            "HubSpot sends that event again, beside a new e-mail address",
            [again, _change(JANE_ID, "email", "jane@example.com", 9_000)],
            Expected(State.DUPLICATE),
            *_both(State.UPDATED, JANE),
        ),
        _hubspot(
            "HubSpot: her first name becomes Janet",
            [_change(JANE_ID, "firstname", "Janet", 20_000)],
            *_both(State.UPDATED, JANE),
        ),
        _hubspot(
            "HubSpot: an older change of her name arrives late",
            [_change(JANE_ID, "firstname", "Jan", 10_000)],
            *_both(State.SUPERSEDED, JANE, "newer event"),
        ),
        _hubspot(
            "HubSpot: Ada wants another call",
            [_change(ADA_ID, "call_again", "true", 30_000)],
            *_both(State.UPDATED, ADA),
        ),
        Scene(
            "HighLevel: John's calls are blocked",
            "gohighlevel",
            (PAYLOADS / "gohighlevel-calls-blocked.json").read_bytes(),
            _both(State.UPDATED, JOHN),
        ),
        Scene(
            "HighLevel: John's details change",
            "gohighlevel",
            (PAYLOADS / "gohighlevel-contact-update.json").read_bytes(),
            _both(State.UPDATED, JOHN),
        ),
        _hubspot(
            "HubSpot: Noah opts out, whom no campaign has yet",
            [_change(NOAH_ID, "do_not_call", "true", 40_000)],
            *_both(State.STANDING, NOAH, "not found"),
        ),
        _hubspot(
            "HubSpot: a contact whose phone nobody can read",
            [_change(TYPO_ID, "do_not_call", "true", 50_000)],
            Expected(State.DEAD, message="not a phone number"),
        ),
        Scene(
            "A forger, whose signature is wrong", "hubspot", opt_out, (), spoilt=True, status=401
        ),
    ]


def wrong_leads(leads: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """What is wrong with the leads that the campaigns hold at the end, by campaign and phone."""
    must: list[tuple[str, str, dict[str, Any]]] = [
        (name, phone, fields)
        for name in (SPRING, RENEWALS)
        for phone, fields in (
            (JANE, {"do_not_call": True, "first_name": "Janet", "email": "jane@example.com"}),
            (JOHN, {"do_not_call": True, "first_name": "John", "last_name": "Deo"}),
            (NOAH, {"do_not_call": True}),
            (ADA, {"do_not_call": False, "answered": False}),
        )
    ]
    must.append((SPRING, ADA, {"requeued": 1}))
    must.append((RENEWALS, ADA, {"requeued": 0}))
    return [
        f"{phone} in {name}: {field} is {leads[name].get(phone, {}).get(field)!r}, not {value!r}"
        for name, phone, fields in must
        for field, value in fields.items()
        if leads[name].get(phone, {}).get(field) != value
    ]
