"""The right token goes to the right account, rotation loses nothing, and no text shows one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import jmespath
import pytest

from bridge.enrich.account import Account
from bridge.enrich.client import Client, Reply
from bridge.enrich.oauth import Tokens
from bridge.enrich.round import Reach, Round, Sending
from bridge.model import Secret

from .clock import Clock
from .conftest import TOKEN, Desk, contact_lookup
from .crm import Crm, breaks_off, hangs_up, says

OLD = "pat-old-9876543210"


def test_an_account_with_its_own_token_uses_it(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(tokens={"2": Secret("TWO_TOKEN", ("token-of-two",))})
    desk.found("1", account="1")
    desk.found("1", account="2")
    assert [one.token for one in crm.asked] == [TOKEN, "token-of-two"]


@pytest.mark.parametrize("token", [None, Secret("HUBSPOT_ACCESS_TOKEN", ())])
def test_without_a_token_nothing_is_asked(
    crm: Crm, opened: Callable[..., Desk], token: Secret | None
) -> None:
    failure = opened(token=token).failure("1")
    assert "no token" in str(failure)
    assert failure.retry_after_s == 60
    assert crm.asked == []


def test_a_refused_token_gives_way_to_the_other_live_value(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(token=Secret("HUBSPOT_ACCESS_TOKEN", (TOKEN, OLD)))
    crm.add("1", "2")
    crm.tokens = {OLD}
    assert desk.found("1").records == (crm.contacts["1"],)
    assert desk.found("2").records == (crm.contacts["2"],)
    assert [one.token for one in crm.asked] == [TOKEN, OLD, OLD]
    crm.tokens = {TOKEN}
    assert desk.found("3").missing == ("3",)
    assert [one.token for one in crm.asked[3:]] == [OLD, TOKEN]


def test_a_call_that_is_refused_late_gets_the_value_that_works_by_then() -> None:
    secret = Secret("HUBSPOT_ACCESS_TOKEN", (TOKEN, OLD))
    lookup = contact_lookup("http://127.0.0.1:1", token=secret, size=1, at_once=2)
    clock, client = Clock(), Client()
    reach = Reach(Tokens(client, clock.now, None), jmespath.search, clock.now, clock.wait)
    one = Round(lookup, "1", Account(10_000), ["1", "2"], reach)
    shown: list[str] = []

    def begun() -> Sending:
        sending = one.begin()
        assert sending is not None
        shown.append(sending.headers.values["Authorization"].removeprefix("Bearer "))
        return sending

    def row(of: str) -> Reply:
        found = {"results": [{"id": of, "properties": {"phone": of}}]}
        return Reply(200, None, json.dumps(found).encode())

    refused = Reply(401, None, b"")
    first, second = begun(), begun()
    one.settle(first, refused)
    one.settle(begun(), row("1"))
    one.settle(second, refused)  # the account goes by the other value already
    one.settle(begun(), row("2"))
    client.close()
    assert shown == [TOKEN, TOKEN, OLD, OLD]
    assert (set(one.found), one.failed) == ({"1", "2"}, {})


def test_when_no_value_is_accepted_the_setting_is_named(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(token=Secret("HUBSPOT_ACCESS_TOKEN", (TOKEN, OLD)))
    crm.tokens = {"another"}
    failure = desk.failure("1")
    assert "HUBSPOT_ACCESS_TOKEN" in str(failure)
    assert failure.retry_after_s == 60
    assert len(crm.asked) == 2


def test_one_account_with_a_refused_token_leaves_the_others_their_own(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(tokens={"2": Secret("TWO_TOKEN", ("token-of-two",))})
    crm.tokens = {TOKEN}
    assert "TWO_TOKEN" in str(desk.failure("1", account="2"))
    assert desk.found("1", account="1").missing == ("1",)


@pytest.mark.parametrize("value", ["line\nbreak", "tökén", "nul\0"])
def test_a_token_that_cannot_be_sent_is_named_but_not_shown(
    crm: Crm, opened: Callable[..., Desk], value: str
) -> None:
    failure = opened(token=Secret("HUBSPOT_ACCESS_TOKEN", (value,))).failure("1")
    assert "HUBSPOT_ACCESS_TOKEN" in str(failure)
    assert value not in str(failure)
    assert crm.asked == []


def test_no_text_shows_a_token_an_id_or_the_query_of_the_address(
    crm: Crm, opened: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bridge")
    desk = opened(url=f"{crm.url}?hapikey=sesame", token=Secret("HUBSPOT_ACCESS_TOKEN", (TOKEN,)))
    person = "jane@example.com"
    echo = {"message": f"{TOKEN} {person} sesame"}
    plays = [says(status, echo) for status in (200, 307, 400, 401, 403, 404, 413, 429, 500)]
    for play in [*plays, hangs_up, breaks_off]:
        crm.script.append(play)
        failure = desk.failure(person, account=person)
        shown = f"{failure} {failure!r} {caplog.text}"
        assert not any(word in shown for word in (TOKEN, person, "sesame"))
        desk.clock.time += 3600
    assert len(crm.asked) == len(plays) + 2
