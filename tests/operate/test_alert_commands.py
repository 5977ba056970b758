"""``crm-bridge alert test``: a test by every channel, and what came back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from http_receiver import HttpReceiver
from mail_server import PASSWORD, MailServer

from bridge.cli import cli
from bridge.commands.web import check_web
from bridge.errors import SettingError
from bridge.settings import Environment, Settings

SHIPPED = Path(__file__).parent.parent.parent / "mappings"


class Receivers:
    """One of each kind, and the settings that name them."""

    def __init__(self, stack: ExitStack) -> None:
        self.slack, self.webhook, self.monitor = (
            stack.enter_context(HttpReceiver()) for _ in range(3)
        )
        self.mail = stack.enter_context(MailServer())
        self.settings = {
            "BRIDGE_ALERT_SLACK_URL": self.slack.url,
            "BRIDGE_ALERT_WEBHOOK_URL": self.webhook.url,
            "BRIDGE_ALERT_MAIL_TO": "ops@example.com",
            "BRIDGE_ALERT_MAIL_FROM": "bridge@example.com",
            "BRIDGE_SMTP_HOST": "127.0.0.1",
            "BRIDGE_SMTP_PORT": str(self.mail.port),
            "BRIDGE_SMTP_TLS": "none",
            "BRIDGE_SMTP_USER": "bridge",
            "BRIDGE_SMTP_PASSWORD": PASSWORD,
            "BRIDGE_HEARTBEAT_URL": self.monitor.url,
            "BRIDGE_ALERT_TIMEOUT": "5",
        }


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with ExitStack() as stack:
        yield Receivers(stack)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a ``.env``."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **settings: str) -> Result:
    return CliRunner().invoke(cli, ["alert", "test", *arguments], env=settings)


def test_a_test_goes_to_everybody_and_nothing_else_is_needed(receivers: Receivers) -> None:
    done = run(**receivers.settings)
    assert done.exit_code == 0, done.output
    for name in ("slack", "webhook", "mail", "heartbeat"):
        assert name in done.output
    assert "path-is-a-secret" not in done.output
    [call] = receivers.slack.calls
    assert "this is a test, nothing is wrong" in call.json["text"]
    [call] = receivers.webhook.calls
    assert (call.json["test"], call.json["alerts"]) == (True, [])
    [letter] = receivers.mail.letters
    assert letter.mail["Subject"] == "crm-bridge: this is a test, nothing is wrong"
    assert [call.method for call in receivers.monitor.calls] == ["GET"]


def test_who_does_not_take_it_is_named_with_the_answer(receivers: Receivers) -> None:
    receivers.webhook.answers.append(404)
    done = run("--json", **{**receivers.settings, "BRIDGE_SMTP_PASSWORD": "wrong-password"})
    assert done.exit_code == 1
    rows = {row["channel"]: row for row in json.loads(done.output)}
    assert {name for name, row in rows.items() if row["taken"]} == {"slack", "heartbeat"}
    assert rows["webhook"]["answer"].startswith("HTTP 404")
    assert rows["mail"]["answer"].startswith("SMTP 535")
    assert rows["slack"]["receiver"] == "127.0.0.1"


def test_without_a_channel_it_says_what_to_set() -> None:
    done = run()
    assert done.exit_code == 2
    assert "Set BRIDGE_ALERT_SLACK_URL" in done.output


def test_a_web_process_does_not_start_with_an_address_that_cannot_be(tmp_path: Path) -> None:
    settings = Settings(
        Environment(
            {
                "BRIDGE_MAPPINGS": str(SHIPPED),
                "DATABASE_URL": f"sqlite:///{tmp_path}/bridge.db",
                "BRIDGE_ALERT_SLACK_URL": "path-is-a-secret",
            }
        )
    )
    with pytest.raises(SettingError, match="begins with https") as raised:
        check_web(settings)
    assert "path-is-a-secret" not in str(raised.value)
