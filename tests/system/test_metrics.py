"""Metrics are right whichever process of whichever node is asked, and name nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from bridge_process import CRM_TOKEN, Bridge, wait_until
from prometheus_client.parser import text_string_to_metric_families
from sandbox_client import Sandbox

from bridge.operate.metrics.families import BY_NAME
from bridge.operate.metrics.reading import CONDITIONS

from .conftest import bridge_over, shared_database

TOKEN = "metrics-token-0123456789"
CONSOLE = "console-token-0123456789"
PHONE = "+1415555{:04}"
THEN = 1_700_000_000_000
KNOWN = 40
"""Leads that the campaign has."""

Labels = Mapping[str, str]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, campaigns=["camp_one"]) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(
    sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Bridge]:
    """Two nodes over one PostgreSQL, each with two web processes behind one port."""
    folder = tmp_path_factory.mktemp("metrics")
    tuning = {
        "BRIDGE_METRICS_TOKEN": TOKEN,
        "BRIDGE_CONSOLE_TOKEN": CONSOLE,
        "WEB_CONCURRENCY": "2",
    }
    with ExitStack() as stack:
        over = stack.enter_context(shared_database("postgresql", request))
        running = stack.enter_context(
            bridge_over(folder, sandbox, campaigns={"one": "camp_one"}, settings=tuning, **over)
        )
        sandbox.put_leads("camp_one", [{"phone_number": PHONE.format(n)} for n in range(KNOWN)])
        running.start_both()
        yield running


class Scraped:
    """What one answer of /metrics says."""

    def __init__(self, text: str) -> None:
        self.found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.found, f"{sample.name} twice"
                self.found[key] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        return self.found.get((f"crmbridge_{name}", frozenset(labels.items())))


def ports(bridge: Bridge) -> list[int]:
    return bridge._ports


def scrape(bridge: Bridge, port: int | None = None, token: str = TOKEN) -> Scraped:
    # a new connection each time, so that any of the processes behind the port may answer
    reply = httpx.get(
        f"http://127.0.0.1:{port or bridge.port}/metrics",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    return Scraped(reply.text)


Expected = tuple[str, Labels, float]


def settled(bridge: Bridge, expected: list[Expected]) -> None:
    """Wait until every process of every node says so, again and again."""

    def differences() -> list[str]:
        return [
            f"{name} {labels}: {found}, not {value}"
            for port in ports(bridge) * 4
            for now in [scrape(bridge, port)]
            for name, labels, value in expected
            if (found := now.value(name, **labels)) != value
        ]

    wait_until(lambda: not differences(), 60, lambda: "\n".join(differences()))


def test_every_process_tells_the_numbers_of_all(bridge: Bridge) -> None:
    events = [
        [{"id": f"e{n}", "at": THEN + n, "phone": PHONE.format(n), "dnc": True}]
        for n in range(KNOWN)
    ]
    for event in events:
        assert bridge.post("crm", event).status_code == 200
    assert bridge.post("crm", events[0]).status_code == 200  # the same once more
    stranger = {"id": "stranger", "phone": PHONE.format(9999), "dnc": True}
    assert bridge.post("crm", stranger).status_code == 200
    newer = {
        "id": "newer",
        "at": THEN + 9,
        "phone": PHONE.format(1),
        "details": {"first_name": "A"},
    }
    older = {"id": "older", "at": THEN, "phone": PHONE.format(1), "details": {"first_name": "B"}}
    for change in (newer, older):
        assert bridge.post("crm", change).status_code == 200
        bridge.wait_settled()
    for _ in range(3):
        assert bridge.post("crm", {"x": 1}, token="wrong").status_code == 401
    for n in range(5):
        assert bridge.post(f"made-up-{n}", {}).status_code == 404
    bridge.wait_settled()
    crm: Labels = {"source": "crm"}
    one: Labels = {"campaign": "one"}
    nobody: Labels = {"campaign": ""}
    settled(
        bridge,
        [
            ("deliveries_total", crm, KNOWN + 4),
            ("deliveries_waiting", crm, 0),
            ("events_total", crm, KNOWN + 4),
            ("duplicates_total", crm, 1),
            ("refused_total", crm, 3),
            ("webhook_answers_total", {**crm, "code": "200"}, KNOWN + 4),
            ("webhook_answers_total", {**crm, "code": "401"}, 3),
            ("webhook_answers_total", {"source": "", "code": "404"}, 5),
            ("webhook_answer_seconds_count", {}, KNOWN + 4 + 3 + 5),
            ("outcomes_total", {**one, "outcome": "updated"}, KNOWN + 1),
            ("outcomes_total", {**one, "outcome": "superseded"}, 1),
            ("outcomes_total", {**one, "outcome": "dead"}, 0),
            ("outcomes_total", {**nobody, "outcome": "duplicate"}, 1),
            ("updates", {**one, "state": "standing"}, 1),
            ("updates", {**one, "state": "waiting"}, 0),
            ("opt_outs_open", {"state": "standing"}, 1),
            ("opt_out_confirmation_seconds_count", one, KNOWN),
            ("opt_out_delivery_seconds_count", one, KNOWN),
            ("workers", {}, len(ports(bridge))),
            ("database_up", {}, 1),
            ("mappings_valid", {}, 1),
            ("source_configured", {"source": "unset"}, 0),
        ],
    )
    now = scrape(bridge)
    # the CRM's event is years old, what the bridge needed is not
    assert now.value("opt_out_confirmation_seconds_bucket", campaign="one", le="604800") == 0
    assert now.value("opt_out_delivery_seconds_bucket", campaign="one", le="300") == KNOWN
    calls = now.value("api_calls_total", campaign="one", code="200")
    assert calls is not None
    assert calls == now.value("api_call_seconds_count", campaign="one")
    assert calls >= now.value("batch_leads_count", campaign="one") > 0  # type: ignore[operator]
    assert now.value("batch_leads_sum", campaign="one") >= KNOWN  # type: ignore[operator]
    assert now.value("retries_total", campaign="one", state="standing") >= 1  # type: ignore[operator]
    last = now.value("source_last_delivery_timestamp_seconds", source="crm")
    assert last is not None
    assert last == pytest.approx(bridge.deliveries()[0]["received_at"] / 1000, abs=0.001)


def test_a_closed_campaign_shows_with_the_calls_that_closed_it(
    bridge: Bridge, sandbox: Sandbox
) -> None:
    def condition() -> list[float | None]:
        now = scrape(bridge)
        return [now.value("campaign_condition", campaign="one", condition=c) for c in CONDITIONS]

    wait_until(lambda: condition() == [1, 0, 0], what="an open campaign")
    sandbox.behave(default={"mode": "status", "status": 503})
    receipt = bridge.post("crm", {"id": "later", "phone": PHONE.format(2), "dnc": True}).json()
    wait_until(lambda: condition() == [0, 1, 0], what="a breaker that is open")
    wait_until(
        lambda: scrape(bridge).value("updates", campaign="one", state="waiting") == 1,
        what="the update that waits",
    )
    sandbox.behave()
    wait_until(lambda: bridge.states(receipt["receipt"]) == ["updated"], what="the opt-out")
    wait_until(lambda: condition() == [1, 0, 0], what="an open campaign")

    def told() -> bool:
        now = scrape(bridge)
        closings = now.value("campaign_closings_total", campaign="one", condition="backoff")
        calls = now.value("api_calls_total", campaign="one", code="503")
        again = now.value("retries_total", campaign="one", state="waiting")
        return bool(closings and calls and again)

    wait_until(told, what="the counts of it")


def test_what_is_shown_is_declared(bridge: Bridge) -> None:
    receipt = bridge.post("crm", {"id": "shown", "phone": PHONE.format(1), "dnc": True}).json()
    wait_until(lambda: bridge.states(receipt["receipt"]) == ["updated"], what="the opt-out")
    wait_until(
        lambda: scrape(bridge).value("source_last_delivery_timestamp_seconds", source="crm"),
        what="when the source was heard of last",
    )
    plain = bridge.get("/metrics", Authorization=f"Bearer {TOKEN}")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    kinds: dict[str, str] = {}
    for family in text_string_to_metric_families(plain.text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        kinds[name] = family.type
        assert family.documentation == BY_NAME[name].help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(BY_NAME[name].labels), sample
    assert kinds == {name: BY_NAME[name].kind.value for name in kinds}
    # what these tests have no look-ups for, and what only SQLite has
    rest = BY_NAME.keys() - kinds.keys()
    assert {name for name in rest if "look_up" not in name} == {"crmbridge_disk_free_bytes"}


def test_metrics_hold_nobody_and_no_secret(bridge: Bridge) -> None:
    text = bridge.get("/metrics", Authorization=f"Bearer {TOKEN}").text
    for n in range(KNOWN):
        assert PHONE.format(n)[-8:] not in text
    for secret in (CRM_TOKEN, TOKEN, CONSOLE, bridge.env["BRIDGE_API_TOKEN"], "made-up"):
        assert secret not in text


def test_metrics_are_for_who_has_a_token(bridge: Bridge) -> None:
    assert bridge.get("/metrics").status_code == 401
    assert bridge.get("/metrics", Authorization=f"Bearer {CONSOLE}").status_code == 200
    assert bridge.get("/metrics", "HEAD", Authorization=f"Bearer {TOKEN}").content == b""
    # the token of metrics opens nothing else
    assert bridge.get("/api/outcomes", Authorization=f"Bearer {TOKEN}").status_code == 401
    health: dict[str, Any] = bridge.get("/healthz", Authorization=f"Bearer {TOKEN}").json()
    assert "details" not in health["checks"]["sources"][0]
    wrong = {"Authorization": "Bearer wrong"}
    codes = [bridge.get("/metrics", **wrong).status_code for _ in range(16)]
    assert codes[0] == 401
    assert 429 in codes
