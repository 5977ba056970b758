"""Channels over real connections: what is sent, what counts as taken, and what never shows."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from enrich.test_tls import certified
from forward.api import ApiServer
from http_receiver import HttpReceiver
from mail_server import PASSWORD, MailServer

from bridge import logs
from bridge.errors import SettingError
from bridge.operate.alerts import chosen
from bridge.operate.alerts.book import Item, Turn
from bridge.operate.alerts.caller import Caller
from bridge.operate.alerts.channel import Channel
from bridge.operate.alerts.message import MOST_LINES, Message
from bridge.operate.alerts.slack import Slack
from bridge.settings import Environment, Settings
from bridge.store.alerts import Entry

SECRET = "receivers-s3cr3t-0815"
AT = 1_782_371_969_536
LATE = Entry(
    "opt_out_late", "", "an opt-out waits", urgent=True, size=2, since=AT - 90_000, first_at=AT
)
SILENT = Entry(
    "source_silent", "crm", "nothing <!channel> & @all", False, 1, AT, AT, gone_at=AT + 60_000
)
MESSAGE = Message(
    "bridge one",
    AT,
    (Item(Turn.NEW, LATE), Item(Turn.OVER, SILENT)),
    "https://bridge.example.com/console/",
)
MAIL = {
    "BRIDGE_ALERT_MAIL_TO": "ops@example.com, boss@example.com",
    "BRIDGE_ALERT_MAIL_FROM": "bridge@example.com",
    "BRIDGE_SMTP_HOST": "127.0.0.1",
    "BRIDGE_SMTP_TLS": "none",
}


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    logs.blot_out([SECRET])
    with HttpReceiver() as running:
        yield running


def channel(**values: str) -> Channel:
    [one] = chosen.channels(Settings(Environment({"BRIDGE_ALERT_TIMEOUT": "0.7", **values})))
    return one


def mail_to(server: MailServer, **values: str) -> Channel:
    return channel(**{**MAIL, "BRIDGE_SMTP_PORT": str(server.port), **values})


# --------------------------------------------------------------------- by HTTP


def test_slack_gets_one_text_that_calls_nobody(receiver: HttpReceiver) -> None:
    answer = channel(BRIDGE_ALERT_SLACK_URL=receiver.url).send(MESSAGE)
    assert (answer.taken, answer.words) == (True, "HTTP 200")
    [call] = receiver.calls
    assert call.method == "POST"
    assert call.headers["content-type"] == "application/json"
    assert call.json == {
        "text": "*bridge one: 1 new (1 urgent), 1 over*\n"
        "• URGENT: an opt-out waits (since 2026-06-25 07:17 UTC)"
        " <https://bridge.example.com/console/opt-outs|Show>\n"
        "• OVER: nothing &lt;!channel&gt; &amp; @\u200ball "
        "(from 2026-06-25 07:19 to 2026-06-25 07:20 UTC)"
        "\n<https://bridge.example.com/console/|Console>"
    }


def test_programs_get_json_with_a_token_and_a_key_to_know_it_again(
    receiver: HttpReceiver,
) -> None:
    one = channel(BRIDGE_ALERT_WEBHOOK_URL=receiver.url, BRIDGE_ALERT_WEBHOOK_TOKEN="a-token")
    assert one.send(MESSAGE).taken
    assert one.send(replace(MESSAGE, at=AT + 5000)).taken
    first, again = receiver.calls
    assert first.headers["authorization"] == "Bearer a-token"
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == MESSAGE.id
    document = first.json
    assert document["at"] == "2026-06-25T07:19:29.536Z"
    assert (document["bridge"], document["test"]) == ("bridge one", False)
    late, silent = document["alerts"]
    assert (late["state"], late["kind"], late["subject"]) == ("new", "opt_out_late", "")
    assert (late["urgent"], late["size"], late["over_at"]) == (True, 2, None)
    assert (late["page"], silent["page"]) == (
        f"{MESSAGE.link}opt-outs",
        f"{MESSAGE.link}deliveries?source=crm",
    )
    assert replace(MESSAGE, link="").as_dict()["alerts"][0]["page"] is None
    assert "/console/opt-outs\n" in MESSAGE.text
    assert late["since"] == "2026-06-25T07:17:59.536Z"
    assert (silent["state"], silent["over_at"]) == ("over", "2026-06-25T07:20:29.536Z")
    lasts = replace(MESSAGE, items=(Item(Turn.LASTS, replace(LATE, times=1)),))
    assert lasts.as_dict()["alerts"][0]["id"] == late["id"], "one alert from beginning to end"
    assert lasts.id != MESSAGE.id


@pytest.mark.parametrize("answer", [201, 204, 299])
def test_every_2xx_means_that_it_is_taken(receiver: HttpReceiver, answer: int) -> None:
    receiver.always = answer
    assert channel(BRIDGE_ALERT_SLACK_URL=receiver.url).send(MESSAGE).taken


@pytest.mark.parametrize("answer", [302, 400, 404, 429, 500, 503])
def test_nothing_else_is_and_the_answer_is_shown_masked(
    receiver: HttpReceiver, answer: int
) -> None:
    receiver.always = answer
    receiver.headers = {"Retry-After": "7", "Location": receiver.url}
    found = channel(BRIDGE_ALERT_WEBHOOK_URL=receiver.url).send(MESSAGE)
    assert (found.taken, found.wait_s) == (False, 7)
    assert found.words == f"HTTP {answer}: said by +1********23 with <secret>"
    assert len(receiver.calls) == 1, "nothing is followed"


@pytest.mark.parametrize("answer", ["hang", "cut"])
def test_a_receiver_that_hangs_is_left_in_time(receiver: HttpReceiver, answer: str) -> None:
    receiver.always = answer
    started = time.monotonic()
    found = channel(BRIDGE_ALERT_SLACK_URL=receiver.url).send(MESSAGE)
    assert not found.taken
    assert "path-is-a-secret" not in found.words
    assert time.monotonic() - started < 20


def test_a_refusal_that_is_packed_is_not_unpacked() -> None:
    """What nobody asked for may unpack to all the memory there is."""
    packed = gzip.compress(gzip.compress(bytes(100_000_000), 1))
    server = ApiServer()
    try:
        server.behaviours = [
            lambda handler, _: handler.reply(500, packed, {"Content-Encoding": "gzip, gzip"})
        ]
        tracemalloc.start()
        answer = Caller(server.url, 5).call("POST")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    finally:
        server.stop()
    assert (answer.taken, answer.words) == (False, "HTTP 500")
    assert most < 10_000_000


def test_nobody_listens() -> None:
    found = Slack("http://127.0.0.1:1/path-is-a-secret", 2).send(MESSAGE)
    assert (found.taken, found.words) == (False, "no answer (ConnectError)")


def test_a_heartbeat_is_a_plain_get(receiver: HttpReceiver) -> None:
    assert Caller(receiver.url, 2).call("GET").taken
    [call] = receiver.calls
    assert (call.method, call.path, call.body) == ("GET", "/hook/path-is-a-secret", b"")


# --------------------------------------------------------------------- by e-mail


def test_a_mail_is_plain_text_to_everybody() -> None:
    with MailServer() as server:
        answer = mail_to(server).send(MESSAGE)
        assert (answer.taken, answer.words) == (True, "accepted for 2 of 2")
        [letter] = server.letters
    assert letter.sender == "bridge@example.com"
    assert letter.receivers == ("ops@example.com", "boss@example.com")
    mail = letter.mail
    assert mail["Subject"] == "bridge one: 1 new (1 urgent), 1 over"
    assert mail["Message-ID"] == f"<{MESSAGE.id}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "URGENT: an opt-out waits (since 2026-06-25 07:17 UTC)" in text
    assert text.rstrip().endswith("Console: https://bridge.example.com/console/")


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_mail_server_is_logged_in_to_over_tls_it_can_prove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    certificate = certified(tmp_path)
    login = {
        "BRIDGE_SMTP_TLS": how,
        "BRIDGE_SMTP_USER": "bridge",
        "BRIDGE_SMTP_PASSWORD": PASSWORD,
    }
    with MailServer(certificate, tls=how == "tls") as server:
        refused = mail_to(server, **login).send(MESSAGE)
        assert (refused.taken, refused.words) == (False, "no answer (SSLCertVerificationError)")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert mail_to(server, **login).send(MESSAGE).taken
        [letter] = server.letters
        assert (letter.user, letter.encrypted) == ("bridge", True)
        wrong = mail_to(server, **{**login, "BRIDGE_SMTP_PASSWORD": SECRET}).send(MESSAGE)
        assert (wrong.taken, wrong.words) == (False, "SMTP 535: 5.7.8 no such user +1********23")


def test_a_password_does_not_travel_where_tls_was_asked_for_and_is_not_offered() -> None:
    with MailServer() as server:
        one = mail_to(
            server,
            BRIDGE_SMTP_TLS="starttls",
            BRIDGE_SMTP_USER="bridge",
            BRIDGE_SMTP_PASSWORD=PASSWORD,
        )
        answer = one.send(MESSAGE)
    assert not answer.taken
    assert "no STARTTLS" in answer.words
    assert server.letters == []


def test_a_mail_counts_once_the_server_has_accepted_it() -> None:
    with MailServer() as server:
        one = mail_to(server)
        server.refused = {"boss@example.com"}
        assert one.send(MESSAGE).words == "accepted for 1 of 2; 1 refused"
        server.refused |= {"ops@example.com"}
        assert one.send(MESSAGE).words == "the server refuses every receiver (550)"
        server.refused = set()
        server.script.extend(["refuse", "hang", "rude"])
        assert one.send(MESSAGE).words == "SMTP 554: not today"
        started = time.monotonic()
        assert not one.send(MESSAGE).taken, "nobody knows"
        assert time.monotonic() - started < 20
        assert one.send(MESSAGE).taken, "it had been accepted when the server hung up"
        assert len(server.letters) == 2


# --------------------------------------------------------------------- words and settings


def test_very_many_are_counted_where_people_read() -> None:
    many = replace(MESSAGE, items=tuple(Item(Turn.NEW, LATE) for _ in range(MOST_LINES + 7)))
    assert len(many.lines()) == MOST_LINES + 1
    assert many.lines()[-1] == ("… and 7 more", "")
    assert len(many.as_dict()["alerts"]) == MOST_LINES + 7


def test_a_secret_in_a_text_is_blotted_out_everywhere() -> None:
    logs.blot_out([SECRET])
    leaky = replace(MESSAGE, items=(Item(Turn.NEW, replace(LATE, text=f"token {SECRET}")),))
    assert SECRET not in leaky.text + str(leaky.as_dict())
    assert "token <secret>" in leaky.text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"BRIDGE_ALERT_SLACK_URL": f"hooks.slack.com/{SECRET}"}, "BRIDGE_ALERT_SLACK_URL"),
        ({"BRIDGE_ALERT_WEBHOOK_URL": f"ftp://h/{SECRET}"}, "BRIDGE_ALERT_WEBHOOK_URL"),
        ({"BRIDGE_ALERT_MAIL_TO": "a@b.c"}, "BRIDGE_ALERT_MAIL_FROM has to be set"),
        ({**MAIL, "BRIDGE_ALERT_MAIL_TO": "Jane <a@b.c>"}, "BRIDGE_ALERT_MAIL_TO is not usable"),
        ({**MAIL, "BRIDGE_ALERT_MAIL_FROM": "me"}, "BRIDGE_ALERT_MAIL_FROM is not usable"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(values: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said) as raised:
        chosen.channels(Settings(Environment(values)))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("value", ["soon", "60 -5", "0 60", "nan"])
def test_a_malformed_schedule_of_repeats_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match="BRIDGE_ALERT_REPEAT must be"):
        chosen.policy(Settings(Environment({"BRIDGE_ALERT_REPEAT": value})))


def test_never_again_and_a_schedule() -> None:
    never = chosen.policy(Settings(Environment({"BRIDGE_ALERT_REPEAT": "0"})))
    assert never.repeat == ()
    steps = chosen.policy(Settings(Environment({"BRIDGE_ALERT_REPEAT": "60 0.5"})))
    assert steps.repeat == (60_000, 500)
