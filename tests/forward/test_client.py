"""One call of the bulk endpoint over real HTTP, and what each way of failing means."""

from __future__ import annotations

import gzip
import json
import socket
import tracemalloc
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from enrich.test_tls import certified

from bridge.deadline import Deadline
from bridge.forward.client import REPLY_BYTES, CampaignClient, trusted
from bridge.model import Campaign, Secret, Sent, Trouble, Verdict

from .api import ApiServer, Handler, Seen, good_reply, status, well

TOKEN = "tok-live-0123456789"
BATCH = [
    Sent(1, "+14155550123", {"phone_number": "+14155550123", "first_name": "Zoë"}),
    Sent(2, "+14155550124", {"phone_number": "+14155550124", "do_not_call": True}),
]


def campaign(url: str, **changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "name": "main",
        "id": "Q2FtcGFpZ24=/1?x#y%",
        "url": url,
        "token": Secret("BRIDGE_API_TOKEN", (TOKEN,)),
        "timeout_s": 5.0,
    }
    return Campaign(**(values | changes))


def verdicts(client: CampaignClient, to: Campaign) -> set[Verdict]:
    return {result.verdict for result in client.update_leads(to, BATCH).results}


def test_the_documented_request_goes_out(api: ApiServer, client: CampaignClient) -> None:
    api.behaviours = [well]
    answer = client.update_leads(campaign(api.url + "/"), BATCH)
    assert [result.verdict for result in answer.results] == [Verdict.CONFIRMED] * 2
    assert (answer.status, answer.trouble, answer.calls) == (200, None, 1)
    (seen,) = api.seen
    assert seen.method == "PATCH"
    assert seen.target == (
        "/api/v2/voice-campaigns/Q2FtcGFpZ24%3D%2F1%3Fx%23y%25/leads/update/bulk"
    )
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == [dict(sent.payload) for sent in BATCH]


def test_an_api_is_called_whose_certificate_is_trusted_and_no_other(
    api: ApiServer, client: CampaignClient, tmp_path: Path
) -> None:
    certificate = certified(tmp_path)
    api.encrypt(certificate)
    url = api.url.replace("http://", "https://")
    answer = client.update_leads(campaign(url), BATCH)
    assert answer.trouble is Trouble.TRANSPORT
    assert {result.verdict for result in answer.results} == {Verdict.NOT_SENT}
    assert api.seen == []
    api.behaviours = [well]
    trust = trusted()
    trust.load_verify_locations(certificate)
    other = CampaignClient(trust)
    assert verdicts(other, campaign(url)) == {Verdict.CONFIRMED}
    other.close()


def test_the_second_live_token_is_tried_on_401_and_then_kept(
    api: ApiServer, client: CampaignClient
) -> None:
    api.behaviours = [status(401), well, well, status(401), well]
    both = campaign(api.url, token=Secret("T", ("old-token", "new-token")))
    for _ in range(3):
        assert verdicts(client, both) == {Verdict.CONFIRMED}
    used = [seen.headers["authorization"].removeprefix("Bearer ") for seen in api.seen]
    assert used == ["old-token", "new-token", "new-token", "new-token", "old-token"]


def test_a_campaign_whose_tokens_are_all_refused_is_refused(
    api: ApiServer, client: CampaignClient
) -> None:
    api.behaviours = [status(401, b'{"detail": "bad token"}')] * 2
    both = campaign(api.url, token=Secret("T", ("old-token", "new-token")))
    answer = client.update_leads(both, BATCH)
    assert (answer.trouble, answer.status) == (Trouble.REFUSED, 401)
    assert answer.detail == 'HTTP 401: {"detail": "bad token"}'
    assert {result.verdict for result in answer.results} == {Verdict.NOT_SENT}
    assert len(api.seen) == 2


def test_no_cookie_of_one_reply_travels_with_the_next_call(
    api: ApiServer, client: CampaignClient
) -> None:
    """They would add up until a proxy refuses each call for them, as if for the leads in it."""

    def with_a_cookie(handler: Handler, seen: Seen) -> None:
        cookie = f"visit{len(api.seen)}=1; Path=/"
        handler.reply(200, good_reply(seen), {"Set-Cookie": cookie})

    api.behaviours = [with_a_cookie, with_a_cookie]
    for _ in range(2):
        assert verdicts(client, campaign(api.url)) == {Verdict.CONFIRMED}
    assert [seen.headers.get("cookie") for seen in api.seen] == [None, None]


def test_a_redirect_is_not_followed(api: ApiServer, client: CampaignClient) -> None:
    api.behaviours = [status(307, Location=f"{api.url}/elsewhere"), well]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert (answer.trouble, answer.status) == (Trouble.REFUSED, 307)
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    ("code", "trouble", "verdict"),
    [
        (301, Trouble.REFUSED, Verdict.NOT_SENT),
        (400, None, Verdict.REJECTED),
        (401, Trouble.REFUSED, Verdict.NOT_SENT),
        (403, Trouble.REFUSED, Verdict.NOT_SENT),
        (404, Trouble.REFUSED, Verdict.NOT_SENT),
        (405, Trouble.REFUSED, Verdict.NOT_SENT),
        (408, Trouble.SERVER, Verdict.UNKNOWN),
        (409, Trouble.SERVER, Verdict.UNKNOWN),
        (413, None, Verdict.REJECTED),
        (422, None, Verdict.REJECTED),
        (425, Trouble.BUSY, Verdict.NOT_SENT),
        (429, Trouble.BUSY, Verdict.NOT_SENT),
        (500, Trouble.SERVER, Verdict.UNKNOWN),
        (502, Trouble.SERVER, Verdict.UNKNOWN),
        (503, Trouble.SERVER, Verdict.UNKNOWN),
        (504, Trouble.SERVER, Verdict.UNKNOWN),
    ],
)
def test_what_a_status_means(
    api: ApiServer, client: CampaignClient, code: int, trouble: Trouble | None, verdict: Verdict
) -> None:
    # the body of a success must count for nothing beside a status that is none
    api.behaviours = [lambda handler, seen: handler.reply(code, good_reply(seen))]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert (answer.status, answer.trouble) == (code, trouble)
    assert [result.verdict for result in answer.results] == [verdict] * 2


def test_a_process_that_slept_over_the_time_of_a_call_does_not_make_it(
    api: ApiServer, client: CampaignClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.behaviours = [well]

    def sleeps(_deadline: Deadline, _connection: socket.socket) -> None:
        sleep(0.3)  # the connection is open; the timer that would cut it has not been woken either

    monkeypatch.setattr(Deadline, "opened", sleeps)
    answer = client.update_leads(campaign(api.url, timeout_s=0.2), BATCH)
    assert {result.verdict for result in answer.results} == {Verdict.NOT_SENT}
    assert answer.trouble is Trouble.TRANSPORT
    assert api.seen == []


def test_retry_after_is_handed_on(api: ApiServer, client: CampaignClient) -> None:
    absurd = "Mon, 20 Jan 99999999999999999999 00:00:00 GMT"
    api.behaviours = [status(429, Retry_After="7"), status(503, Retry_After=absurd)]
    assert client.update_leads(campaign(api.url), BATCH).retry_after_s == 7.0
    assert client.update_leads(campaign(api.url), BATCH).retry_after_s is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>login</html>",
        b"null",
        b"[]",
        b'{"status": "success"}',
        b'{"status": "success", "results": []}',
        b'{"status": "success", "results": [null, 5]}',
        b"\xff\xfe\x00",
        b"[" * 200_000,
    ],
)
@pytest.mark.parametrize("code", [200, 207])
def test_a_good_status_with_rubbish_confirms_nothing(
    api: ApiServer, client: CampaignClient, body: bytes, code: int
) -> None:
    api.behaviours = [status(code, body)]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert answer.trouble is None
    assert [result.verdict for result in answer.results] == [Verdict.UNKNOWN] * 2


def test_an_empty_204_confirms_nothing(api: ApiServer, client: CampaignClient) -> None:
    api.behaviours = [lambda handler, _seen: handler.reply(204, b"")]
    assert verdicts(client, campaign(api.url)) == {Verdict.UNKNOWN}


def test_a_compressed_reply_is_read(api: ApiServer, client: CampaignClient) -> None:
    def zipped(handler: Handler, seen: Seen) -> None:
        handler.reply(200, gzip.compress(good_reply(seen)), {"Content-Encoding": "gzip"})

    def broken(handler: Handler, seen: Seen) -> None:
        handler.reply(200, good_reply(seen), {"Content-Encoding": "gzip"})

    api.behaviours = [zipped, broken]
    assert verdicts(client, campaign(api.url)) == {Verdict.CONFIRMED}
    assert verdicts(client, campaign(api.url)) == {Verdict.UNKNOWN}


def test_a_reply_without_end_is_given_up(api: ApiServer, client: CampaignClient) -> None:
    """As soon as it is too long, and also where what came of it would confirm every lead."""

    def endless(handler: Handler, seen: Seen) -> None:
        head = b"HTTP/1.1 200 OK\r\n\r\n" + good_reply(seen)
        handler.drip([head, b" " * REPLY_BYTES, b""], 0)
        handler.drip([b""], 60)

    def long(handler: Handler, seen: Seen) -> None:
        handler.reply(200, good_reply(seen).ljust(REPLY_BYTES))

    api.behaviours = [endless, long]
    answer = client.update_leads(campaign(api.url, timeout_s=20.0), BATCH)
    assert answer.trouble is Trouble.TRANSPORT
    assert {result.verdict for result in answer.results} == {Verdict.UNKNOWN}
    assert answer.elapsed_ms < 10_000
    assert verdicts(client, campaign(api.url)) == {Verdict.CONFIRMED}


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "gzip,x-gzip", "br"])
def test_a_small_reply_that_unpacks_to_much_costs_no_memory(
    api: ApiServer, client: CampaignClient, encoding: str
) -> None:
    """What is read again at every try would end the worker at every try."""
    once = gzip.compress(bytes(100_000_000), 1)
    body = gzip.compress(once) if "," in encoding else once
    api.behaviours = [lambda handler, _: handler.reply(200, body, {"Content-Encoding": encoding})]
    tracemalloc.start()
    answer = client.update_leads(campaign(api.url), BATCH)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.trouble is Trouble.TRANSPORT
    assert {result.verdict for result in answer.results} == {Verdict.UNKNOWN}
    assert most < 4 * REPLY_BYTES


def test_a_refusal_counts_also_where_its_text_cannot_be_unpacked(
    api: ApiServer, client: CampaignClient
) -> None:
    headers = {"Content-Encoding": "br", "Retry-After": "7"}
    api.behaviours = [lambda handler, _seen: handler.reply(429, b"\x0b\x02", headers)]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert (answer.trouble, answer.retry_after_s, answer.detail) == (Trouble.BUSY, 7.0, "HTTP 429")


def test_a_reply_that_breaks_off_confirms_nothing(api: ApiServer, client: CampaignClient) -> None:
    def half(handler: Handler, seen: Seen) -> None:
        body = good_reply(seen)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + 100))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    api.behaviours = [half]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert answer.trouble is Trouble.TRANSPORT
    assert {result.verdict for result in answer.results} == {Verdict.UNKNOWN}


def test_a_connection_cut_after_the_request_leaves_the_leads_unknown(
    api: ApiServer, client: CampaignClient
) -> None:
    api.behaviours = [lambda handler, _seen: handler.reset()]
    answer = client.update_leads(campaign(api.url), BATCH)
    assert (answer.trouble, answer.status) == (Trouble.TRANSPORT, None)
    assert [result.verdict for result in answer.results] == [Verdict.UNKNOWN] * 2


def test_where_nobody_listens_nothing_was_sent(client: CampaignClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        answer = client.update_leads(campaign(url), BATCH)
    assert answer.trouble is Trouble.TRANSPORT
    assert [result.verdict for result in answer.results] == [Verdict.NOT_SENT] * 2


def test_a_host_without_an_address_was_sent_nothing(client: CampaignClient) -> None:
    answer = client.update_leads(campaign("http://no-such-host.invalid"), BATCH)
    assert {result.verdict for result in answer.results} == {Verdict.NOT_SENT}


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"H", b"T", b"T", b"P", *([b"/"] * 100)],
        [b"HTTP/1.1 200 OK\r\n", *([b"X-Filler: 1\r\n"] * 100)],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *([b" "] * 100)],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *([b"1\r\n \r\n"] * 100)],
    ],
    ids=["silence", "status line", "headers", "body", "chunks"],
)
def test_a_call_ends_at_its_deadline_however_the_reply_drips(
    api: ApiServer, client: CampaignClient, pieces: list[bytes]
) -> None:
    api.behaviours = [lambda handler, _seen: handler.drip(pieces or [b"", b""], 0.1), well]
    short = campaign(api.url, timeout_s=0.5)
    if not pieces:
        api.behaviours[0] = lambda handler, _seen: handler.drip([b""], 5)
    started = monotonic()
    answer = client.update_leads(short, BATCH)
    assert monotonic() - started < 2.5
    assert answer.trouble is Trouble.TRANSPORT
    assert [result.verdict for result in answer.results] == [Verdict.UNKNOWN] * 2
    assert verdicts(client, campaign(api.url)) == {Verdict.CONFIRMED}, "the next call is not hurt"


def test_a_reply_that_the_deadline_cut_confirms_nothing_although_it_reads_as_whole(
    api: ApiServer, client: CampaignClient
) -> None:
    """Its end is that of the connection, which only tells that the time was over: by then another
    worker may hold the leads."""

    def open_ended(handler: Handler, seen: Seen) -> None:
        handler.drip([b"HTTP/1.1 200 OK\r\n\r\n" + good_reply(seen), b""], 5)

    api.behaviours = [open_ended]
    answer = client.update_leads(campaign(api.url, timeout_s=0.3), BATCH)
    assert answer.trouble is Trouble.TRANSPORT
    assert [result.verdict for result in answer.results] == [Verdict.UNKNOWN] * 2


def test_a_call_ends_at_its_deadline_while_the_api_takes_nothing(client: CampaignClient) -> None:
    large = [Sent(1, "+1", {"phone_number": "+1", "custom_fields": {"x": "y" * 20_000_000}})]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        started = monotonic()
        answer = client.update_leads(campaign(url, timeout_s=0.5), large)
    assert monotonic() - started < 2.5
    assert [result.verdict for result in answer.results] == [Verdict.UNKNOWN]


@pytest.mark.parametrize("token", ["tök-live", "line\nfeed"])
def test_a_token_that_cannot_travel_is_a_refusal_and_is_not_shown(
    api: ApiServer, client: CampaignClient, token: str
) -> None:
    answer = client.update_leads(campaign(api.url, token=Secret("T", (token,))), BATCH)
    assert answer.trouble is Trouble.REFUSED
    assert "token or address" in answer.detail
    assert token not in answer.detail
    assert {result.verdict for result in answer.results} == {Verdict.NOT_SENT}
    assert api.seen == []


def test_what_the_api_says_is_cut_short_and_printable(
    api: ApiServer, client: CampaignClient
) -> None:
    api.behaviours = [status(500, b"line\r\n\x00\x1b[31mred " + b"x" * 10_000)]
    detail = client.update_leads(campaign(api.url), BATCH).detail
    assert detail.startswith("HTTP 500: line ??[31mred xxx")
    assert len(detail) < 250
    assert detail.isprintable()


def test_no_secret_stands_in_what_a_failure_shows(api: ApiServer, client: CampaignClient) -> None:
    api.behaviours = [status(403), lambda handler, _seen: handler.reset()]
    for _ in range(2):
        assert TOKEN not in repr(client.update_leads(campaign(api.url), BATCH))
