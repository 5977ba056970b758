"""Refusals whose secret was wrong are verified again and taken in, each once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.model import (
    BearerScheme,
    HubSpotScheme,
    Request,
    Scheme,
    Secret,
    Source,
    StandardWebhooksScheme,
)
from bridge.receive.accept import Acceptor, Limits
from bridge.receive.sign import sign
from bridge.steps.verify_again import Judge
from bridge.store import deliveries, refusals
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.refusals import NewRefusal

from .test_refusals import bounds

URL = "https://bridge.example.com"
LONG_AGO = 1_768_473_005_000
RIGHT, WRONG = "the-right-secret", "a-wrong-secret"


def hubspot(secret: str) -> Source:
    return Source("crm", "CRM", (HubSpotScheme("v3", Secret("S", (secret,))),))


def refuse(
    database: Database, source: Source, right: Scheme, count: int = 1, late: int = 0
) -> None:
    """Requests that a CRM signs by the right scheme, refused by the source as it is set up."""

    def keep(item: NewDelivery | NewRefusal) -> bool:
        assert isinstance(item, NewRefusal)
        with database.write() as connection:
            refusals.add(connection, [item], bounds())
        return True

    acceptor = Acceptor(
        sources=lambda: {source.name: source}, keep=keep, limits=Limits(10**6, 64, 10**5, 10**4)
    )
    for number in range(count):
        body = b'{"number": %d}' % number
        signed = sign(
            (right,),
            method="POST",
            url=f"{URL}/hooks/crm?a=%C3%BC&b=1",
            body=body,
            now_ms=LONG_AGO,
            headers={"Content-Type": "application/json"},
        )
        raw = signed.url.removeprefix(URL)
        request = Request(
            source="crm",
            token=None,
            method="POST",
            url=URL + raw,
            path=raw.partition("?")[0],
            query=raw.partition("?")[2],
            headers={name.lower(): (value,) for name, value in signed.headers.items()},
            body=body,
            address="192.0.2.1",
            received_at=LONG_AGO + late,
        )
        assert acceptor.accept(source, request).status == 401


def judge(database: Database, source: Source, public_url: str | None = URL) -> Judge:
    return Judge(database, {source.name: source}, public_url, 64)


def left(database: Database) -> int:
    with database.read() as connection:
        return len(refusals.page(connection, after=0, limit=1000))


def test_what_the_right_secret_signed_is_taken_in_as_it_came(database: Database) -> None:
    right = hubspot(RIGHT)
    refuse(database, hubspot(WRONG), right.verify[0], count=45)
    assert judge(database, hubspot(WRONG)).look(run=True).taken_in == {}

    planned = judge(database, right).look()
    assert (planned.looked_at, planned.passed, planned.taken_in) == (45, {"crm": 45}, {})
    assert left(database) == 45

    done = judge(database, right).look(run=True)
    assert done.taken_in == {"crm": 45}
    assert left(database) == 0
    with database.read() as connection:
        rows = deliveries.next_stored(connection, ["crm"], 100)
        kept = deliveries.by_receipt(connection, planned.receipts[0])
    assert sorted(row.body for row in rows) == sorted(b'{"number": %d}' % n for n in range(45))
    assert kept is not None
    assert (kept.received_at, kept.query, kept.scheme) == (
        LONG_AGO,
        {"a": "ü", "b": "1"},
        "hubspot_v3",
    )
    assert judge(database, right).look(run=True).looked_at == 0


def test_one_that_was_stale_when_it_came_is_stale_still(database: Database) -> None:
    right = hubspot(RIGHT)
    refuse(database, hubspot(WRONG), right.verify[0], late=600_000)
    found = judge(database, right).look(run=True)
    assert (found.looked_at, dict(found.passed)) == (1, {})
    assert left(database) == 1


def test_two_who_look_at_once_take_each_in_once(database: Database) -> None:
    right = hubspot(RIGHT)
    refuse(database, hubspot(WRONG), right.verify[0], count=60)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: judge(database, right).look(run=True), range(3)))
    assert sum(one.taken_in["crm"] for one in found) == 60
    with database.read() as connection:
        assert len(deliveries.next_stored(connection, ["crm"], 100)) == 60


@pytest.mark.parametrize("public_url", [None, "https://wrong.example.com"])
def test_a_public_url_that_was_wrong_may_be_right_now(
    database: Database, public_url: str | None
) -> None:
    right = hubspot(RIGHT)
    refuse(database, hubspot(WRONG), right.verify[0])
    assert judge(database, right, public_url).look().passed == {}
    assert judge(database, right, URL + "/").look(run=True).taken_in == {"crm": 1}


def test_a_secret_that_was_not_kept_cannot_pass_and_the_reason_is_counted(
    database: Database,
) -> None:
    bearer = Source("crm", "CRM", (BearerScheme(Secret("T", (WRONG,))),))
    refuse(database, bearer, BearerScheme(Secret("T", (RIGHT,))), count=2)
    right = Source("crm", "CRM", (BearerScheme(Secret("T", (RIGHT,))),))
    found = judge(database, right).look(run=True)
    assert (found.passed, found.reasons) == ({}, {})
    ((source, reason),) = found.not_kept
    assert (source, found.not_kept[source, reason]) == ("crm", 2)
    assert RIGHT not in reason
    gone = Judge(database, {}, URL, 64).look()
    assert dict(gone.reasons) == {("crm", "there is no such source"): 2}


def test_standard_webhooks_are_judged_at_the_time_at_which_they_came(database: Database) -> None:
    secrets = [
        "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY",
        "whsec_" + "WFlaWFlaWFlaWFlaWFlaWFlaWFla",
    ]
    right, wrong = (
        Source("crm", "CRM", (StandardWebhooksScheme(Secret("S", (text,))),)) for text in secrets
    )
    refuse(database, wrong, right.verify[0])
    assert judge(database, right).look(run=True).taken_in == {"crm": 1}
