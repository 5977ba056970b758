"""What becomes of requests that do not pass verification, and of those that nobody can verify.

Nothing is sent on, so one sandbox serves all tests, and one bridge those that sign the URL without
saying which it is.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_process import Bridge
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.model import HubSpotScheme, Secret
from bridge.receive.sign import sign

from .conftest import MakeBridge, bridge_over, on_both_engines

FLOOD = "203.0.113.9"
SECRET = "client-secret-for-tests"
PUBLIC_URL = "https://hooks.example.com"

SIGNED = """
source: signed
title: Signs the URL, and has no other scheme
receive:
  verify:
    - hubspot_v3: {secret: "${SIGNED_SECRET}"}
rules:
  - name: everything
    lead: {phone_number: phone, first_name: name}
"""
EITHER = SIGNED.replace("source: signed", "source: either").replace(
    "rules:", '    - bearer: {token: "${CRM_TOKEN}"}\nrules:', 1
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def refuse(bridge: Bridge, payload: Any, address: str) -> httpx.Response:
    reply = bridge.post("crm", payload, token="wrong", **{"X-Forwarded-For": address})
    assert reply.status_code == 401
    return reply


def receipt_in(reply: httpx.Response) -> str | None:
    """The receipt under which the answer says that the request is kept."""
    found = re.search(r"[0-9a-f]{32}", reply.json()["detail"])
    assert ("not kept" in reply.json()["detail"]) == (found is None)
    return found[0] if found else None


def test_a_flood_of_large_bodies_does_not_end_the_keeping_of_refusals(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge(settings={"BRIDGE_FORWARDED_HOPS": "1"})
    bridge.start_web()
    before = refuse(bridge, {}, "192.0.2.1")
    flood = [refuse(bridge, b"x" * 1_900_000, FLOOD) for _ in range(40)]
    after = refuse(bridge, {}, "192.0.2.2")
    said = [receipt_in(reply) for reply in (before, *flood, after)]
    assert said[0]
    assert said[-1]
    kept = bridge.refusals()[::-1]
    assert [row["receipt"] for row in kept] == [receipt for receipt in said if receipt]
    of_the_flood = [row["bytes"] for row in kept if row["address"] == FLOOD]
    assert 0 < sum(of_the_flood) <= 16_000_000
    assert set(of_the_flood) == {1_900_000}
    assert bridge.said("web", '"refused and not kept"') == 1
    assert bridge.deliveries() == []


def test_a_flood_of_small_requests_is_counted_and_the_answer_says_so(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge(
        settings={"BRIDGE_FORWARDED_HOPS": "1", "BRIDGE_REFUSALS_PER_ADDRESS": "5"}
    )
    bridge.start_web()
    said = [receipt_in(refuse(bridge, {}, FLOOD)) for _ in range(30)]
    assert [receipt is not None for receipt in said] == [True] * 5 + [False] * 25
    assert receipt_in(refuse(bridge, {}, "192.0.2.1"))
    listed = json.loads(bridge.call("refusals", "--json").stdout)
    assert [row["address"] for row in listed] == ["192.0.2.1"] + [FLOOD] * 5


def test_what_a_source_lacks_is_said_in_the_log_and_not_to_whoever_asks(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge()
    bridge.start_web()
    replies = [bridge.post("unset", {}) for _ in range(5)]
    assert {reply.status_code for reply in replies} == {503}
    assert not any("NOBODY_SETS_THIS" in reply.text for reply in replies)
    assert all("not configured" in reply.json()["detail"] for reply in replies)
    assert bridge.said("web", "NOBODY_SETS_THIS") == 1
    assert "NOBODY_SETS_THIS" in bridge.call("mapping", "check").stdout


# --------------------------------------------------------------------- signatures over the URL


def signing_over(folder: Path, sandbox: Sandbox, **settings: str) -> Bridge:
    """A bridge with two sources that sign the URL; one of them has a bearer token as well."""
    made = bridge_over(
        folder,
        sandbox,
        settings={"SIGNED_SECRET": SECRET, "BRIDGE_CONSOLE_TOKEN": "console", **settings},
    )
    mappings = Path(made.env["BRIDGE_MAPPINGS"])
    (mappings / "signed.yaml").write_text(SIGNED)
    (mappings / "either.yaml").write_text(EITHER)
    return made


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    """A running one, which does not know its address."""
    with signing_over(tmp_path_factory.mktemp("signing"), sandbox) as bridge:
        bridge.start_web()
        yield bridge


def post_signed_as(bridge: Bridge, base: str, **headers: str) -> httpx.Response:
    """A post whose sender signed ``base`` as the bridge's address."""
    body = b'{"phone": "+14155550123", "name": "Jane"}'
    signed = sign(
        (HubSpotScheme("v3", Secret("SIGNED_SECRET", (SECRET,))),),
        method="POST",
        url=f"{base}/hooks/signed",
        body=body,
        now_ms=now_ms(),
        headers={"Content-Type": "application/json", **headers},
    )
    return httpx.post(
        f"{bridge.url}/hooks/signed", content=body, headers=signed.headers, trust_env=False
    )


def refused_schemes(bridge: Bridge) -> Any:
    (check,) = bridge.get("/healthz", Authorization="Bearer console").json()["checks"]["public_url"]
    return check["status"], check.get("details", {}).get("refused_schemes")


def test_a_signature_over_the_url_never_passes_by_the_requests_own_host(signing: Bridge) -> None:
    for reply in (
        post_signed_as(signing, signing.url),
        post_signed_as(signing, "http://elsewhere.example.com", Host="elsewhere.example.com"),
    ):
        assert reply.status_code == 401
    reasons = {row["reason"] for row in signing.refusals()[:2]}
    assert len(reasons) == 1
    assert "BRIDGE_PUBLIC_URL is not set" in reasons.pop()
    assert signing.deliveries() == []
    assert signing.post("either", {"phone": "+14155550123", "name": "Jane"}).status_code == 200


def test_sources_that_need_the_public_url_are_named_until_it_is_set(signing: Bridge) -> None:
    both = {"signed": ["hubspot_v3"], "either": ["hubspot_v3"]}
    assert refused_schemes(signing) == ("warn", both)
    check = signing.call("mapping", "check")
    assert check.returncode == 1
    assert re.search(r"signed\.yaml:\d+:\d+: .*nothing can pass hubspot_v3", check.stderr)
    assert "either.yaml:" not in check.stderr
    assert check.stdout.count("hubspot_v3 refused until BRIDGE_PUBLIC_URL is set") == 2
    assert signing.call("mapping", "check", BRIDGE_PUBLIC_URL=PUBLIC_URL).returncode == 0


def test_with_the_public_url_only_that_address_passes(tmp_path: Path, sandbox: Sandbox) -> None:
    with signing_over(tmp_path, sandbox, BRIDGE_PUBLIC_URL=f"{PUBLIC_URL}/") as bridge:
        bridge.start_web()
        assert post_signed_as(bridge, PUBLIC_URL).status_code == 200
        assert post_signed_as(bridge, bridge.url).status_code == 401
        assert refused_schemes(bridge) == ("pass", None)


def test_send_says_what_to_set_where_the_url_is_signed(signing: Bridge) -> None:
    payload = signing.folder / "payload.json"
    payload.write_text('{"phone": "+14155550123", "name": "Jane"}')
    done = signing.run("send", "signed", str(payload))
    assert done.returncode == 1
    assert "HTTP 401" in done.stdout
    assert (
        f"BRIDGE_PUBLIC_URL is not set here, so the address that was signed is {signing.url}"
        in (done.stderr)
    )


@on_both_engines
def test_a_target_that_no_database_takes_is_no_request(make_bridge: MakeBridge) -> None:
    """PostgreSQL takes no NUL in a text: all webhooks that were to be stored with such a request
    would be stored anew, one by one, whenever a stranger sends one."""
    bridge = make_bridge()
    bridge.start_web()
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=20) as connection:
        connection.sendall(
            b"POST /hooks/crm?a=\0 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
        )
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert bridge.said("web", '"not stored"') == 0
