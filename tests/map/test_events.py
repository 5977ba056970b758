"""A delivery becomes events: each with its identity, time and contacts, none harmed by another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.map import MappingSet
from bridge.map.events import fingerprint
from bridge.model import Delivery, Event, Found, Json, Known, State

from .conftest import RECEIVED, One
from .test_transforms import ANYTHING

RULES = """\
rules:
  - name: r
    lead: {phone_number: phone, first_name: name}
"""
Deliver = Callable[..., Delivery]


def split(one: One, receive: str, document: Json, delivery: Delivery) -> list[Event]:
    return one(receive + RULES).split(document, delivery)


@pytest.mark.parametrize(
    ("document", "count"), [([], 0), ({}, 1), ([{}, {}], 2), ([1, "a", [2]], 3), ({"a": 1}, 1)]
)
def test_lists_and_objects_become_events(
    one: One, delivery: Deliver, document: Json, count: int
) -> None:
    events = split(one, "", document, delivery())
    assert [e.ordinal for e in events] == list(range(count))
    assert not any(e.problem for e in events)


@pytest.mark.parametrize(
    "receive",
    ["", "  events: items\n", "  each: parts\n", "  events: items\n  each: _event.parts\n"],
)
@pytest.mark.parametrize(
    "document",
    [
        *([], {}, [{}, {}], None, "text", [None, 1, {"parts": [1, None]}]),
        {"items": [{"parts": [1, 2, 3]}, {"parts": []}, {"parts": 5}, None]},
        {"items": {"parts": [1, 2]}},
        {"parts": [1, 2, 3]},
    ],
)
def test_events_are_counted_as_they_are_split(
    one: One, delivery: Deliver, receive: str, document: Json
) -> None:
    plan = one(receive + RULES).plan
    assert plan.count(document, delivery()) == len(plan.split(document, delivery()))


@pytest.mark.parametrize("document", [None, "text", 5, True])
def test_what_is_no_event_is_kept_with_its_problem(
    one: One, delivery: Deliver, document: Json
) -> None:
    (event,) = split(one, "", document, delivery())
    assert event.ordinal == 0
    assert event.problem
    assert re.fullmatch("[0-9a-f]{32}", event.key)


def test_a_failing_events_expression_is_one_problem(one: One, delivery: Deliver) -> None:
    (event,) = split(one, "  events: keys(items)\n", {"items": 5}, delivery())
    assert event.problem
    assert "keys()" in event.problem


def test_expressions_see_event_body_headers_and_query(one: One, delivery: Deliver) -> None:
    receive = "  events: ids\n  event_id: [_event, _body.kind, '_headers.\"x-id\"']\n"
    events = split(one, receive, {"ids": [5, 6], "kind": "k"}, delivery({"x-id": "h"}))
    assert [e.view["_event"] for e in events] == [5, 6]
    assert events[0].view["_headers"] == {"x-id": "h"}
    assert events[0].key != events[1].key


def key(one: One, receive: str, document: Json, delivery: Delivery) -> str:
    (event,) = split(one, receive, document, delivery)
    return event.key


def test_identity_makes_copies_equal_across_deliveries(one: One, delivery: Deliver) -> None:
    by = "  event_id: [id, at]\n"
    first = key(one, by, {"id": 1, "at": 2, "try": 0}, delivery(receipt="a"))
    again = key(one, by, {"try": 1, "at": 2, "id": 1}, delivery(receipt="b"))
    other = key(one, by, {"id": 1, "at": 3}, delivery(receipt="a"))
    assert first == again != other


@pytest.mark.parametrize("by", ["", "  event_id: [id]\n", '  event_id: ["id && [id, x]"]\n'])
@pytest.mark.parametrize("value", [None, ""])
def test_without_identity_every_delivery_is_new(
    one: One, delivery: Deliver, by: str, value: Json
) -> None:
    document = {"id": value}
    assert key(one, by, document, delivery(receipt="a")) != key(
        one, by, document, delivery(receipt="b")
    )
    assert key(one, by, document, delivery(receipt="a")) == key(
        one, by, document, delivery(receipt="a")
    )


def test_content_is_an_identity(one: One, delivery: Deliver) -> None:
    by = "  event_id: content\n"
    first = key(one, by, {"a": 1, "b": "\ud800"}, delivery(receipt="a"))
    assert first == key(one, by, {"b": "\ud800", "a": 1}, delivery(receipt="b"))
    assert first != key(one, by, {"a": 2}, delivery(receipt="a"))


@given(parts=st.lists(ANYTHING, max_size=4))
@example(parts=["é\x7f\ud800", 7, 10**20, 0.1, 1e16, None, True, {"b": [1], "a": "x"}])
def test_keys_are_made_as_they_always_were(parts: list[Json]) -> None:
    """A copy that comes after an upgrade has to meet the key that its event got before it."""
    text = json.dumps(["crm", parts], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert fingerprint("crm", parts) == key


def test_the_key_of_an_event_that_was_stored_before(one: One, delivery: Deliver) -> None:
    by = "  event_id: [id, person]\n"
    event = {"id": 7, "person": {"name": "Zoë", "ids": [1, 2.5, None]}}
    assert key(one, by, event, delivery()) == "5097ab3ce0900a79e626c3873811b3d8"
    assert key(one, "", event, delivery(receipt="r" * 32)) == "2e73e199ae619a66339da3bbd5e44743"


def test_times_are_the_sources_own_or_weak(one: One, delivery: Deliver) -> None:
    by = "  event_time: {from: at, format: unix_ms}\n"

    def timed(at: Json) -> tuple[int, bool, tuple[str, ...]]:
        (event,) = split(one, by, {"at": at}, delivery())
        return event.time_ms, event.weak_time, event.notes

    assert timed(RECEIVED - 5) == (RECEIVED - 5, False, ())
    assert timed(str(RECEIVED)) == (RECEIVED, False, ())
    assert timed(RECEIVED + 300_000) == (RECEIVED + 300_000, False, ())
    odd: tuple[Json, ...] = (None, "x", RECEIVED // 1000, RECEIVED + 300_001, 10**400, {}, True, -5)
    for bad in odd:
        time_ms, weak, notes = timed(bad)
        assert (time_ms, weak) == (RECEIVED, True)
        assert notes
    (event,) = split(one, "  event_time: received\n", {}, delivery())
    assert (event.time_ms, event.weak_time, event.notes) == (RECEIVED, True, ())


KEYS = st.sampled_from(
    [
        "phone", "type", "id", "data", "events", "tags", "dnd", "dndSettings", "Call", "status",
        "do_not_call", "objectId", "occurredAt", "propertyName", "propertyValue", "portalId",
        "subscriptionType", "mergedObjectIds", "properties", "custom_fields", "timestamp", "value",
        "customFields", "objectTypeId", "email", "first_name", "firstname", "_known", "contact",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "contact.propertyChange", "object.merge", "0-1", "do_not_call", "REDACTED", "\ud800\x00",
        "ContactUpdate", "active", "+14155550123", 10**400, -1, 1e308, 1782371969536,
    ]
)  # fmt: skip
HOSTILE = st.recursive(
    ANYTHING | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    document=HOSTILE,
    record=HOSTILE,
    source=st.sampled_from(["hubspot", "generic", "gohighlevel", "hubspot-workflow"]),
)
def test_no_event_makes_the_mapping_raise(
    shipped: MappingSet, document: Json, record: Json, source: str
) -> None:
    mapping = shipped.mappings[source]
    delivery = Delivery(1, "r", source, RECEIVED, "POST", {}, {}, b"", "x")
    for event in mapping.split(document, delivery):
        assert re.fullmatch("[0-9a-f]{32}", event.key)
        "".join(f"{c.account} {c.id}" for c in event.contacts).encode("utf-8")
        wanted = mapping.wants(event)
        found = {one.lookup: Found((record,), one.ids[1:]) for one in wanted}
        mapped = mapping.apply(event, found, Known(("+14155550100",), opted_out=True))
        assert (mapped.state is None) == bool(mapped.updates)
        assert mapped.state in (None, State.SKIPPED, State.DEAD)
        for update in mapped.updates:
            assert update.fields
            assert not (update.opts_out and "mark_as_unanswered" in update.fields)
            assert all(v is not None and v != "" for v in update.fields.values())
            json.dumps(update.fields, ensure_ascii=False).encode("utf-8")
        told = [mapped.reason, *(trace.why for trace in mapped.trace)]
        "".join([*told, *mapped.phones, *event.notes]).encode("utf-8")


def test_a_deep_event_does_not_end_the_mapping(shipped: MappingSet) -> None:
    deep: Json = {}
    for _ in range(3000):
        deep = {"more": deep, "phone": [deep]}
    mapping = shipped.mappings["generic"]
    delivery = Delivery(1, "r", "generic", RECEIVED, "POST", {}, {"webhook-id": "m"}, b"", "x")
    (event,) = mapping.split(deep, delivery)
    assert mapping.apply(event, {}, Known()).state is not None


def test_a_number_without_end_does_not_end_the_mapping(shipped: MappingSet) -> None:
    mapping = shipped.mappings["generic"]
    delivery = Delivery(1, "r", "generic", RECEIVED, "POST", {}, {"webhook-id": "m"}, b"", "x")
    huge = 10**5000
    event = {"phone": huge, "do_not_call": huge, "event_id": huge, "occurred_at": huge}
    (made,) = mapping.split({**event, "custom_fields": {"x": huge}}, delivery)
    assert mapping.apply(made, {}, Known()).state is State.DEAD
