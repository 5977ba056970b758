"""Alerts of real processes to real receivers, some of which lie: grouped, repeated, over, once.

One bridge serves all tests but the last; each waits until all that went before it is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from http_receiver import HttpReceiver
from mail_server import PASSWORD, MailServer
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.store import alerts, silences
from bridge.store.silences import DAY_MS

from .conftest import bridge_over, shared_database

CAMPAIGNS = {"one": "camp_one", "two": "camp_two"}
PHONES = [f"+1415555{number:04d}" for number in range(40)]
REFUSED = {"mode": "status", "status": 401}
TOKEN = "token-of-the-webhook"
QUICKLY = {
    "BRIDGE_ALERT_EVERY": "0.1",
    "BRIDGE_ALERT_WAIT": "1.5",
    "BRIDGE_ALERT_PAUSE": "0",
    "BRIDGE_ALERT_CLEAR": "0.5",
    "BRIDGE_ALERT_REPEAT": "3600",
    "BRIDGE_ALERT_TIMEOUT": "1",
    "BRIDGE_ALERT_NAME": "the tested bridge",
    "BRIDGE_OPT_OUT_LATE": "1",
    "BRIDGE_WORKER_SILENT": "5",
    "BRIDGE_HEARTBEAT_EVERY": "0.5",
}

Told = list[tuple[str, str, str]]


class World:
    """A bridge and all whom it tells."""

    def __init__(self, stack: ExitStack, folder: Path, sandbox: Sandbox, **over: Any) -> None:
        self.sandbox = sandbox
        self.slack, self.webhook, self.monitor = (
            stack.enter_context(HttpReceiver()) for _ in range(3)
        )
        self.mail = stack.enter_context(MailServer())
        settings = {
            "BRIDGE_ALERT_SLACK_URL": self.slack.url,
            "BRIDGE_ALERT_WEBHOOK_URL": self.webhook.url,
            "BRIDGE_ALERT_WEBHOOK_TOKEN": TOKEN,
            "BRIDGE_ALERT_MAIL_TO": "ops@example.com",
            "BRIDGE_ALERT_MAIL_FROM": "bridge@example.com",
            "BRIDGE_SMTP_HOST": "127.0.0.1",
            "BRIDGE_SMTP_PORT": str(self.mail.port),
            "BRIDGE_SMTP_TLS": "none",
            "BRIDGE_SMTP_USER": "bridge",
            "BRIDGE_SMTP_PASSWORD": PASSWORD,
            "BRIDGE_HEARTBEAT_URL": self.monitor.url,
            **QUICKLY,
            **over.pop("settings", {}),
        }
        made = bridge_over(folder, sandbox, campaigns=CAMPAIGNS, settings=settings, **over)
        self.bridge = stack.enter_context(made)

    def told(self) -> Told:
        """(state, kind, subject) of everything that the webhook has taken."""
        calls = self.webhook.taken
        return [(a["state"], a["kind"], a["subject"]) for c in calls for a in c.json["alerts"]]

    def tells(self, *wanted: tuple[str, str, str], after: int = 0) -> None:
        """Wait until the webhook was told all this since so many calls."""

        def heard() -> Told:
            calls = self.webhook.taken[after:]
            return [(a["state"], a["kind"], a["subject"]) for c in calls for a in c.json["alerts"]]

        wait_until(lambda: set(wanted) <= set(heard()), 60, lambda: f"{wanted} in {heard()}")

    def quiet(self) -> None:
        """Wait until every channel knows of nothing any more."""
        wait_until(lambda: not self.known(), 60, lambda: str(self.known()))

    def known(self) -> list[tuple[str, alerts.Entry]]:
        """What channels know of, as ``crm-bridge alert list`` shows it."""
        with self.bridge.database.read() as connection:
            return alerts.listing(connection)

    def everything(self) -> str:
        """All that any receiver was sent."""
        posts = [c.body.decode() for c in (*self.slack.calls, *self.webhook.calls)]
        return "\n".join([*posts, *(letter.mail.as_string() for letter in self.mail.letters)])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), campaigns=list(CAMPAIGNS.values())) as one:
        for campaign in CAMPAIGNS.values():
            one.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
        yield one


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[World]:
    with ExitStack() as stack:
        made = World(stack, tmp_path_factory.mktemp("bridge"), sandbox)
        made.bridge.start_both()
        yield made


@pytest.fixture(autouse=True)
def all_well(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        world: World = request.getfixturevalue("world")
        world.sandbox.behave()
        world.quiet()


def opt_out(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to or list(CAMPAIGNS), "dnc": True}


def refuse(world: World, phone: str) -> str:
    """Have the API refuse the token of both campaigns, and an opt-out wait for them."""
    world.sandbox.behave(default=REFUSED)
    return world.bridge.deliver("crm", opt_out(phone))


def test_the_heart_beats_as_long_as_all_is_drained(world: World) -> None:
    # the worker comes after the web process, so there may have been a first moment without one
    wait_until(lambda: len(world.monitor.taken) >= 3, what="heartbeats")
    assert all(b.at - a.at > 0.4 for a, b in pairwise(world.monitor.taken))
    receipt = refuse(world, PHONES[0])
    wait_until(lambda: world.bridge.said("worker", "no heartbeat until"), what="its end")
    beats = len(world.monitor.calls)
    assert "updated" not in world.bridge.states(receipt)
    world.tells(("new", "opt_out_late", ""))
    assert len(world.monitor.calls) == beats
    world.sandbox.behave()
    wait_until(lambda: len(world.monitor.calls) > beats, what="it beats again")
    wait_until(lambda: world.bridge.states(receipt) == ["updated"] * 2, what="the opt-out")


def test_many_troubles_are_one_message_on_every_channel_and_so_is_their_end(world: World) -> None:
    before = len(world.webhook.taken), len(world.slack.taken), len(world.mail.letters)
    refuse(world, PHONES[1])
    kinds = [
        ("credentials_refused", "one"),
        ("credentials_refused", "two"),
        ("opt_out_late", ""),
    ]
    world.tells(*(("new", *kind) for kind in kinds), after=before[0])
    wait_until(lambda: len(world.slack.taken) > before[1], what="a word in the chat")
    wait_until(lambda: len(world.mail.letters) > before[2], what="a mail")
    world.sandbox.behave()
    world.tells(*(("over", *kind) for kind in kinds), after=before[0])
    world.quiet()
    # told at once, over at once, and nothing said twice
    calls = world.webhook.taken[before[0] :]
    assert [len(call.json["alerts"]) for call in calls] in ([3, 3], [2, 1, 3], [3, 2, 1], [3, 1, 2])
    assert calls[0].headers["authorization"] == f"Bearer {TOKEN}"
    texts = [call.json["text"] for call in world.slack.taken[before[1] :]]
    assert "URGENT: the campaign API refuses the credentials of one: HTTP 401" in texts[0]
    assert texts[-1].startswith("*the tested bridge: ")
    assert "OVER: " in texts[-1]
    [subject, *_] = [letter.mail["Subject"] for letter in world.mail.letters[before[2] :]]
    assert subject.startswith("the tested bridge: ")


def test_a_receiver_that_fails_hears_it_later_once_and_holds_up_nobody(world: World) -> None:
    before, heard = len(world.webhook.taken), len(world.slack.taken)
    world.slack.answers.append("hang")
    world.slack.always = 500
    refuse(world, PHONES[2])
    world.tells(("new", "opt_out_late", ""), after=before)
    world.sandbox.behave()
    receipt = world.bridge.deliver("crm", opt_out(PHONES[3]))
    wait_until(lambda: world.bridge.states(receipt) == ["updated"] * 2, what="its own work")
    world.tells(("new", "alerts_fail", "slack"), after=before)
    assert len(world.slack.taken) == heard
    world.slack.always = 200
    wait_until(lambda: len(world.slack.taken) > heard, 60, "what the chat was owed")
    text = world.slack.taken[heard].json["text"]
    assert "the campaign API refuses the credentials of one" in text
    world.tells(("over", "alerts_fail", "slack"), after=before)


def test_a_mistake_in_a_mapping_and_its_mending(world: World) -> None:
    before = len(world.webhook.taken)
    path = Path(world.bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml"
    right = path.read_text()
    path.write_text(right.replace("do_not_call: {value: true}", "do_not_call: {valu: true}"))
    wait_until(lambda: world.bridge.said("worker", "mappings refused"), what="a refusal")
    [call] = wait_until(lambda: world.webhook.taken[before:], what="an alert")
    [one] = call.json["alerts"]
    assert (one["state"], one["kind"], one["urgent"]) == ("new", "mapping_invalid", False)
    assert "crm.yaml:" in one["text"]
    path.write_text(right)
    wait_until(lambda: world.told()[-1][:2] == ("over", "mapping_invalid"), 60, "its end")


def test_dead_letters_breaches_and_a_silent_source(world: World) -> None:
    before, bridge = len(world.webhook.taken), world.bridge
    unread = [{"id": name, "phone": "no number", "dnc": True} for name in "de"]
    receipt = bridge.deliver("crm", unread)
    wait_until(lambda: bridge.states(receipt) == ["dead", "dead"], what="dead letters")
    one = "id = (SELECT min(id) FROM outcome WHERE state = 'dead')"
    with bridge.database.write() as connection:
        for day in (0, 8):
            silences.note(connection, "crm", now_ms() - day * DAY_MS, 1000)
        connection.exec_driver_sql(
            f"UPDATE delivery SET received_at = {now_ms() - 3_700_000} WHERE source = 'crm'"
        )
        connection.exec_driver_sql(f"UPDATE outcome SET decided_at = NULL WHERE {one}")
    assert bridge.call("audit").returncode == 1
    wanted = [
        ("dead_letters", ""),
        ("audit_breach", "outcome wrong-decision-time"),
        ("source_silent", "crm"),
    ]
    world.tells(*(("new", *one) for one in wanted), after=before)
    checks = bridge.get("/healthz").json()["checks"]
    shown = {name: checks[name][0]["status"] for name in ("dead_letters", "audit", "sources")}
    assert set(shown.values()) == {"warn"}
    # mended, heard of again, and an hour later
    with bridge.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE outcome SET decided_at = 5 WHERE {one}")
        connection.exec_driver_sql("UPDATE tally SET at = at - 3660000 WHERE kind = 'dead'")
    bridge.deliver("crm", opt_out(PHONES[4]))
    assert bridge.call("audit").returncode == 0
    world.tells(*(("over", *one) for one in wanted), after=before)
    listed = json.loads(bridge.run("alert", "list", "--json").stdout)
    assert set(listed["channels"]) == {"slack", "webhook", "mail", "heartbeat"}


def test_the_web_process_says_that_the_worker_is_gone_and_what_was_told_is_not_told_again(
    world: World,
) -> None:
    bridge, before = world.bridge, len(world.webhook.taken)
    assert "paused" in bridge.call("campaigns", "pause", "one", "--reason", "a test").stdout
    world.tells(("new", "campaign_paused_by_hand", "one"), after=before)
    # whoever dies between the receiver's word and its own note of that has told nothing
    wait_until(lambda: all(entry.times == 1 for _, entry in world.known()), what="its note")
    assert bridge.worker is not None
    bridge.worker.kill()
    beats = len(world.monitor.calls)
    world.tells(("new", "worker_gone", ""), after=before)
    text = world.webhook.taken[-1].json["alerts"][0]["text"]
    assert text == "no worker is alive; webhooks are accepted and wait"
    assert len(world.monitor.calls) <= beats + 1, "a web process does not drain"
    wait_until(lambda: bridge.said("web", "alert sent"), what="its note that it has told so")
    bridge.start_worker()
    world.tells(("over", "worker_gone", ""), after=before)
    bridge.call("campaigns", "resume", "one")
    world.tells(("over", "campaign_paused_by_hand", "one"), after=before)
    world.quiet()
    told = [(a["state"], a["kind"]) for c in world.webhook.taken[before:] for a in c.json["alerts"]]
    wanted = [(s, k) for s in ("new", "over") for k in ("campaign_paused_by_hand", "worker_gone")]
    assert sorted(told) == wanted, [c.json for c in world.webhook.taken[before:]]
    assert bridge.said("worker", "alert sent") >= 1, "it has taken the channel over again"


def test_nothing_that_was_ever_sent_or_logged_holds_a_secret_or_a_number(world: World) -> None:
    sent, logged = world.everything(), world.bridge.log("worker") + world.bridge.log("web")
    assert "opt-out" in sent
    for text in (sent, logged):
        for secret in (world.sandbox.token, TOKEN, PASSWORD, "path-is-a-secret"):
            assert secret not in text
        assert not any(phone in text for phone in PHONES)


def test_a_worker_that_dies_while_it_sends_loses_nothing_and_the_other_goes_on(
    tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest
) -> None:
    with shared_database("postgresql", request) as over, ExitStack() as stack:
        world = World(stack, tmp_path, sandbox, **over)
        bridge = world.bridge
        for number in range(2):
            bridge.start_worker(number)
        world.webhook.answers.append("hang")
        bridge.start_web()
        refuse(world, PHONES[20])
        wait_until(lambda: world.webhook.calls, 60, "a message under way")
        holder = _holder(bridge)
        [number] = [n for n, worker in bridge.workers.items() if f"-{worker.pid}-" in holder]
        bridge.workers[number].kill()
        world.tells(("new", "credentials_refused", "one"), ("new", "opt_out_late", ""))
        # one of two is gone, and nobody has taken its place
        wait_until(lambda: any(kind == "worker_gone" for _, kind, _ in world.told()), 60, "that")
        sandbox.behave()
        bridge.start_worker(number)
        wait_until(lambda: ("over", "opt_out_late", "") in world.told(), 60, "the end")
        wait_until(
            lambda: any(t[:2] == ("over", "worker_gone") for t in world.told()), 60, "a new worker"
        )
        world.quiet()
        told = world.told()
        assert len(told) == len(set(told)), "each once, by whichever worker"


def _holder(bridge: Bridge) -> str:
    with bridge.database.read() as connection:
        query = "SELECT owner FROM alert_channel WHERE name = 'webhook'"
        return str(connection.exec_driver_sql(query).scalar())
