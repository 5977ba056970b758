"""Who gets in, and what holds those out who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bridge_process import Bridge
from sandbox_client import Sandbox
from system.mapping_files import write_mappings

from bridge.operate.concern import Kind
from bridge.operate.whereabouts import anchor, page_of

from .conftest import CAMPAIGNS, STANDING, TOKEN, Story

EVERYWHERE = (
    "/console/",
    "/console/outcomes",
    "/api/outcomes",
    "/api/openapi.json",
    "/api/leads/1",
)


@pytest.fixture
def client(bridge: Bridge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bridge.url, trust_env=False, timeout=60) as found:
        yield found


def test_every_concern_leads_to_a_page_that_is_there(client: httpx.Client, told: Story) -> None:
    assert sign_in(client).status_code == 303
    nowhere = set()
    for kind in Kind:
        page = page_of(kind, "one", CAMPAIGNS)
        if not page:
            nowhere.add(kind)
            continue
        found = client.get(f"/console/{page.partition('#')[0]}")
        assert found.status_code == 200, kind
        if "#" in page:
            assert f'id="{anchor("one")}"' in found.text
    assert nowhere == {
        *(Kind.DATABASE, Kind.DISK_LOW, Kind.WORKER_GONE),
        *(Kind.CLOCK_WRONG, Kind.AUDIT_BREACH, Kind.ALERTS_FAIL),
    }
    overview = client.get("/console/")
    assert 'href="/console/dead-letters">' in overview.text
    assert told.standing
    assert 'href="/console/opt-outs"' in overview.text
    assert STANDING in client.get("/console/opt-outs").text


@pytest.fixture
def others(tmp_path: Path, sandbox: Sandbox) -> Iterator[Bridge]:
    """Another bridge: two web processes behind HTTPS that share nothing but a database."""
    mappings = write_mappings(tmp_path / "mappings", CAMPAIGNS)
    settings = {
        "BRIDGE_CONSOLE_TOKEN": TOKEN,
        "BRIDGE_CONSOLE_TOKEN_PREVIOUS": "the-token-before-this-one",
        "BRIDGE_PUBLIC_URL": "https://bridge.example.com",
        "BRIDGE_FORWARDED_HOPS": "1",
    }
    bridge = Bridge(
        tmp_path,
        mappings=mappings,
        api_url=sandbox.url,
        api_token=sandbox.token,
        settings=settings,
        processes=2,
    )
    with bridge:
        bridge.start_web(0)
        bridge.start_web(1)
        yield bridge


def sign_in(client: httpx.Client, token: str = TOKEN, **headers: str) -> httpx.Response:
    return client.post("/console/sign-in", data={"token": token, "who": "Ada"}, headers=headers)


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def test_without_a_token_set_nothing_is_there(tmp_path: Path, sandbox: Sandbox) -> None:
    mappings = write_mappings(tmp_path / "mappings", CAMPAIGNS)
    bridge = Bridge(tmp_path, mappings=mappings, api_url=sandbox.url, api_token=sandbox.token)
    with bridge:
        bridge.start_web()
        for path in (*EVERYWHERE, "/console/sign-in", "/console/static/console.css"):
            for method in ("GET", "POST"):
                found = bridge.get(path, method, Authorization=f"Bearer {TOKEN}")
                assert found.status_code == 404, path


def test_without_the_token_everything_answers_401(client: httpx.Client) -> None:
    for path in EVERYWHERE:
        found = client.get(path)
        assert found.status_code == 401, path
        assert "<table" not in found.text
        assert '"rows"' not in found.text
        kind = "application/problem+json" if "/api/" in path else "text/html"
        assert found.headers["Content-Type"].startswith(kind)


def test_wrong_tokens_are_answered_401_and_then_have_to_wait(others: Bridge) -> None:
    with httpx.Client(base_url=others.url, trust_env=False, timeout=60) as client:

        def ask(address: str, token: str) -> httpx.Response:
            headers = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}"}
            return client.get("/api/campaigns", headers=headers)

        guesser = "203.0.113.7"
        tries = [ask(guesser, f"guess {number}").status_code for number in range(6)]
        assert tries[:4] == [401] * 4
        assert tries[-1] == 429
        refused = ask(guesser, TOKEN)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        page = sign_in(client, TOKEN, **{"X-Forwarded-For": guesser})
        assert page.status_code == 429
        assert "Set-Cookie" not in page.headers
        assert ask("198.51.100.9", TOKEN).status_code == 200
        assert ask("198.51.100.9", "the-token-before-this-one").status_code == 200


def test_a_session_holds_on_every_process_and_its_cookie_has_the_right_flags(
    others: Bridge,
) -> None:
    with httpx.Client(base_url=others.url, trust_env=False, timeout=60) as client:
        entered = sign_in(client)
        assert entered.status_code == 303
        cookie = entered.headers["Set-Cookie"]
        for flag in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/console", "Expires="):
            assert flag in cookie
        assert TOKEN not in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    for number in range(2):
        url = f"http://127.0.0.1:{others._ports[number]}/console/outcomes"
        assert httpx.get(url, headers=sent, trust_env=False, timeout=60).status_code == 200
    name, _, value = sent["Cookie"].partition("=")
    forged = {"Cookie": f"{name}={value[:-4]}AAAA"}
    assert httpx.get(url, headers=forged, trust_env=False, timeout=60).status_code == 401


def test_a_stranger_cannot_have_much_read(client: httpx.Client, bridge: Bridge) -> None:
    assert sign_in(client, "x" * 100_000).status_code == 413
    large = client.post("/api/leads/search", content=b"x" * 100_000)
    assert large.status_code == 401


def test_a_post_needs_the_token_of_its_session(client: httpx.Client, told: Story) -> None:
    assert sign_in(client, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert sign_in(client).status_code == 303
    page = client.get("/console/leads")
    text = {"q": "(415) 555-0103"}
    assert client.post("/console/leads", data=text).status_code == 403
    assert client.post("/console/leads", data={**text, "csrf": "x"}).status_code == 403
    good = {**text, "csrf": csrf_of(page)}
    from_elsewhere = {"Sec-Fetch-Site": "same-site"}
    assert client.post("/console/leads", data=good, headers=from_elsewhere).status_code == 403
    assert client.post("/console/leads", data=good).status_code == 303
    trial = {"mapping": "", "payload": "", "records": ""}
    assert client.post("/console/mappings/crm/try", json=trial).status_code == 403


def test_after_signing_in_one_is_where_one_wanted_and_nowhere_else(client: httpx.Client) -> None:
    door = client.get("/console/outcomes?state=dead")
    assert door.status_code == 401
    assert 'name="next" value="/console/outcomes?state=dead"' in door.text
    for target, place in (
        ("/console/outcomes?state=dead", "/console/outcomes?state=dead"),
        ("https://evil.example/console/", "/console/"),
        ("//evil.example/", "/console/"),
        ("/console/\\evil.example", "/console/"),
    ):
        entered = client.post("/console/sign-in", data={"token": TOKEN, "next": target})
        assert entered.headers["Location"] == place


def test_every_page_keeps_to_itself(client: httpx.Client, told: Story) -> None:
    sign_in(client)
    for path in ("/console/", "/console/mappings/crm", "/console/nothing", "/api/nothing"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
    whole = client.get("/console/mappings/crm").text
    assert not re.search(r"<script(?! src=\"/console/static/)|<style|\son\w+=|style=\"", whole)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", whole)


def test_raw_bodies_are_saved_and_never_shown_as_pages(client: httpx.Client, told: Story) -> None:
    sign_in(client)
    raw = client.get(f"/console/deliveries/{told.unreadable}/body")
    assert raw.headers["Content-Type"] == "application/octet-stream"
    assert raw.headers["Content-Disposition"].startswith("attachment")
    assert raw.content.startswith(b"[<script>")


def test_a_delivery_names_the_version_in_force_and_another_only_if_it_is(
    client: httpx.Client, bridge: Bridge, told: Story
) -> None:
    sign_in(client)
    for receipt in (told.opt_out, told.unreadable):
        [version] = {row["version"] for row in bridge.deliveries() if row["receipt"] == receipt}
        page = client.get(f"/console/deliveries/{receipt}").text
        assert f'in force now, version <span class="mono">{version}</span>' in page
        assert "by another version" not in page


def test_pages_that_are_not_there_say_so(client: httpx.Client, told: Story) -> None:
    sign_in(client)
    for path in (
        "outcomes/99999999",
        "leads/99999999",
        f"outcomes/{10**30}",
        "deliveries/" + "0" * 32,
        "deliveries/%00",
        "refusals/none",
        "mappings/none",
        "mappings/..%2fcampaigns",
        "static/..%2fconsole.css",
        "static/none.css",
    ):
        assert client.get(f"/console/{path}").status_code == 404, path
    for query in (
        "cursor=x",
        "cursor=-1",
        f"cursor={10**40}",
        "state=%00",
        "campaign=%00&cursor=9",
    ):
        assert client.get(f"/console/outcomes?{query}").status_code == 200, query


def test_what_cannot_be_a_receipt_is_told_on_the_form_and_plans_nothing(
    client: httpx.Client, told: Story
) -> None:
    sign_in(client)
    form = client.get("/console/replays/new?receipt=nonsense")
    assert (form.status_code, "This is no receipt" in form.text) == (400, True)
    assert 'value="nonsense"' in form.text
    assert "The plan</h2>" not in form.text
    run = {"receipt": "nonsense", "state": "dead", "csrf": csrf_of(form)}
    refused = client.post("/console/replays/new", data=run)
    assert (refused.status_code, "This is no receipt" in refused.text) == (400, True)


def test_the_pages_of_refusals_say_what_to_do(client: httpx.Client, told: Story) -> None:
    sign_in(client)
    listed = client.get("/console/refusals").text
    receipt = listed.partition("/console/refusals/")[2][:32]
    assert "crm-bridge refusals verify --run" in listed
    page = client.get(f"/console/refusals/{receipt}").text
    # it carried a token, so verifying it again is no advice
    assert "crm-bridge refusals verify" not in page
    assert "the header authorization was not kept" in page
    assert "crm-bridge send crm FILE" in page


def test_no_phone_number_and_no_token_stands_in_a_log(bridge: Bridge, api: httpx.Client) -> None:
    api.post("/api/leads/search", json={"text": "(415) 555-0103"})
    said = bridge.log("web")
    assert "5550103" not in said
    assert "555-0103" not in said
    assert TOKEN not in said
