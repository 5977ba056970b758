"""Whatever is posted: never a 5xx, never a lost neighbour, and in the end a message to read."""

from __future__ import annotations

import errno
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bridge_process import CRM_TOKEN, Bridge
from sandbox_client import Sandbox

from .conftest import CAMPAIGNS, bridge_over

PHONE = "+14155550123"
GOOD = {"phone": PHONE, "details": {"first_name": "Jane"}}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), campaigns=["camp_one"]) as running:
        running.put_leads(
            "camp_one",
            [{"phone_number": PHONE}]
            + [{"phone_number": f"+1415556{number:04d}"} for number in range(120)],
        )
        yield running


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    made = bridge_over(
        tmp_path_factory.mktemp("bridge"),
        sandbox,
        campaigns={"one": CAMPAIGNS["one"]},
        settings={"BRIDGE_MAX_BODY": "100000", "BRIDGE_CHECK_BODY": f"{len(DEEP)}"},
    )
    with made:
        made.start_both()
        yield made


def listed(bridge: Bridge, receipt: str) -> list[dict[str, Any]]:
    """What ``crm-bridge outcomes --json`` says of a delivery, in the order of its events."""
    done = bridge.call("outcomes", "--receipt", receipt, "--json", "--limit", "1000")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return sorted(rows, key=lambda row: int(row["ordinal"]))


DEEP = b'{"phone":"+14155550123","details":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
DEEPER = b'{"phone":"+14155550123","details":' + b'{"a":' * 6000 + b"1" + b"}" * 6001
UNDECODABLE = {
    "no JSON": (b"phone=%2B14155550123&dnc=true", "line 1 column 1"),
    "JSON cut short": (b'[{"phone": "+14155550123"', "line 1"),
    "deep": (DEEP, "nested deeper than"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "UTF-16"),
    "Latin-1": (
        '{"phone": "+14155550123", "details": {"first_name": "José"}}'.encode("latin-1"),
        "not UTF-8",
    ),
    "null bytes before": (b"\x00\x00" + json.dumps(GOOD).encode(), "NUL"),
    "null bytes within": (b'{"phone": \x00 1}', "line 1"),
    "NaN": (b'[{"phone": "+14155550123", "at": NaN}]', "NaN"),
    "infinite": (b'[{"phone": "+14155550123", "at": 1e999}]', "too large"),
    "endless integer": (b'[{"phone": ' + b"9" * 6000 + b"}]", "digits"),
    "empty": (b"", "empty"),
    "blanks": (b" \n\t ", "empty"),
}


@pytest.mark.parametrize("case", UNDECODABLE)
def test_an_undecodable_body_is_kept_as_a_dead_letter(bridge: Bridge, case: str) -> None:
    body, words = UNDECODABLE[case]
    reply = bridge.post("crm", body)
    assert reply.status_code == 200
    assert words in reply.json()["problem"]
    bridge.wait_settled()
    [row] = bridge.outcomes(receipt=reply.json()["receipt"])
    assert row["state"] == "dead"
    assert words in row["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [(DEEPER, "nested deeper than"), (json.dumps([GOOD] * 600).encode()[:-1], "line 1 column")],
    ids=["deep", "cut short"],
)
def test_of_a_large_body_the_worker_tells_what_is_wrong(
    bridge: Bridge, body: bytes, words: str
) -> None:
    reply = bridge.post("crm", body)
    assert reply.status_code == 200
    assert set(reply.json()) == {"receipt"}
    bridge.wait_settled()
    [row] = bridge.outcomes(receipt=reply.json()["receipt"])
    assert (row["state"], words in row["message"]) == ("dead", True), row["message"]


ODD: dict[str, tuple[Any, str, str]] = {
    "a number": (17, "dead", "neither a list nor an object"),
    "a text": ("hello", "dead", "neither a list nor an object"),
    "null": (b"null", "dead", "neither a list nor an object"),
    "a list of lists": ([[GOOD]], "skipped", "no rule applies"),
    "an empty object": ({}, "skipped", "no rule applies"),
    "a number for the phone's text": ({"phone": 12, "dnc": True}, "dead", "not a phone number"),
    "a list for the phone": ({"phone": [PHONE], "dnc": True}, "dead", "list"),
    "true for the phone": ({"phone": True, "dnc": True}, "dead", "not a phone number"),
    "no phone": ({"dnc": True}, "skipped", "no phone number"),
    "an object for a name": ({"phone": PHONE, "details": {"first_name": {}}}, "dead", "first_name"),
    "a wrong e-mail": ({"phone": PHONE, "details": {"email": "@"}}, "dead", "e-mail"),
    "a number for a list": ({"phone": PHONE, "dnc": True, "to": 5}, "dead", "campaign"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_body_of_the_wrong_shape_ends_with_a_reason(bridge: Bridge, case: str) -> None:
    payload, state, words = ODD[case]
    reply = bridge.post("crm", payload)
    assert reply.status_code == 200
    bridge.wait_settled()
    [row] = bridge.outcomes(receipt=reply.json()["receipt"])
    assert (row["state"], words in row["message"]) == (state, True), row["message"]


def test_an_empty_array_is_taken_and_accounted_for(bridge: Bridge) -> None:
    reply = bridge.post("crm", [])
    assert reply.status_code == 200
    bridge.wait_settled()
    [row] = bridge.outcomes(receipt=reply.json()["receipt"])
    assert (row["state"], row["message"]) == ("skipped", "the delivery holds no event")
    stored = {row["receipt"]: row["state"] for row in bridge.deliveries()}
    assert stored[reply.json()["receipt"]] == "done"


def test_odd_texts_still_reach_the_campaign(bridge: Bridge, sandbox: Sandbox) -> None:
    body = b'[{"phone": 14155550123, "details": {"first_name": "A\\ud83dB", "custom": {"n": 1e3}}}]'
    reply = bridge.post("crm", body.replace(b"14155550123", b'"+14155550123"'))
    assert reply.status_code == 200
    number_for_a_text = bridge.post("crm", {"phone": 14155550123, "details": {"last_name": 7}})
    bridge.wait_settled()
    assert bridge.states(reply.json()["receipt"]) == ["updated"]
    assert bridge.states(number_for_a_text.json()["receipt"]) == ["updated"]
    lead = sandbox.leads("camp_one")[PHONE]
    assert lead.first_name == "A\ufffdB"
    assert lead.last_name == "7"
    assert lead.custom_fields["n"] == 1000


def test_one_bad_event_among_fifty_costs_no_neighbour(bridge: Bridge, sandbox: Sandbox) -> None:
    events: list[Any] = [
        {"phone": f"+1415556{number:04d}", "details": {"first_name": f"Good {number}"}}
        for number in range(51)
    ]
    bad = {3: None, 17: "text", 25: {"phone": "x", "dnc": True}, 44: {"phone": [], "dnc": True}}
    for place, event in bad.items():
        events[place] = event
    receipt = bridge.deliver("crm", events)
    bridge.wait_settled()
    rows = listed(bridge, receipt)
    assert [row["ordinal"] for row in rows] == list(range(51))
    for row in rows:
        if row["ordinal"] in bad:
            assert row["state"] in ("dead", "skipped")
            assert len(row["message"]) > 10
        else:
            assert row["state"] == "updated"
            lead = sandbox.leads("camp_one")[row["phone"]]
            assert lead.first_name == f"Good {row['ordinal']}"


def test_a_hundred_events_in_one_delivery(bridge: Bridge, sandbox: Sandbox) -> None:
    events = [
        {"phone": f"+1415556{number:04d}", "details": {"last_name": f"Hundred {number}"}}
        for number in range(100)
    ]
    receipt = bridge.deliver("crm", events)
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated"] * 100
    assert sandbox.leads("camp_one")["+14155560099"].last_name == "Hundred 99"


def test_a_huge_body_is_refused_and_not_stored(bridge: Bridge) -> None:
    before = len(bridge.deliveries())
    reply = bridge.post("crm", b" " * 100_001)
    assert reply.status_code == 413
    assert "100000 bytes" in reply.json()["detail"]
    status, _ = raw(bridge, b"Content-Length: 999999999999\r\n", b"[", finish=False)
    assert status == 413
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    status, _ = raw(bridge, b"Transfer-Encoding: chunked\r\n", chunk * 5 + b"0\r\n\r\n")
    assert status == 413
    assert len(bridge.deliveries()) == before
    sizes = ("more than 100,000", "999,999,999,999", "100,001")
    assert [(row["bytes"], row["reason"]) for row in bridge.refusals()] == [
        (0, f"the body has {size} bytes; 100,000 are the most (BRIDGE_MAX_BODY)") for size in sizes
    ]
    verified = bridge.call("refusals", "verify", "--run")
    assert verified.returncode == 1
    assert "3 cannot be verified again: the header authorization and the body were not kept" in (
        verified.stdout
    )
    assert "crm-bridge send" in verified.stdout


def test_more_events_than_a_delivery_may_hold_are_one_dead_letter_until_the_limit_is_raised(
    bridge: Bridge,
) -> None:
    many = [{"id": f"many-{number}", "phone": PHONE, "dnc": True} for number in range(1001)]
    reply = bridge.post("crm", many)
    receipt, problem = reply.json()["receipt"], reply.json()["problem"]
    assert reply.is_success
    assert problem.startswith("the delivery holds 1,001 events, and 1,000 are the most")
    bridge.wait_settled()
    [row] = listed(bridge, receipt)
    assert (row["state"], row["message"]) == ("dead", problem)
    counts = ("replay", "--receipt", receipt, "--json")
    assert json.loads(bridge.call(*counts).stdout)["events"] == {"dead": 1}
    raised = json.loads(bridge.call(*counts, BRIDGE_MAX_EVENTS="1001").stdout)
    assert raised["events"] == {"updates": 1001}
    assert raised["opt_outs"] > 0
    assert "problem" not in bridge.post("crm", many[:100]).json()
    bridge.wait_settled()


def test_a_chunked_body_without_a_length_is_read(bridge: Bridge) -> None:
    body = json.dumps([GOOD]).encode()
    pieces = [body[:7], body[7:20], body[20:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    status, answer = raw(bridge, b"Transfer-Encoding: chunked\r\n", chunks)
    assert status == 200
    bridge.wait_settled()
    assert bridge.states(json.loads(answer)["receipt"]) == ["updated"]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 500\r\n", json.dumps([GOOD]).encode()),
        (b"Transfer-Encoding: chunked\r\n", b"10\r\n[{"),
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n[]\r\n0\r\n\r\n"),
        (b"Content-Length: -5\r\n", b"[]"),
        (b"Content-Length: many\r\n", b"[]"),
    ],
    ids=["length too large", "chunk cut short", "chunk size unreadable", "negative", "no number"],
)
def test_a_body_that_breaks_off_is_not_accepted(
    bridge: Bridge, headers: bytes, body: bytes
) -> None:
    before = len(bridge.deliveries())
    status, _ = raw(bridge, headers, body)
    assert status is None or 400 <= status < 500
    assert len(bridge.deliveries()) == before
    assert bridge.post("crm", GOOD).status_code == 200


def raw(
    bridge: Bridge, headers: bytes, body: bytes, *, finish: bool = True
) -> tuple[int | None, bytes]:
    """Post bytes as they are; the status (None: closed without a word) and the answer's body.

    ``finish``: close our side after the body, so that the server sees its end.
    """
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=20) as connection:
        connection.sendall(
            b"POST /hooks/crm HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n"
            b"Authorization: Bearer " + CRM_TOKEN.encode() + b"\r\n" + headers + b"\r\n"
        )
        answer = b""
        with _closed_by_server():
            connection.sendall(body)
            if finish:
                connection.shutdown(socket.SHUT_WR)
        with _closed_by_server():
            while not _whole(answer) and (piece := connection.recv(65_536)):
                answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else None), rest


@contextmanager
def _closed_by_server() -> Iterator[None]:
    """What is done here may find that the server has answered and gone."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
            raise


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])
