"""The reads of every CRM that needs one, declared in YAML, against a server that speaks like it."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest

from bridge.errors import LookupFailed
from bridge.map.search import search
from bridge.model import Found

from .declared import Declared, reply
from .rest import Api, Asked, Says


@dataclass(frozen=True)
class Case:
    """One CRM: what is declared, the event, what must be asked, and where the number stands."""

    name: str
    lookup: str
    event: Any
    path: str
    phone: str
    number: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


BASIC = "Basic " + b64encode(b"key-1:").decode()
NINE = "+12025550143"
CASES = [
    Case(
        "attio-record",
        'url: "${API}/v2/objects/{account}/records/{id}"\ntoken: "${KEY}"\n'
        "account: id.object_id\nids: id.record_id\nresult: data.values",
        {"id": {"object_id": "5cc0-9", "record_id": "4239e674"}},
        "/v2/objects/5cc0-9/records/4239e674",
        "phone_numbers[0].normalized_phone_number",
        NINE,
        headers={"authorization": "Bearer key-1"},
    ),
    Case(
        "copper-person",
        'url: "${API}/developer_api/v1/people/{id}"\nids: _event\nheaders:\n'
        '  X-PW-AccessToken: "${KEY}"\n  X-PW-Application: developer_api\n'
        '  X-PW-UserEmail: "${OTHER}"',
        [71224810],
        "/developer_api/v1/people/71224810",
        "phone_numbers[0].number",
        "(202) 555-0143",
        headers={
            "x-pw-accesstoken": "key-1",
            "x-pw-application": "developer_api",
            "x-pw-useremail": "other-1",
        },
    ),
    Case(
        "customerio-attributes",
        'url: "${API}/v1/customers/{id}/attributes"\nquery: {id_type: cio_id}\n'
        'token: "${KEY}"\nids: id\nresult: customer\nrate: 10',
        {"id": "e4a7/../1"},
        "/v1/customers/e4a7%2F..%2F1/attributes",
        "attributes.phone",
        NINE,
        query={"id_type": ["cio_id"]},
    ),
    Case(
        "dataverse-contact",
        'url: "${API}/api/data/v9.2/contacts({id})"\nquery: {$select: "mobilephone,donotphone"}\n'
        'token: "${KEY}"\nids: id',
        {"id": "fdb68867-7f71"},
        "/api/data/v9.2/contacts(fdb68867-7f71)",
        "mobilephone",
        "+1 202-555-0143",
        query={"$select": ["mobilephone,donotphone"]},
    ),
    Case(
        "espocrm-contact",
        'url: "${API}/api/v1/Contact/{id}"\nheaders: {X-Api-Key: "${KEY}"}\nids: id\n'
        'when: "!phoneNumber"',
        {"id": "65a4f0c2d1e3b4a5f"},
        "/api/v1/Contact/65a4f0c2d1e3b4a5f",
        "phoneNumber",
        NINE,
        headers={"x-api-key": "key-1"},
    ),
    Case(
        "follow-up-boss-person",
        'url: "${API}/v1/people/{id}"\nquery: {fields: allFields}\nbasic: {user: "${KEY}"}\n'
        'headers: {X-System: crm-bridge, X-System-Key: "${OTHER}"}\nids: id',
        {"id": 50231},
        "/v1/people/50231",
        "phones[0].value",
        "2025550143",
        query={"fields": ["allFields"]},
        headers={"authorization": BASIC, "x-system-key": "other-1"},
    ),
    Case(
        "keap-contact",
        'url: "${API}/crm/rest/v1/contacts/{id}"\ntoken: "${KEY}"\nids: id',
        {"id": 123},
        "/crm/rest/v1/contacts/123",
        "phone_numbers[?field=='PHONE1'].number | [0]",
        "(202) 555-0143",
    ),
    Case(
        "klaviyo-profile",
        'url: "${API}/api/profiles/{id}/"\nids: id\nresult: data.attributes\nheaders:\n'
        '  Authorization: "Klaviyo-API-Key ${KEY}"\n  revision: "${REVISION:-2024-10-15}"',
        {"id": "01KF"},
        "/api/profiles/01KF/",
        "phone_number",
        NINE,
        headers={"authorization": "Klaviyo-API-Key key-1", "revision": "2024-10-15"},
    ),
    Case(
        "monday-item",
        'url: "${API}/v2"\nheaders: {Authorization: "${KEY}"}\nids: pulseId\n'
        'body: {query: "query ($ids: [ID!]) { items (ids: $ids) { id } }", '
        'variables: {ids: "@ids"}}\nresults: data.items\nresult_id: id\nerror: errors',
        {"pulseId": 4402219871},
        "/v2",
        "column_values[?id=='contact_phone'].text | [0]",
        NINE,
        headers={"authorization": "key-1"},
        body={
            "query": "query ($ids: [ID!]) { items (ids: $ids) { id } }",
            "variables": {"ids": ["4402219871"]},
        },
    ),
    Case(
        "zendesk-user",
        'url: "${API}/api/v2/users/{id}.json"\n'
        'basic: {user: "${USER_NAME:-me@example.com/token}", password: "${KEY}"}\n'
        "ids: id\nresult: user",
        {"id": "7310044921888"},
        "/api/v2/users/7310044921888.json",
        "phone",
        "+1 202-555-0143",
        headers={"authorization": "Basic " + b64encode(b"me@example.com/token:key-1").decode()},
    ),
    Case(
        "zoho-record",
        'url: "${API}/crm/v8/Contacts"\nquery: {ids: "{ids}", fields: "Phone,Mobile"}\n'
        'token: "${KEY}"\nids: ids\nresults: data\nresult_id: id\nnot_found: [204]',
        {"ids": ["4417708000000512301"]},
        "/crm/v8/Contacts",
        "not_null(Phone, Mobile)",
        "+1 202-555-0143",
        query={"ids": ["4417708000000512301"], "fields": ["Phone,Mobile"]},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_crm_is_read_as_declared(case: Case, api: Api, declared: Callable[..., Declared]) -> None:
    api.answer = lambda _asked: Says(200, reply(case.name))
    record = declared(case.lookup).record(case.event)
    assert search(case.phone, record) == case.number
    (asked,) = api.asked
    assert (asked.path, asked.query) == (case.path, case.query)
    assert asked.method == ("GET" if case.body is None else "POST")
    assert {name: asked.headers.get(name) for name in case.headers} == case.headers
    assert case.body is None or asked.json == case.body


BY_ID = 'url: "${API}/people/{id}"\ntoken: "${KEY}"\nids: ids'


def person(asked: Asked) -> Says:
    return Says(200, {"id": asked.path.rpartition("/")[2]})


def test_each_id_takes_a_call_and_several_are_under_way_at_once(
    api: Api, declared: Callable[..., Declared]
) -> None:
    together = Barrier(4, timeout=60)

    def answer(asked: Asked) -> Says:
        together.wait()
        return person(asked)

    api.answer = answer
    found = declared(BY_ID + "\nrate: 10000").resolve({"ids": list(range(8))})[0]
    assert [one["id"] for one in found.records] == [str(n) for n in range(8)]
    assert len(api.asked) == 8


def test_calls_by_id_keep_the_declared_pace(api: Api, declared: Callable[..., Declared]) -> None:
    api.answer = person
    one = declared(BY_ID + "\nrate: 2")
    one.resolve({"ids": [1, 2, 3]})
    assert [round(pause, 3) for pause in one.clock.waits if pause] == [0.5, 0.5]


def test_a_record_that_is_gone_is_missing(api: Api, declared: Callable[..., Declared]) -> None:
    api.answer = lambda asked: person(asked) if asked.path.endswith("1") else Says(404, {"e": 1})
    (found,) = declared(BY_ID).resolve({"ids": [1, 2]})
    assert (found.records, found.missing) == (({"id": "1"},), ("2",))


@pytest.mark.parametrize(
    "page",
    [
        Says(404, b"<html>no such page</html>"),
        Says(404, b"<html>no such page</html>", {"Content-Encoding": "gzip"}),
        Says(404, gzip.compress(b"{}")[:-9], {"Content-Encoding": "gzip"}),
    ],
)
def test_a_wrong_address_makes_no_contact_unknown(
    api: Api, declared: Callable[..., Declared], page: Says
) -> None:
    api.answer = lambda _asked: page
    one = declared(BY_ID)
    (failed,) = one.resolve({"ids": [1]})
    assert "check url" in str(failed)
    api.answer = lambda asked: person(asked) if asked.path.endswith("2") else page
    one.clock.time += 600
    one.resolve({"ids": [2]})
    one.clock.time += 600
    assert one.resolve({"ids": [1]})[0].missing == ("1",)


@pytest.mark.parametrize(
    "page", [Says(404, b"<html>be back soon</html>"), Says(200, {"status": "maintenance"})]
)
def test_what_a_crm_says_to_everybody_makes_no_contact_unknown_that_it_knew_before(
    api: Api, declared: Callable[..., Declared], page: Says
) -> None:
    """Such as the page of whatever stands in front of it while it is away."""
    api.answer = lambda asked: Says(200, {"person": {"id": asked.path}})
    one = declared(BY_ID + "\nresult: person")
    one.resolve({"ids": [1, 2]})
    api.answer = lambda _asked: page
    one.clock.time += 600
    (failed,) = one.resolve({"ids": [3]})
    assert isinstance(failed, LookupFailed)
    api.answer = lambda asked: (
        page if asked.path.endswith("3") else Says(200, {"person": {"id": asked.path}})
    )
    one.clock.time += 600
    assert one.resolve({"ids": [3]})[0].missing == ("3",)


def test_whether_a_crm_is_there_is_not_asked_of_the_contact_that_may_be_gone(
    api: Api, declared: Callable[..., Declared]
) -> None:
    api.answer = person
    one = declared(BY_ID)
    one.resolve({"ids": [1]})
    one.resolve({"ids": [2]})
    page = Says(404, b"<html>no such page</html>")
    api.answer = lambda asked: page if asked.path.endswith("2") else person(asked)
    one.clock.time += 600
    assert one.resolve({"ids": [2]})[0].missing == ("2",)


@pytest.mark.parametrize(
    "refused",
    [
        Says(403, {"e": "not yours"}),
        Says(301, b"", {"Location": "/people/9"}),
        Says(409, {"e": 1}),
        Says(423, {"e": 1}),
    ],
)
def test_one_record_that_may_not_be_read_keeps_no_other_waiting(
    api: Api, declared: Callable[..., Declared], refused: Says
) -> None:
    api.answer = lambda asked: refused if asked.path.endswith("/1") else person(asked)
    one = declared(BY_ID + "\nat_once: 1")
    for fresh in range(100, 105):
        wanted = [*one.wanted({"ids": [1]}), *one.wanted({"ids": [fresh]})]
        failed, other = one.lookups.resolve(wanted, one.clock.now)
        assert isinstance(failed, LookupFailed)
        assert fresh == 100 or other == Found(({"id": str(fresh)},))
        one.clock.time += 2.0


@pytest.mark.parametrize("bad", ["..", ".", "x" * 501])
def test_an_id_that_would_lead_elsewhere_is_never_asked_for(
    bad: str, api: Api, declared: Callable[..., Declared]
) -> None:
    (found,) = declared(BY_ID).resolve({"ids": [bad]})
    assert found.missing == (bad,)
    assert api.asked == []


def test_no_id_can_add_another_to_a_list_in_the_query(
    api: Api, declared: Callable[..., Declared]
) -> None:
    lookup = 'url: "${API}/people"\nquery: {id: "{ids}"}\ntoken: "${KEY}"\nids: ids\n'
    api.answer = lambda _asked: Says(200, {"people": [{"id": 7}]})
    (found,) = declared(lookup + "results: people\nresult_id: id").resolve({"ids": ["1,2", 7]})
    assert (found.records, found.missing) == (({"id": 7},), ("1,2",))
    assert [asked.query for asked in api.asked] == [{"id": ["7"]}]


def test_rows_that_nobody_asked_for_are_nobodys_record(
    api: Api, declared: Callable[..., Declared]
) -> None:
    lookup = 'url: "${API}/people"\nquery: {id: "{ids}"}\ntoken: "${KEY}"\nids: ids\n'
    api.answer = lambda _asked: Says(200, {"people": [{"id": 9, "phone": "+12025550143"}]})
    (failed,) = declared(lookup + "results: people\nresult_id: id").resolve({"ids": [5]})
    assert "nobody asked for" in str(failed)


def test_every_page_of_a_reply_is_read(api: Api, declared: Callable[..., Declared]) -> None:
    lookup = (
        'url: "${API}/people"\nquery: {id: "{ids}"}\ntoken: "${KEY}"\nids: ids\n'
        "results: people\nresult_id: id\npages: {next: next, query: cursor}"
    )
    api.script += [
        Says(200, {"people": [{"id": 1}], "next": "p&2"}),
        Says(200, {"people": [{"id": 2}], "next": None}),
    ]
    (found,) = declared(lookup).resolve({"ids": [1, 2, 3]})
    assert found.records == ({"id": 1}, {"id": 2})
    assert found.missing == ("3",)
    assert [asked.query.get("cursor") for asked in api.asked] == [None, ["p&2"]]


def test_pages_without_end_are_given_up_and_nobody_is_unknown(
    api: Api, declared: Callable[..., Declared]
) -> None:
    lookup = (
        'url: "${API}/people"\nquery: {id: "{ids}"}\ntoken: "${KEY}"\nids: ids\n'
        "results: people\nresult_id: id\npages: {next: next, query: cursor}"
    )
    api.answer = lambda _asked: Says(200, {"people": [], "next": "again"})
    (failed,) = declared(lookup).resolve({"ids": [1]})
    assert "pages" in str(failed)
    assert len(api.asked) == 20


def test_a_next_page_that_no_address_can_hold_fails_its_own_ids_alone(
    api: Api, declared: Callable[..., Declared]
) -> None:
    lookup = (
        'url: "${API}/people"\nquery: {id: "{ids}"}\ntoken: "${KEY}"\nids: ids\nsize: 1\n'
        "results: people\nresult_id: id\npages: {next: next, query: cursor}"
    )

    def answer(asked: Asked) -> Says:
        one = asked.query["id"][0]
        return Says(200, {"people": [{"id": one}], "next": "\ud800" if one == "1" else None})

    api.answer = answer
    reads = declared(lookup)
    (failed,) = reads.resolve({"ids": [1]})
    assert "cannot be called (UnicodeEncodeError)" in str(failed)
    reads.clock.time += failed.retry_after_s
    (found,) = reads.resolve({"ids": [2]})
    assert found.records == ({"id": "2"},)


@pytest.mark.parametrize(
    "url", ["https://a..b/", f"https://{'a' * 64}.example/", "https://xn--a.example/"]
)
def test_a_host_that_cannot_be_is_a_failure_with_a_name(
    declared: Callable[..., Declared], url: str
) -> None:
    lookup = f'url: "{url}x/{{id}}"\ntoken: "${{KEY}}"\nids: ids'
    (failed,) = declared(lookup).resolve({"ids": [1]})
    assert "cannot be called" in str(failed)


def test_an_error_inside_a_reply_makes_no_contact_unknown(
    api: Api, declared: Callable[..., Declared]
) -> None:
    api.answer = lambda _asked: Says(200, {"data": {"items": []}, "errors": [{"m": "slow down"}]})
    case = next(case for case in CASES if case.name == "monday-item")
    (failed,) = declared(case.lookup).resolve(case.event)
    assert "reports an error" in str(failed)


def test_a_busy_crm_is_left_alone_for_as_long_as_it_asks(
    api: Api, declared: Callable[..., Declared]
) -> None:
    api.script += [Says(429, b"", {"Retry-After": "7"})]
    api.answer = person
    one = declared(BY_ID)
    (failed,) = one.resolve({"ids": [1]})
    assert failed.retry_after_s == 7
    one.clock.time += 7.1
    assert one.resolve({"ids": [1]})[0].records == ({"id": "1"},)


def test_a_redirect_takes_no_credentials_elsewhere(
    api: Api, declared: Callable[..., Declared]
) -> None:
    elsewhere = Api()
    try:
        api.answer = lambda _asked: Says(302, b"", {"Location": f"{elsewhere.url}/x"})
        (failed,) = declared(BY_ID).resolve({"ids": [1]})
        assert "redirect" in str(failed)
        assert elsewhere.asked == []
    finally:
        elsewhere.stop()


def test_a_rotated_api_key_is_tried_after_the_new_one(
    api: Api, declared: Callable[..., Declared]
) -> None:
    def answer(asked: Asked) -> Says:
        return person(asked) if asked.headers["x-api-key"] == "old" else Says(401, {})

    api.answer = answer
    lookup = 'url: "${API}/people/{id}"\nheaders: {X-Api-Key: "${KEY}"}\nids: ids\nat_once: 1'
    one = declared(lookup, KEY_PREVIOUS="old")
    assert one.resolve({"ids": [1]})[0].records == ({"id": "1"},)
    assert [asked.headers["x-api-key"] for asked in api.asked] == ["key-1", "old"]
