"""Calls grow with contacts, not with events; every event gets its own records, in its order."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from bridge.enrich import template
from bridge.errors import LookupFailed
from bridge.model import Found, Wanted

from .conftest import TOKEN, Desk, contact_lookup
from .crm import Crm, says, truth

VECTORS = Path(__file__).parent.parent / "vectors"


def vector(name: str) -> object:
    return json.loads((VECTORS / f"hubspot-{name}.json").read_text())


def test_the_request_is_the_one_that_hubspot_documents(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    documented = vector("batch-read-request")
    assert isinstance(documented, dict)
    desk = opened(body=documented | {"inputs": "@ids"})
    crm.add("508369434347", "99999")
    desk.found("508369434347", "99999")
    asked = crm.asked[0]
    assert asked.body == documented
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.path == "/batch/read"
    assert asked.query == {}


def test_a_complete_reply_gives_the_record(crm: Crm, desk: Desk) -> None:
    crm.script.append(says(200, vector("batch-read-200")))
    found = desk.found("508369434347")
    assert found.missing == ()
    assert found.records[0]["hs_calculated_phone_number"] == "+14155550123"


def test_a_partial_reply_gives_the_record_and_names_the_missing(crm: Crm, desk: Desk) -> None:
    crm.script.append(says(207, vector("batch-read-207")))
    found = desk.found("508369434347", "99999")
    assert [record["phone"] for record in found.records] == ["(415) 555-0123"]
    assert found.missing == ("99999",)
    assert crm.calls == [["508369434347", "99999"], ["99999"]]


def test_250_contacts_of_120_events_take_three_calls(crm: Crm, desk: Desk) -> None:
    ids = [str(1000 + n) for n in range(250)]
    crm.add(*ids)
    wanted = [Wanted("contact", "1", tuple(ids[n * 2 : n * 2 + 4])) for n in range(120)]
    wanted.append(Wanted("contact", "1", tuple(ids[240:])))
    answers = desk.resolve(*wanted[:119], *wanted[119:])
    assert [len(call) for call in crm.calls] == [100, 100, 50]
    assert sorted(one for call in crm.calls for one in call) == ids
    for want, answer in zip(wanted, answers, strict=True):
        assert answer == Found(tuple(crm.contacts[one] for one in want.ids))


def test_records_come_in_the_order_of_the_ids_whatever_the_order_of_the_rows(
    crm: Crm, desk: Desk
) -> None:
    rows = [{"id": one, "properties": {"n": one}} for one in ("3", "1", "2")]
    crm.script.append(says(200, {"results": rows}))
    assert [record["n"] for record in desk.found("1", "2", "3").records] == ["1", "2", "3"]


def test_ids_that_come_back_as_numbers_are_recognised(crm: Crm, desk: Desk) -> None:
    crm.script.append(says(200, {"results": [{"id": 9007199254740993, "properties": {"n": 1}}]}))
    assert desk.found("9007199254740993").records == ({"n": 1},)


def test_the_declared_size_bounds_a_call_but_never_above_a_hundred(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    ids = [str(1000 + n) for n in range(120)]
    crm.add(*ids)
    opened(size=50).found(*ids)
    opened(size=500).found(*ids)
    assert [len(call) for call in crm.calls] == [50, 50, 20, 100, 20]


def test_accounts_are_asked_apart(crm: Crm, desk: Desk) -> None:
    crm.add("7")
    answers = desk.resolve(Wanted("contact", "1", ("7",)), Wanted("contact", "2", ("7",)))
    assert answers == [Found((crm.contacts["7"],))] * 2
    assert crm.calls == [["7"], ["7"]]


def test_nothing_wanted_is_found_without_a_call(crm: Crm, desk: Desk) -> None:
    assert desk.resolve() == []
    assert desk.found() == Found()
    assert desk.found("") == Found(missing=("",))
    assert crm.calls == []


def test_a_record_is_reused_for_as_long_as_declared(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(cache_s=5.0)
    crm.add("1", "2")
    desk.found("1")
    desk.clock.time += 4.9
    desk.found("1", "2")
    assert crm.calls == [["1"], ["2"]]
    desk.clock.time += 0.2
    desk.found("1", "2")
    assert crm.calls == [["1"], ["2"], ["1"]]


def test_a_record_that_is_too_old_is_not_held_though_nobody_asks_for_it(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(cache_s=5.0)
    crm.add("1", "2")
    desk.found("1")
    desk.clock.time += 3
    desk.found("2")
    assert [kept.record for kept in desk.lookups._cache.values()] == [
        crm.contacts["1"],
        crm.contacts["2"],
    ]
    desk.clock.time += 2.1
    desk.resolve()
    assert len(desk.lookups._cache) == 1
    desk.clock.time += 3
    desk.resolve()
    assert len(desk.lookups._cache) == 0


def test_the_records_of_one_account_do_not_serve_another(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    desk.found("1", account="1")
    desk.found("1", account="2")
    assert crm.calls == [["1"], ["1"]]


def test_the_record_unused_longest_makes_room(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(records_kept=2)
    crm.add("1", "2", "3")
    desk.found("1")
    desk.found("2")
    desk.found("1")
    desk.found("3")
    desk.found("1")
    desk.found("2")
    assert crm.calls == [["1"], ["2"], ["3"], ["2"]]


def test_that_a_contact_is_unknown_is_not_remembered(crm: Crm, desk: Desk) -> None:
    assert desk.found("1").missing == ("1",)
    crm.add("1")
    assert desk.found("1").records == (crm.contacts["1"],)


def test_a_reload_forgets_only_what_was_declared_otherwise(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    desk.found("1")
    desk.lookups.replace({"contact": contact_lookup(crm.url)})
    desk.found("1")
    assert len(crm.calls) == 1
    desk.lookups.replace({"contact": contact_lookup(crm.url, result_value="properties.phone")})
    assert desk.found("1").records == ("+14155551",)
    assert len(crm.calls) == 2


def test_a_look_up_that_is_gone_fails_and_leaves_the_others_alone(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    gone, found = desk.resolve(Wanted("deal", "1", ("1",)), Wanted("contact", "1", ("1",)))
    assert isinstance(gone, LookupFailed)
    assert "deal" in str(gone)
    assert found == Found((crm.contacts["1"],))


def test_a_reload_during_a_round_does_not_mix_old_records_into_the_new_declaration(
    crm: Crm, desk: Desk
) -> None:
    crm.add("1")

    def reloads(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
        changed = contact_lookup(crm.url, result_value="properties.phone")
        desk.lookups.replace({"contact": changed})
        truth(crm, handler)

    crm.script.append(reloads)
    assert desk.found("1").records == ({"phone": "+14155551"},)
    assert desk.found("1").records == ("+14155551",)


@pytest.mark.parametrize(
    ("body", "input_", "made"),
    [
        ({"inputs": "@ids"}, {"id": "@id"}, {"inputs": [{"id": "1"}, {"id": '"ü'}]}),
        ({"ids": "@ids"}, "@id", {"ids": ["1", '"ü']}),
        (["@ids", {"@ids": "x@ids"}], ["@id", 5], [[["1", 5], ['"ü', 5]], {"@ids": "x@ids"}]),
    ],
)
def test_only_the_marks_of_a_template_are_filled_in(
    body: object, input_: object, made: object
) -> None:
    lookup = contact_lookup("http://127.0.0.1", body=body, input=input_)
    before = json.dumps([lookup.body, lookup.input])
    assert json.loads(template.body(lookup, ["1", '"ü']) or b"") == made
    assert json.dumps([lookup.body, lookup.input]) == before


def test_an_id_that_is_no_valid_text_hurts_nobody_else(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    assert desk.found("1", "\ud800") == Found((crm.contacts["1"],), ("\ud800",))


@pytest.mark.parametrize("after_s", [-1.0, 0.0, 1.0, 4.0])
def test_a_record_serves_no_event_that_came_after_it_was_read(
    crm: Crm, opened: Callable[..., Desk], after_s: float
) -> None:
    desk = opened(cache_s=60.0)
    crm.add("1")
    desk.found("1")
    read_at = desk.clock.wall_ms()
    desk.clock.time += 5
    received_at = read_at + round(after_s * 1000)
    (found,) = desk.resolve(Wanted("contact", "1", ("1",), not_before=received_at))
    assert isinstance(found, Found)
    assert len(crm.calls) == (2 if after_s > 0 else 1)
