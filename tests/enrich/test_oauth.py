"""Access tokens: fetched once, kept to their end, renewed once when refused, never shown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from store.fresh import prepare

from bridge.model import Found
from bridge.steps.token_keeper import TokenKeeper
from bridge.store.database import Database

from .declared import Declared
from .rest import Api, Asked, Says

REFRESH = """\
url: "${API}/people/{id}"
ids: ids
at_once: 1
oauth:
  url: "${API}/token"
  client_id: client-9
  client_secret: "${KEY}"
  refresh_token: "${OTHER}"
"""


class Provider:
    """Gives tokens ``access-1``, ``access-2``, … of which only the newest is accepted."""

    def __init__(self, api: Api, **said: object) -> None:
        self.given = 0
        self.said = said
        self.forms: list[dict[str, str]] = []
        self.logins: list[str | None] = []
        self.shown: list[str] = []
        api.answer = self.answer

    def answer(self, asked: Asked) -> Says:
        if asked.path == "/token":
            self.forms.append(asked.form)
            self.logins.append(asked.headers.get("authorization"))
            self.given += 1
            return Says(200, {"access_token": f"access-{self.given}", **self.said})
        self.shown.append(asked.headers["authorization"])
        if asked.headers["authorization"].endswith(f" access-{self.given}"):
            return Says(200, {"id": asked.path})
        return Says(401, {})


def ok(one: Declared, *ids: int) -> None:
    (found,) = one.resolve({"ids": list(ids)})
    assert isinstance(found, Found), found
    assert len(found.records) == len(ids)


def test_a_refresh_token_brings_one_access_token_for_many_calls(
    api: Api, declared: Callable[..., Declared]
) -> None:
    provider = Provider(api, expires_in=3600)
    one = declared(REFRESH)
    ok(one, 1, 2)
    ok(one, 3)
    assert provider.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "other-1",
            "client_id": "client-9",
            "client_secret": "key-1",
        }
    ]
    assert provider.shown == ["Bearer access-1"] * 3


def test_client_credentials_with_basic_and_a_word_of_the_crm(
    api: Api, declared: Callable[..., Declared]
) -> None:
    provider = Provider(api)
    lookup = REFRESH.replace('  refresh_token: "${OTHER}"\n', "")
    one = declared(
        lookup + "  client: basic\n  scheme: Zoho-oauthtoken\n  fields: {scope: a/.default}\n"
    )
    ok(one, 1)
    assert provider.forms == [{"grant_type": "client_credentials", "scope": "a/.default"}]
    assert provider.logins == ["Basic " + b64encode(b"client-9:key-1").decode()]
    assert provider.shown == ["Zoho-oauthtoken access-1"]


def test_a_token_is_renewed_before_it_ends(api: Api, declared: Callable[..., Declared]) -> None:
    provider = Provider(api, expires_in=600)
    one = declared(REFRESH)
    ok(one, 1)
    one.clock.time += 530
    ok(one, 2)
    assert provider.given == 1
    one.clock.time += 20
    ok(one, 3)
    assert provider.given == 2


def test_a_refused_token_is_renewed_once(api: Api, declared: Callable[..., Declared]) -> None:
    provider = Provider(api)
    one = declared(REFRESH)
    ok(one, 1)
    provider.given = 7
    ok(one, 2)
    assert provider.shown[1:] == ["Bearer access-1", "Bearer access-8"]


def test_a_token_that_is_refused_at_once_is_not_asked_for_again_and_again(
    api: Api, declared: Callable[..., Declared]
) -> None:
    provider = Provider(api)
    renewed = api.answer
    api.answer = lambda asked: renewed(asked) if asked.path == "/token" else Says(401, {})
    (failed,) = declared(REFRESH).resolve({"ids": [1, 2, 3]})
    assert "OTHER" in str(failed)
    assert provider.given == 2
    assert failed.retry_after_s == 60


def test_several_calls_that_are_refused_together_cost_one_refresh(
    api: Api, declared: Callable[..., Declared]
) -> None:
    provider = Provider(api)
    one = declared(REFRESH.replace("at_once: 1", "at_once: 4"))
    ok(one, 1)
    provider.given = 7
    ok(one, 2, 3, 4, 5)
    assert provider.given == 8


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Says(400, {"error": "invalid_grant"}), "(invalid_grant), status 400; check KEY and OTHER"),
        (Says(200, {"error": "invalid_code"}), "(invalid_code), status 200"),
        (Says(200, {"error": "<b>other-1</b>"}), "gives no access token, status 200"),
        (Says(200, {"access_token": "line\nbreak"}), "gives no access token"),
        (Says(200, {"access_token": ""}), "gives no access token"),
        (Says(200, b"<html>"), "gives no access token"),
        (Says(500, b"oh"), "answered 500"),
        (Says(429, b""), "answered 429"),
        (Says(302, b"", {"Location": "https://example.com"}), "status 302"),
    ],
)
def test_a_refresh_that_fails_says_what_to_look_at(
    said: Says, told: str, api: Api, declared: Callable[..., Declared]
) -> None:
    api.answer = lambda _asked: said
    (failed,) = declared(REFRESH).resolve({"ids": [1]})
    assert told in str(failed)
    assert not any(secret in str(failed) for secret in ("key-1", "other-1"))
    assert [asked.path for asked in api.asked] == ["/token"]


@pytest.mark.parametrize("life", [10**400, -1, "soon", "NaN", None, True])
def test_a_life_that_nobody_can_reckon_with_keeps_no_look_up_from_going_on(
    life: object, api: Api, declared: Callable[..., Declared]
) -> None:
    provider = Provider(api, expires_in=life)
    ok(declared(REFRESH), 1)
    assert provider.given == 1


@pytest.mark.parametrize("renewed", ["\ud800", "line\nbreak", "", 7])
def test_a_refresh_token_that_cannot_be_shown_again_leaves_the_one_before_in_force(
    renewed: object, api: Api, declared: Callable[..., Declared], tmp_path: Path
) -> None:
    """Else no look-up of the source would be made any more, nor its failure told."""
    database = Database(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(database)
    provider = Provider(api, expires_in=600, refresh_token=renewed)
    try:
        ok(declared(REFRESH + "  rotates: true\n", keeper=TokenKeeper(database)), 1)
        provider.given += 1  # the CRM ends the access token
        ok(declared(REFRESH + "  rotates: true\n", keeper=TokenKeeper(database)), 2)
    finally:
        database.close()
    assert [form["refresh_token"] for form in provider.forms] == ["other-1", "other-1"]


def test_a_refresh_token_that_ends_with_its_use_is_replaced_for_good(
    api: Api, declared: Callable[..., Declared], tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(database)
    live = ["other-1"]

    def answer(asked: Asked) -> Says:
        if asked.path != "/token":
            accepted = asked.headers["authorization"] == f"Bearer access-{len(live)}"
            return Says(200, {"id": asked.path}) if accepted else Says(401, {})
        if asked.form["refresh_token"] != live[-1]:
            return Says(400, {"error": "invalid_grant"})
        live.append(f"refresh-{len(live)}")
        return Says(200, {"access_token": f"access-{len(live)}", "refresh_token": live[-1]})

    api.answer = answer
    lookup = REFRESH + "  rotates: true\n"
    try:
        ok(declared(lookup, keeper=TokenKeeper(database)), 1)
        ok(declared(lookup, keeper=TokenKeeper(database)), 2)  # as after a restart
        assert live == ["other-1", "refresh-1"]
        live.append("refresh-2")  # the CRM ends both tokens
        (failed,) = declared(lookup, keeper=TokenKeeper(database)).resolve({"ids": [3]})
        assert "invalid_grant" in str(failed)
    finally:
        database.close()
