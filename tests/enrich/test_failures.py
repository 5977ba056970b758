"""A call that fails costs its own ids a pause, and nobody anything else."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from bridge.enrich import client
from bridge.errors import LookupFailed
from bridge.model import Found, Secret, Wanted

from .conftest import TOKEN, Desk, contact_lookup
from .crm import Crm, Play, breaks_off, drips, hangs, hangs_up, says, send, truth

DAILY = json.loads((Path(__file__).parent.parent / "vectors/hubspot-error-429.json").read_text())
TEN_SECONDLY = DAILY | {"policyName": "TEN_SECONDLY_ROLLING"}


@pytest.mark.parametrize(
    ("play", "pause", "text"),
    [
        (says(429, TEN_SECONDLY, Retry_After="7"), 7, "429"),
        (says(429, TEN_SECONDLY, Retry_After="0"), 1, "429"),
        (says(429, TEN_SECONDLY, Retry_After="999999999"), 3600, "429"),
        (says(429, TEN_SECONDLY, Retry_After="soon"), 10, "429"),
        (says(429, TEN_SECONDLY), 10, "429"),
        (says(429, b"<html>"), 10, "429"),
        (says(429, DAILY), 300, "daily"),
        (says(429, DAILY, Retry_After="1800"), 1800, "daily"),
        (says(423), 2, "423"),
        (says(423, Retry_After="1"), 2, "423"),
        (says(423, Retry_After="30"), 30, "423"),
        (says(403), 60, "HUBSPOT_ACCESS_TOKEN"),
        (says(401), 60, "HUBSPOT_ACCESS_TOKEN"),
        (says(404), 60, "check url"),
        (says(405), 60, "check url"),
        (says(503, Retry_After="20"), 20, "503"),
    ],
)
def test_the_pause_is_what_the_crm_asks_for_or_what_its_documents_say(
    crm: Crm, desk: Desk, play: Play, pause: float, text: str
) -> None:
    crm.script.append(play)
    failure = desk.failure("1")
    assert failure.retry_after_s == pause
    assert not failure.fatal
    assert text in str(failure)
    assert "127.0.0.1" in str(failure)


def test_a_retry_after_may_be_a_date(crm: Crm, desk: Desk) -> None:
    date = datetime.now(UTC) + timedelta(seconds=120)
    crm.script.append(says(429, TEN_SECONDLY, Retry_After=format_datetime(date, usegmt=True)))
    pause = desk.failure("1").retry_after_s
    assert pause is not None
    assert 60 < pause <= 120


def test_a_retry_after_in_the_past_still_gives_a_pause(crm: Crm, desk: Desk) -> None:
    crm.script.append(says(429, TEN_SECONDLY, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert desk.failure("1").retry_after_s == 1


@pytest.mark.parametrize("status", [201, 202, 204, 408, 425, 477, 500, 502, 503, 504, 521, 524])
def test_a_status_without_an_answer_is_tried_again(crm: Crm, desk: Desk, status: int) -> None:
    crm.add("1")
    crm.script.append(says(status))
    failure = desk.failure("1")
    assert str(status) in str(failure)
    assert failure.retry_after_s is not None
    desk.clock.time += failure.retry_after_s
    assert desk.found("1").records == (crm.contacts["1"],)


def rows(*found: object) -> dict[str, object]:
    return {"status": "COMPLETE", "results": list(found)}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "not JSON"),
        (b"<html>maintenance</html>", "not JSON"),
        (b'{"results": [', "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "not JSON"),
        ({"status": "error"}, "results"),
        ([], "results"),
        ({"results": {"id": "1"}}, "results"),
        ({"results": None}, "results"),
        ({"results": "none"}, "results"),
        ({"status": "PENDING", "results": []}, "not finished"),
        (rows({"properties": {}}), "result_id"),
        (rows({"id": True, "properties": {}}), "result_id"),
        (rows({"id": "", "properties": {}}), "result_id"),
        (rows(None), "result_id"),
        (rows({"id": "1"}), "result_value"),
        (rows({"id": "1", "properties": {"n": 1}}, {"id": "1", "properties": {"n": 2}}), "two"),
    ],
)
@pytest.mark.parametrize("status", [200, 207])
def test_a_reply_that_cannot_be_read_makes_no_contact_unknown(
    crm: Crm, desk: Desk, body: object, text: str, status: int
) -> None:
    crm.script.append(says(status, body))
    assert text in str(desk.failure("1"))


def test_an_expression_that_cannot_be_applied_is_named(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    crm.add("1")
    assert "results" in str(opened(results="keys(results)").failure("1"))


@pytest.mark.parametrize("play", [hangs_up, breaks_off])
def test_a_connection_that_ends_early_is_a_failure(crm: Crm, desk: Desk, play: Play) -> None:
    crm.add("1")
    crm.script.append(play)
    assert "hung up" in str(desk.failure("1"))
    desk.clock.time += 1
    assert desk.found("1").records == (crm.contacts["1"],)


def test_a_host_that_nobody_answers_for_is_a_failure(other_crm: Crm, desk: Desk) -> None:
    url = other_crm.url
    other_crm.stop()
    desk.lookups.replace({"contact": contact_lookup(url)})
    assert "could not be reached" in str(desk.failure("1"))


@pytest.mark.parametrize(
    "url", ["ftp://crm.example.com/x", "http://crm.example.com:port/", "crm.example.com"]
)
def test_an_address_that_cannot_be_called_is_said_so(opened: Callable[..., Desk], url: str) -> None:
    assert "url" in str(opened(url=url).failure("1"))


@pytest.mark.parametrize("play", [hangs, drips("head"), drips("body")])
def test_a_slow_crm_is_cut_off_as_a_whole(
    crm: Crm, opened: Callable[..., Desk], play: Play
) -> None:
    desk = opened(timeout_s=0.3)
    crm.add("1")
    crm.script.append(play)
    start = time.monotonic()
    assert "within 0.3 s" in str(desk.failure("1"))
    assert time.monotonic() - start < 3
    desk.clock.time += 1
    assert desk.found("1").records == (crm.contacts["1"],)


def compressed(body: bytes) -> Play:
    return says(200, gzip.compress(body), Content_Encoding="gzip")


def test_a_compressed_reply_is_read(crm: Crm, desk: Desk) -> None:
    document = rows({"id": "1", "properties": {"n": 1}})
    crm.script.append(compressed(json.dumps(document).encode()))
    assert desk.found("1").records == ({"n": 1},)


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (b"not gzip", "gzip", "decompress"),
        (gzip.compress(b'{"results": []}', mtime=0)[:-10], "gzip", "breaks off"),
        (b"{}", "br", "encoding"),
    ],
)
def test_a_broken_encoding_is_a_failure(
    crm: Crm, desk: Desk, body: bytes, encoding: str, text: str
) -> None:
    crm.script.append(says(200, body, Content_Encoding=encoding))
    assert text in str(desk.failure("1"))


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"<html>", "gzip"),
        (b"<html>", "br"),
        (gzip.compress(b" " * (client.LARGEST_REPLY + 1)), "gzip"),
        (b" " * (client.LARGEST_REPLY + 1), "identity"),
    ],
)
def test_a_refusal_that_cannot_be_unpacked_keeps_its_status_and_its_pause(
    crm: Crm, desk: Desk, body: bytes, encoding: str
) -> None:
    crm.script.append(says(429, body, Content_Encoding=encoding, Retry_After="7"))
    failure = desk.failure("1")
    assert "429" in str(failure)
    assert failure.retry_after_s == 7


@pytest.mark.parametrize("squeezed", [True, False])
def test_a_reply_that_is_too_large_is_not_taken_in(crm: Crm, desk: Desk, squeezed: bool) -> None:
    huge = b" " * (client.LARGEST_REPLY + 1)
    crm.script.append(compressed(huge) if squeezed else says(200, huge))
    assert "16 MB" in str(desk.failure("1"))


def test_a_batch_that_is_too_large_is_halved(crm: Crm, desk: Desk) -> None:
    crm.add("1", "2", "3", "4")

    def at_most_two(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
        if len(crm.asked[-1].ids) > 2:
            send(handler, 413, b"")
        else:
            truth(crm, handler)

    crm.always = at_most_two
    assert len(desk.found("1", "2", "3", "4").records) == 4
    assert crm.calls == [["1", "2", "3", "4"], ["1", "2"], ["3", "4"]]


def test_a_lone_id_that_is_too_large_stays_open(crm: Crm, desk: Desk) -> None:
    crm.always = says(413)
    assert "413" in str(desk.failure("1"))


def test_a_redirect_is_refused_and_the_other_host_hears_nothing(
    crm: Crm, other_crm: Crm, desk: Desk
) -> None:
    for status in (301, 302, 307, 308):
        crm.script.append(says(status, Location=other_crm.url))
        assert "redirect" in str(desk.failure("1"))
        desk.clock.time += 60
    assert other_crm.asked == []
    assert len(crm.asked) == 4


def test_cookies_are_not_kept(crm: Crm, desk: Desk) -> None:
    document = rows({"id": "1", "properties": {"n": 1}})
    crm.script.append(says(200, document, Set_Cookie="session=1; Path=/"))
    desk.found("1", account="1")
    desk.ask("1", account="2")
    assert "cookie" not in crm.asked[1].headers


# ------------------------------------------------------------------ whom a failure concerns


def test_only_the_ids_of_the_failed_call_and_those_behind_it_fail(crm: Crm, desk: Desk) -> None:
    ids = [str(1000 + n) for n in range(300)]
    crm.add(*ids)
    crm.script += [truth, says(502)]
    answers = desk.resolve(*(Wanted("contact", "1", (one,)) for one in ids))
    assert [isinstance(answer, Found) for answer in answers] == [True] * 100 + [False] * 200
    assert len(crm.calls) == 2


def test_an_event_with_one_failed_id_fails_as_a_whole(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(size=1)
    crm.add("1", "2")
    crm.script += [truth, says(502)]
    assert "502" in str(desk.failure("1", "2"))


def test_of_more_ids_than_a_crm_lets_through_at_once_each_has_its_turn(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(size=1)
    ids = [str(n) for n in range(1, 7)]
    crm.add(*ids)
    came: set[object] = set()
    for _ in range(2):
        crm.script += [truth, truth, truth, says(429, TEN_SECONDLY, Retry_After="10")]
        came |= {one["phone"] for one in desk.failure(*ids).records}
        desk.clock.time += 10
    assert came == {crm.contacts[one]["phone"] for one in ids}


def test_a_dead_account_is_not_called_again_until_its_pause_is_over(crm: Crm, desk: Desk) -> None:
    crm.add("1", "2")
    crm.script.append(says(503, Retry_After="20"))
    desk.failure("1")
    desk.clock.time += 15
    assert desk.failure("2").retry_after_s == pytest.approx(5)
    assert len(crm.calls) == 1
    desk.clock.time += 5
    assert desk.found("2").records == (crm.contacts["2"],)


def test_the_probe_of_a_dead_account_is_one_call(crm: Crm, desk: Desk) -> None:
    ids = [str(1000 + n) for n in range(300)]
    crm.always = says(503)
    for calls in (1, 2, 3):
        pause = desk.failure(*ids).retry_after_s
        assert len(crm.calls) == calls
        assert pause is not None
        assert pause == 2 ** (calls - 1)
        desk.clock.time += pause


def test_the_pause_of_a_dead_account_is_bounded(crm: Crm, desk: Desk) -> None:
    crm.always = says(503)
    pauses = []
    for n in range(12):
        pause = desk.failure(f"{n}a", f"{n}b").retry_after_s
        assert pause is not None
        pauses.append(pause)
        desk.clock.time += pause
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


def test_a_dead_account_does_not_hold_up_another(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(tokens={"dead": Secret("DEAD_TOKEN", ("dead-token",))})
    crm.tokens = {TOKEN}
    crm.add("1")
    dead, alive = desk.resolve(
        Wanted("contact", "dead", ("1",)), Wanted("contact", "alive", ("1",))
    )
    assert isinstance(dead, LookupFailed)
    assert alive == Found((crm.contacts["1"],))


def test_one_record_that_breaks_its_crm_is_singled_out(crm: Crm, desk: Desk) -> None:
    poison = "1042"
    ids = {str(1000 + n) for n in range(100)}
    crm.add(*ids)

    def breaks(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
        if poison in crm.asked[-1].ids:
            send(handler, 500, b"")
        else:
            truth(crm, handler)

    crm.always = breaks
    waiting = sorted(ids)
    for fresh in range(10):
        crm.add(f"fresh{fresh}")
        answers = desk.resolve(
            *(Wanted("contact", "1", (one,)) for one in [*waiting, f"fresh{fresh}"])
        )
        if fresh:
            assert answers[-1] == Found((crm.contacts[f"fresh{fresh}"],))
        waiting = [
            one for one, a in zip(waiting, answers, strict=False) if isinstance(a, LookupFailed)
        ]
        desk.clock.time += 1
    assert waiting == [poison]


def test_when_the_process_stops_what_is_left_fails_without_a_call(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    desk.clock.go = False
    assert "stopping" in str(desk.failure("1"))
    assert crm.calls == []
    desk.clock.go = True
    assert desk.found("1").records == (crm.contacts["1"],)
