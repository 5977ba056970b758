"""A long random story: events about leads, as a careless CRM would deliver them.

They come shuffled, several to a delivery, some twice, many at equal times, some malformed, some
about leads that no campaign has. The same seed tells the same story.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bridge_process import Bridge
from sandbox_client import Sandbox

from bridge.clock import now_ms

CAMPAIGNS = {"one": "camp_one", "two": "c2FtcGxl/Y2FtcGFpZ24=", "three": "Zm9vYmFyYmF6cQ=="}


@dataclass(frozen=True)
class Told:
    """One event. ``fields``: what it asks to be set, custom fields as ``custom_fields.<name>``.

    ``end``: how it must end if it asks for nothing that can be sent. ``again``: asks for a call.
    """

    id: str
    body: Any = field(hash=False)
    at: int = 0
    phone: str = ""
    campaigns: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    again: bool = False
    end: str = ""

    @property
    def contact(self) -> bool:
        """Whether it names a contact of the CRM."""
        return isinstance(self.body, dict) and "contact" in self.body


@dataclass(frozen=True)
class Story:
    """``deliveries`` in the order in which they are sent, each a list of events."""

    deliveries: list[list[Told]]
    known: frozenset[tuple[str, str]]
    phones: tuple[str, ...]

    @property
    def told(self) -> list[Told]:
        """Every event, copies included."""
        return [one for delivery in self.deliveries for one in delivery]

    def prepare(self, sandbox: Sandbox) -> None:
        """Put the leads that are known into the sandbox's campaigns."""
        for name, campaign in CAMPAIGNS.items():
            sandbox.put_leads(
                campaign,
                [
                    {"phone_number": phone, "answered": True}
                    for phone in self.phones
                    if (name, phone) in self.known
                ],
            )

    def send(self, bridge: Bridge, part: slice = slice(None), hands: int = 6) -> list[str]:
        """Deliver (a part of) the story, several at a time; the receipts in story order."""
        bodies = [[one.body for one in delivery] for delivery in self.deliveries[part]]
        with ThreadPoolExecutor(hands) as pool:
            return list(pool.map(lambda body: bridge.deliver("crm", body), bodies))


def tell(seed: int, count: int, leads: int, *, mean_size: int = 25) -> Story:
    """A story of ``count`` events about ``leads`` leads, of which some are in no campaign."""
    draw = random.Random(seed)
    phones = tuple(f"+1415555{number:04d}" for number in range(leads))
    known = frozenset(
        (name, phone)
        for number, phone in enumerate(phones)
        for name in CAMPAIGNS
        if number % 15 and not (name == "three" and number % 20 == 1)
    )
    start = now_ms() - 10 * 86_400_000
    told: list[Told] = []
    while len(told) < count:
        if told and draw.random() < 0.06:
            told.append(draw.choice(told[-400:]))
        else:
            told.append(_event(draw, len(told), phones, start))
    # events arrive late by up to a few hundred places
    told = [one for _, one in sorted(enumerate(told), key=lambda p: p[0] + draw.random() * 300)]
    deliveries = []
    while told:
        size = draw.randint(1, 2 * mean_size)
        deliveries.append(told[:size])
        told = told[size:]
    return Story(deliveries, known, phones)


def _event(draw: random.Random, number: int, phones: tuple[str, ...], start: int) -> Told:
    name = f"event-{number}"
    if draw.random() < 0.03:
        return _malformed(draw, name, draw.choice(phones))
    phone = draw.choice(phones)
    at = start + draw.randrange(60) * 1000
    campaigns = tuple(CAMPAIGNS)
    body: dict[str, Any] = {"id": name, "at": at, "phone": _spelled(draw, phone)}
    if draw.random() < 0.3:
        campaigns = tuple(draw.sample(campaigns, draw.randint(1, 2)))
        body["to"] = list(campaigns)
    fields: dict[str, Any] = {}
    details: dict[str, Any] = {}
    kind = draw.random()
    opts_out = kind < 0.12
    if opts_out:
        body["dnc"] = True
        fields["do_not_call"] = True
    elif kind < 0.18:
        body |= {"dnc": False, "allowed": True}
        fields["do_not_call"] = False
    elif kind < 0.24:
        body |= {"dnc": False, "allowed": False}
    if kind >= 0.24 or draw.random() < 0.2:
        _details(draw, name, details, fields)
    again = draw.random() < 0.12 and not opts_out
    if again:
        body["again"] = True
        fields["mark_as_unanswered"] = True
        # names the event in the call that carries its mark
        details.setdefault("custom", {})["again_id"] = name
        fields["custom_fields.again_id"] = name
    if details:
        body["details"] = details
    if opts_out and not details and draw.random() < 0.1:
        # a mistake in another field does not hold up an opt-out
        body["details"] = {"email": "no address"}
    return Told(name, body, at, phone, campaigns, fields, again, "" if fields else "skipped")


def _details(
    draw: random.Random, name: str, details: dict[str, Any], fields: dict[str, Any]
) -> None:
    value = {
        "first_name": f"First {name}",
        "last_name": f"Last {name}",
        "email": f"{name}@example.com",
    }
    for key in draw.sample(list(value), draw.randint(1, 2)):
        details[key] = fields[key] = value[key]
    if draw.random() < 0.4:
        custom: dict[str, Any] = {"plan": f"plan of {name}"}
        if draw.random() < 0.5:
            custom["score"] = int(name.rpartition("-")[2])
        details["custom"] = custom
        fields |= {f"custom_fields.{key}": one for key, one in custom.items()}


def _malformed(draw: random.Random, name: str, phone: str) -> Told:
    bodies: list[tuple[Any, str]] = [
        (None, "dead"),
        ("just a text", "skipped"),
        (17, "skipped"),
        ({"id": name, "phone": "12", "dnc": True}, "dead"),
        ({"id": name, "phone": phone, "details": {"email": "no address"}}, "dead"),
        ({"id": name, "phone": phone, "details": {"custom": {"deep": {"er": 1}}}}, "dead"),
        ({"id": name, "phone": {"no": "number"}, "dnc": True}, "dead"),
        ({"id": name, "phone": phone, "dnc": True, "to": ["no such campaign"]}, "dead"),
        ({"id": name, "details": {"first_name": "Nobody"}}, "skipped"),
    ]
    body, end = draw.choice(bodies)
    return Told(name, body, end=end)


def _spelled(draw: random.Random, phone: str) -> str:
    area, exchange, line = phone[2:5], phone[5:8], phone[8:]
    return draw.choice(
        [phone, phone, phone, f"({area}) {exchange}-{line}", f"+1 {area} {exchange} {line}"]
    )
