"""Senders of ids, of lists in lists and of leads in events; what a copy is; where a time stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.map.events import MOST_SPLIT
from bridge.model import Delivery, Event, Json, Known

from .conftest import RECEIVED, One

RULES = """\
rules:
  - name: opt-out
    channel: voice
    lead:
      phone_number: {all: ["phones[].phone"]}
      first_name: {from: name, to: first_name}
      do_not_call: {from: dnc, to: {boolean: {"true": ["Yes"], "false": ["No"]}}}
"""
Deliver = Callable[..., Delivery]
IDS = {"eventId": "e1", "eventCreated": "2026-01-15T10:29:58+00:00", "resourceIds": [1, 2]}


def split(one: One, receive: str, document: Json, delivery: Delivery) -> list[Event]:
    return one(receive + RULES).split(document, delivery)


def keys(one: One, receive: str, delivery: Deliver, *documents: Json, at: int = RECEIVED) -> int:
    """How many different events these deliveries hold."""
    found = [
        event.key
        for place, document in enumerate(documents)
        for event in split(one, receive, document, delivery(None, f"r{place}", at))
    ]
    return len(set(found))


@pytest.mark.parametrize("document", [IDS, [IDS]], ids=["a body", "a list of bodies"])
def test_each_item_of_a_list_is_an_event_and_keeps_what_stands_around_it(
    one: One, delivery: Deliver, document: Json
) -> None:
    receive = (
        "  each: resourceIds\n  event_id: [eventId, _item]\n"
        "  event_time: {from: eventCreated, format: iso}\n  contacts: {ids: [_item]}\n"
    )
    events = split(one, receive, document, delivery())
    assert [event.view["_item"] for event in events] == [1, 2]
    assert [event.contacts[0].id for event in events] == ["1", "2"]
    assert {event.time_ms for event in events} == {1768472998000}
    assert len({event.key for event in events}) == 2
    assert [event.ordinal for event in events] == [0, 1]


def test_each_object_has_a_time_of_its_own(one: One, delivery: Deliver) -> None:
    receive = (
        "  each: object_keys\n  event_id: [event_key, _item.id, _item.timestamp]\n"
        "  event_time: {from: _item.timestamp, format: iso}\n"
    )
    body = {
        "event_key": "contact.edit",
        "object_keys": [
            {"id": 123, "timestamp": "2026-01-15T10:29:58.000Z"},
            {"id": 124, "timestamp": "2026-01-15T10:29:59.000Z"},
        ],
    }
    events = split(one, receive, body, delivery())
    assert [event.time_ms for event in events] == [1768472998000, 1768472999000]


@pytest.mark.parametrize("items", [None, [], "absent", ""])
def test_an_event_without_items_is_accounted_for(one: One, delivery: Deliver, items: Json) -> None:
    body = {"kind": "x"} | ({} if items == "absent" else {"ids": items})
    (event,) = split(one, "  each: ids\n", body, delivery())
    assert event.problem is None
    assert event.view["_item"] is None


def test_a_body_that_multiplies_itself_is_not_followed(one: One, delivery: Deliver) -> None:
    body = [{"n": n} for n in range(1000)]
    events = split(one, '  each: "_body[]"\n', body, delivery())
    assert len(events) == MOST_SPLIT


def test_one_lead_of_a_crm_becomes_several_lead_updates(one: One, delivery: Deliver) -> None:
    receive = '  events: "event.data.contacts || [event.data]"\n  event_id: [_body.event.id, id]\n'
    body = {
        "event": {
            "id": "ev_1",
            "data": {
                "contacts": [
                    {
                        "id": "c1",
                        "name": "Ann Lee",
                        "dnc": "Yes",
                        "phones": [{"phone": "+12025550143"}],
                    },
                    {
                        "id": "c2",
                        "name": "José Núñez",
                        "dnc": None,
                        "phones": [{"phone": "+12125550190"}, {"phone": "+442079460123"}],
                    },
                ]
            },
        }
    }
    mapping = one(receive + RULES)
    updates = [
        (update.phone, dict(update.fields))
        for event in mapping.split(body, delivery())
        for update in mapping.apply(event, {}, Known()).updates
        if update.campaign == "main"
    ]
    assert updates == [
        ("+12025550143", {"first_name": "Ann", "do_not_call": True}),
        ("+12125550190", {"first_name": "José"}),
        ("+442079460123", {"first_name": "José"}),
    ]


def test_events_that_lack_a_part_of_their_identity_are_no_copies_of_one_another(
    one: One, delivery: Deliver
) -> None:
    receive = "  event_id: [id, topic]\n"
    first, other = {"id": None, "topic": "x", "p": 1}, {"topic": "x", "p": 2}
    assert keys(one, receive, delivery, first, other) == 2
    assert keys(one, receive, delivery, first, first) == 1
    assert (
        keys(one, receive, delivery, {"id": 7, "topic": "x", "p": 1}, {"id": 7, "topic": "x"}) == 1
    )


def test_without_any_part_of_an_identity_every_delivery_is_new(one: One, delivery: Deliver) -> None:
    assert keys(one, "  event_id: [id]\n", delivery, {"id": None}, {"id": None}) == 2


def test_the_same_content_is_a_copy_only_for_a_while(one: One, delivery: Deliver) -> None:
    receive = "  event_id: {of: content, within: 3600}\n"
    mapping = one(receive + RULES)
    start = RECEIVED // 3_600_000 * 3_600_000

    def key(at: int) -> str:
        return mapping.split({"id": "1", "dnc": True}, delivery(None, "r", at))[0].key

    assert key(start) == key(start + 3_599_999)
    assert key(start) != key(start + 3_600_000)


def test_what_a_copy_is_may_name_what_stands_outside_the_body(one: One) -> None:
    mapping = one("  event_id: {of: [_event, _query.event], within: 60}\n" + RULES)

    def key(event: str) -> str:
        query = {"event": event}
        delivery = Delivery(1, "r", "crm", RECEIVED, "POST", query, {}, b"", "bearer")
        return mapping.split({"id": "1"}, delivery)[0].key

    assert key("Contact.update") == key("Contact.update") != key("Contact.create")


TWO = (
    "  event_time:\n    - {from: meta.timestamp_micro, format: unix_us}\n"
    "    - {from: meta.timestamp, format: unix_s}\n    - {from: update_time, format: iso,"
    " zone: UTC}\n"
)


LATER = {"meta": {"timestamp_micro": "soon"}, "update_time": "2026-01-15 10:29:58"}


@pytest.mark.parametrize(
    ("body", "time_ms", "weak"),
    [
        ({"meta": {"timestamp_micro": 1768472998057154}}, 1768472998057, False),
        ({"meta": {"timestamp": 1768472998}}, 1768472998000, False),
        (LATER, 1768472998000, False),
        ({"meta": {"timestamp_micro": "soon"}}, RECEIVED, True),
        ({}, RECEIVED, True),
    ],
)
def test_of_several_times_the_first_that_can_be_read_counts(
    one: One, delivery: Deliver, body: Json, time_ms: int, weak: bool
) -> None:
    (event,) = split(one, TWO, body, delivery())
    assert (event.time_ms, event.weak_time) == (time_ms, weak)
    assert bool(event.notes) == weak


@pytest.mark.parametrize(
    ("form", "value", "time_ms"),
    [
        ("iso", "2026-01-15T10:29:58Z", 1768472998000),
        ("iso", "2026-01-15T10:29:58.1Z", 1768472998100),
        ("iso", "2026-01-15T10:29:58.057000000Z", 1768472998057),
        ("iso", "2026-01-15T10:29:58.051247Z", 1768472998051),
        ("iso", "2026-01-15T04:29:58-06:00", 1768472998000),
        ("iso, zone: UTC", "2026-01-15T10:29:58.057000", 1768472998057),
        ("iso, zone: UTC", "2026-01-15 10:29:58", 1768472998000),
        ("iso, zone: America/Chicago", "2026-01-15 04:29:58.051247", 1768472998051),
        ('"%Y-%m-%d %H:%M:%S", zone: UTC', "2026-01-15 10:29:58", 1768472998000),
        ("unix_s", 1768472998, 1768472998000),
        ("unix_s", 1768472998.0571542, 1768472998057),
        ("unix_s", "1768472998", 1768472998000),
        ("unix_ms", 1768472998057, 1768472998057),
        ("unix_us", 1768472998057154, 1768472998057),
        ("dotnet", "/Date(1768472998000-0800)/", 1768472998000),
        ("dotnet", "/Date(1768472998000)/", 1768472998000),
        ("http_date", "Thu, 15 Jan 2026 10:29:58 GMT", 1768472998000),
    ],
)
def test_every_format_of_a_sender_is_read(
    one: One, delivery: Deliver, form: str, value: Json, time_ms: int
) -> None:
    receive = f"  event_time: {{from: at, format: {form}}}\n"
    (event,) = split(one, receive, {"at": value}, delivery())
    assert (event.time_ms, event.weak_time, event.notes) == (time_ms, False, ())


def test_a_definition_takes_transforms(one: One, delivery: Deliver) -> None:
    text = (
        "define:\n  keyword: {from: Body, to: [trim, upper]}\n"
        "  target: {from: Attributes, to: {map: {key: key, value: value}}}\n"
        "  dnc: {from: target.donotphone, to: boolean}\n  broken: {from: Body, to: integer}\n"
    )
    body = {"Body": " stop ", "Attributes": [{"key": "donotphone", "value": "yes"}]}
    (event,) = split(one, text, body, delivery())
    assert event.view["keyword"] == "STOP"
    assert event.view["dnc"] is True
    assert event.view["broken"] is None
    assert "`broken` is absent" in event.notes[0]


def test_presence_tells_null_from_absent(one: One, delivery: Deliver) -> None:
    mapping = one(
        RULES.replace(
            "channel: voice", "channel: voice\n    when: \"contains(keys(_event), 'dnc')\""
        )
    )
    fired = [
        mapping.apply(mapping.split(body, delivery())[0], {}, Known()).trace[0].fired
        for body in ({"dnc": None}, {"dnc": "No"}, {})
    ]
    assert fired == [True, True, False]
