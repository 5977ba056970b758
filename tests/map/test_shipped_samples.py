"""Samples as their senders write them, under the settings that their users would have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.map import SourceMapping, load_mappings
from bridge.model import Delivery, Event, Found, Known, Mapped, State
from bridge.receive.decode import decode
from bridge.settings import Environment

from .conftest import SHIPPED

PIPEDRIVE = {
    "PIPEDRIVE_OPT_OUT_FIELD": "45e4cab5196d6115528f219c983408add4f7bfd7",
    "PIPEDRIVE_OPT_OUT_OPTION": "57",
    "PIPEDRIVE_CUSTOM_FIELD": "bed97175b06e68eb7ff5722897aa86b8ea75c8ef",
}
CLOSE = {"CLOSE_OPT_OUT_FIELD": "cf_ozs6LVbOB8nMx2CnAIp9MepfeIQ3IJeo1c6RA7foo830"}
NO_STATUS = {"CLOSE_OPT_OUT_STATUS": "x"}
NOTHING: dict[str, Found] = {}


def shipped(source: str, **settings: str) -> SourceMapping:
    return load_mappings(
        SHIPPED,
        Environment(settings),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
        placeholders=True,
        only=source,
    ).mappings[source]


def sample(name: str) -> bytes:
    return (SHIPPED / "payloads" / name).read_bytes()


def split(mapping: SourceMapping, body: bytes | Any) -> list[Event]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    document = decode(mapping.source.decode, raw, max_depth=100)
    name = mapping.source.name
    delivery = Delivery(1, "r", name, 1_900_000_000_000, "POST", {}, {}, raw, "x")
    return mapping.split(document, delivery)


def mapped(
    mapping: SourceMapping, body: bytes | Any, found: dict[str, Found] = NOTHING
) -> list[Mapped]:
    return [mapping.apply(event, found, Known()) for event in split(mapping, body)]


@pytest.mark.parametrize(
    ("source", "name", "settings", "opted_out"),
    [
        (
            "pipedrive",
            "pipedrive-v2-person-change.json",
            PIPEDRIVE,
            {"+12025550143", "+12025550178"},
        ),
        ("pipedrive-v1", "pipedrive-v1-person-updated.json", PIPEDRIVE, {"+12025550143"}),
        ("close", "close-contact-updated.json", CLOSE, {"+12025550143"}),
        (
            "close",
            "close-lead-updated.json",
            {**CLOSE, **NO_STATUS},
            {"+12025550143"},
        ),
        ("twilio", "twilio-stop.txt", {"TWILIO_STOP_OPTS_OUT": "no"}, set()),
        ("twilio", "twilio-stop-keyword-only.txt", {"TWILIO_STOP_OPTS_OUT": "no"}, set()),
    ],
)
def test_the_users_own_field_opts_out(
    source: str, name: str, settings: dict[str, str], opted_out: set[str]
) -> None:
    results = mapped(shipped(source, **settings), sample(name))
    updates = [update for result in results for update in result.updates]
    assert {update.phone for update in updates if update.opts_out} == opted_out
    assert all(update.fields.get("do_not_call") is not False for update in updates)


def test_a_custom_field_of_pipedrive_is_passed_on() -> None:
    (result,) = mapped(shipped("pipedrive", **PIPEDRIVE), sample("pipedrive-v2-person-change.json"))
    assert [u.fields["custom_fields"] for u in result.updates] == [{"custom": "pro"}] * 2


def test_a_person_of_pipedrive_is_read_where_that_is_switched_on() -> None:
    create = sample("pipedrive-v2-person-create.json")
    (off,) = split(shipped("pipedrive", **PIPEDRIVE), create)
    assert shipped("pipedrive", **PIPEDRIVE).wants(off) == ()
    mapping = shipped("pipedrive", **PIPEDRIVE, PIPEDRIVE_LOOK_UP="yes")
    (event,) = split(mapping, create)
    assert [(one.lookup, one.ids) for one in mapping.wants(event)] == [("person", ("4711",))]
    person = {"id": 4711, "phones": [{"value": "+12025550143", "primary": True}]}
    (result,) = mapped(mapping, create, {"person": Found((person,), ())})
    assert [(u.phone, u.fields["first_name"]) for u in result.updates] == [("+12025550143", "Ann")]


@pytest.mark.parametrize(
    ("source", "switch", "deletion"),
    [
        (
            "pipedrive",
            "PIPEDRIVE_DELETION_OPTS_OUT",
            {
                "meta": {"entity": "person", "action": "delete", "entity_id": "4711"},
                "previous": {"phones": [{"value": "+12025550143"}]},
            },
        ),
        (
            "pipedrive-v1",
            "PIPEDRIVE_DELETION_OPTS_OUT",
            {
                "event": "deleted.person",
                "meta": {"object": "person", "action": "deleted", "id": 4711},
                "previous": {"phone": [{"value": "+12025550143"}]},
            },
        ),
        (
            "close",
            "CLOSE_DELETION_OPTS_OUT",
            {
                "event": {
                    "object_type": "contact",
                    "action": "deleted",
                    "object_id": "cont_1",
                    "previous_data": {"phones": [{"phone": "+12025550143"}]},
                }
            },
        ),
    ],
)
def test_a_deletion_opts_out_where_that_is_switched_on(
    source: str, switch: str, deletion: dict[str, Any]
) -> None:
    (usual,) = mapped(shipped(source), deletion)
    assert usual.state is State.SKIPPED
    (result,) = mapped(shipped(source, **{switch: "yes"}), deletion)
    assert [(u.phone, dict(u.fields)) for u in result.updates] == [
        ("+12025550143", {"do_not_call": True})
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("salesforce-outbound", "salesforce-outbound-message.xml"),
        ("salesforce-flow", "salesforce-flow-callout.json"),
        ("pipedrive", "pipedrive-v2-person-change.json"),
        ("pipedrive-v1", "pipedrive-v1-person-updated.json"),
        ("close", "close-lead-updated.json"),
        ("twilio", "twilio-stop.txt"),
    ],
)
def test_what_is_sent_again_is_a_copy(source: str, name: str) -> None:
    mapping = shipped(source)
    keys = [event.key for event in split(mapping, sample(name))]
    again = [event.key for event in split(mapping, retried(sample(name)))]
    assert keys == again
    assert len(set(keys)) == len(keys)


def retried(body: bytes) -> bytes:
    """The same with what a second attempt counts up."""
    return body.replace(b'"attempt":1', b'"attempt":2').replace(b'"retry":0', b'"retry":1')


def test_a_notification_of_salesforce_with_newer_data_is_no_copy() -> None:
    """A second attempt carries the record as it is by then, under the same id."""
    mapping = shipped("salesforce-outbound")
    later = sample("salesforce-outbound-message-single.xml")
    earlier = later.replace(b"<sf:DoNotCall>true", b"<sf:DoNotCall>false")
    assert earlier != later
    assert split(mapping, earlier)[0].key != split(mapping, later)[0].key


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("gohighlevel-workflow", {"contact_id": "c1", "customData": {"dnd_call": "true"}}),
        ("salesforce-flow", {"id": "003A", "phone": "+12025550143", "do_not_call": True}),
        ("pipedrive-v1", {"event": "updated.person", "meta": {"id": 1, "timestamp": 1768472998}}),
        ("twilio", b"From=%2B12025550143&Body=STOP"),
    ],
)
def test_what_cannot_be_told_apart_is_never_taken_for_a_copy(source: str, body: Any) -> None:
    """Opted out, in, and out again: the third looks like the first."""
    mapping = shipped(source)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    document = decode(mapping.source.decode, raw, max_depth=100)
    keys = set()
    for number in (1, 2):
        delivery = Delivery(
            number, f"r{number}", source, 1_900_000_000_000, "POST", {}, {}, raw, "x"
        )
        keys |= {event.key for event in mapping.split(document, delivery)}
    assert len(keys) == 2


def test_an_id_that_is_the_contacts_swallows_no_opt_out() -> None:
    """The one id that a HubSpot workflow has at hand is that of the contact."""
    mapping = shipped("hubspot-workflow")
    named = {"event_id": "508369434347", "hs_object_id": "508369434347", "phone": "+14155550123"}
    bodies = [named, {**named, "do_not_call": "true"}, {**named, "firstname": "Jane"}]
    keys = [split(mapping, body)[0].key for body in bodies]
    assert len(set(keys)) == len(bodies)
    assert split(mapping, named)[0].key == keys[0]


@pytest.mark.parametrize(
    ("occurred_at", "time_ms", "weak"),
    [
        ("1782371969536", 1782371969536, False),
        (1782371969536, 1782371969536, False),
        ("1782345900000", 1782345900000, False),
        ("1782345600000", 1_900_000_000_000, True),
        (1782345600000, 1_900_000_000_000, True),
        ("", 1_900_000_000_000, True),
        (None, 1_900_000_000_000, True),
    ],
)
def test_a_date_of_hubspot_is_no_time(occurred_at: Any, time_ms: int, weak: bool) -> None:
    """A date picker holds midnight, hours before what happened on that day."""
    body = {"phone": "+14155550123", "do_not_call": "true", "occurred_at": occurred_at}
    (event,) = split(shipped("hubspot-workflow"), body)
    assert (event.time_ms, event.weak_time) == (time_ms, weak)


def test_the_session_of_salesforce_is_not_kept() -> None:
    dropped = shipped("salesforce-outbound").source.drop.body
    assert dropped == (("Envelope", "Body", "notifications", "SessionId"),)


PAYLOADS = Path(__file__).parents[1] / "vectors"


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("salesforce-*.xml")), ids=lambda p: p.name)
def test_the_vectors_are_what_is_shipped(path: Path) -> None:
    assert path.read_bytes() == sample(path.name)
