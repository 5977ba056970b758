"""HubSpot's batch read answers as documented, found or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sandbox_client import Sandbox

from .conftest import Caller, vector

JANE = {
    "id": "508369434347",
    "properties": {
        "phone": "(415) 555-0123",
        "hs_calculated_phone_number": "+14155550123",
        "firstname": "Jane",
        "lastname": "",
        "email": "jane@example.com",
        "hidden": "never asked for",
    },
    "created_at": "2026-06-25T07:19:29.536Z",
    "updated_at": "2026-06-25T07:19:30.120Z",
}


def timeless(body: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without the times of the call itself."""
    return {key: value for key, value in body.items() if key not in {"startedAt", "completedAt"}}


def ids(body: Mapping[str, Any]) -> list[str]:
    """The ids of the rows."""
    return [row["id"] for row in body["results"]]


def test_the_documented_reads_get_the_documented_answers(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_contacts([JANE])
    asked = vector("hubspot-batch-read-request")

    partial = caller.read_body(asked)
    assert partial.status_code == 207
    assert timeless(partial.json()) == timeless(vector("hubspot-batch-read-207"))
    assert set(partial.json()) == set(vector("hubspot-batch-read-207"))

    complete = caller.read_body({**asked, "inputs": asked["inputs"][:1]})
    assert complete.status_code == 200
    assert timeless(complete.json()) == timeless(vector("hubspot-batch-read-200"))


def test_values_are_text_and_empty_ones_null(sandbox: Sandbox, caller: Caller) -> None:
    values = {"a": True, "b": 12, "c": "", "d": None, "e": "x"}
    sandbox.put_contacts([{"id": "21", "properties": values}])
    sandbox.put_contacts([{"id": "21", "properties": {"e": False}}])

    row = caller.read(["21"], *values, "never_set").json()["results"][0]

    expected = {"a": "true", "b": "12", "c": None, "d": None, "e": "false", "never_set": None}
    assert row["properties"].items() >= expected.items()
    by_default = caller.read(["21"]).json()["results"][0]["properties"]
    assert set(by_default) >= {"email", "firstname", "lastname"}
    assert not set(by_default) & set(values)


def test_a_deleted_contact_is_read_only_as_archived(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_contacts([{"id": "31", "properties": {"phone": "1"}}, {"id": "32"}])
    sandbox.put_contacts([{"id": "31", "archived": True}])

    live = caller.read(["31", "32"], "phone").json()
    assert ids(live) == ["32"]
    assert live["errors"][0]["context"]["ids"] == ["31"]

    deleted = caller.read(["31", "32"], "phone", archived="true").json()
    assert ids(deleted) == ["31"]
    assert deleted["results"][0]["archived"] is True
    assert deleted["results"][0]["properties"]["phone"] == "1"

    sandbox.put_contacts([{"id": "31", "archived": False}])
    assert ids(caller.read(["31"]).json()) == ["31"]


def test_a_contact_deleted_for_privacy_is_gone(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_contacts([{"id": "41"}])
    sandbox.put_contacts([{"id": "41", "privacy_deleted": True}])
    for archived in ("true", "false"):
        answer = caller.read(["41"], archived=archived)
        assert (answer.status_code, answer.json()["results"]) == (207, [])


def test_a_merged_contact_is_answered_with_its_survivor(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_contacts([{"id": one, "properties": {"phone": one}} for one in ("51", "52", "53")])
    sandbox.put_contacts([{"id": "51", "merged_into": "52"}, {"id": "52", "merged_into": "53"}])

    answer = caller.read(["51", "53"], "phone")

    assert answer.status_code == 200
    assert ids(answer.json()) == ["53"]
    assert answer.json()["results"][0]["properties"]["phone"] == "53"


def test_a_merge_that_leads_nowhere_finds_nothing(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_contacts([{"id": "61", "merged_into": "62"}, {"id": "62", "merged_into": "61"}])
    assert caller.read(["61"]).json()["errors"][0]["context"]["ids"] == ["61"]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"id": "1"}], "properties": []},
        {"inputs": [{"id": str(n)} for n in range(101)], "propertiesWithHistory": []},
        {"inputs": [{"id": 1}], "propertiesWithHistory": []},
        {"inputs": [{"id": "1"}], "propertiesWithHistory": ["phone"]},
        {"inputs": [{"id": "1"}], "propertiesWithHistory": [], "idProperty": "email"},
        {"propertiesWithHistory": []},
        [],
        b"{",
    ],
)
def test_a_malformed_read_is_refused(caller: Caller, body: Any) -> None:
    answer = caller.read_body(body)
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"


def test_a_hundred_contacts_are_read_in_one_call(sandbox: Sandbox, caller: Caller) -> None:
    many = [str(number) for number in range(1000, 1100)]
    sandbox.put_contacts([{"id": one} for one in many])
    assert ids(caller.read(many).json()) == many


def test_a_read_needs_hubspots_own_token(sandbox: Sandbox, caller: Caller) -> None:
    answer = caller.read_body(vector("hubspot-batch-read-request"), token=sandbox.token)
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"


def test_too_many_reads_are_refused_until_the_window_has_passed(tmp_path: Path) -> None:
    limit = ("--hubspot-rate=2", "--hubspot-rate-window=0.5")
    with Sandbox(tmp_path, *limit) as own:
        caller = Caller(own)
        answers = [caller.read([]) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [a.headers["X-HubSpot-RateLimit-Remaining"] for a in answers] == ["1", "0", "0"]
        body, example = answers[-1].json(), vector("hubspot-error-429")
        assert set(body) == set(example)
        assert (body["errorType"], body["status"]) == (example["errorType"], example["status"])
        while (again := caller.read([])).status_code == 429:
            assert own.stats()["by_endpoint"]["batch_read"] < 1000
        assert again.status_code == 200
