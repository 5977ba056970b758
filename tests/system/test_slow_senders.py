"""Senders that are slow, silent, too loud or wrong cannot keep webhooks from being accepted."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from bridge_process import CRM_TOKEN, Bridge, wait_until

from .mapping_files import write_mappings

READ_S = 2.0
PROMPT_S = 1.0
SECRET = "PATHSECRET-of-somebody"
EVENT = {"id": "1", "phone": "+14155550123", "dnc": True}

HALF_A_HEAD = b"POST /hooks/crm HTTP/1.1\r\nHost: x\r\nContent-Le"
POST = (
    b"POST /hooks/crm HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + CRM_TOKEN.encode() + b"\r\n"
)
HALF_A_BODY = POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 500
HALF_A_CHUNK = POST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 500
UPGRADE = POST + b"Connection: upgrade\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500
UNREAD_BODY = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A web process for all tests of this file: that each leaves it well is part of the promise."""
    folder = tmp_path_factory.mktemp("web")
    settings = {
        "BRIDGE_READ_TIMEOUT": str(READ_S),
        "BRIDGE_KEEPALIVE": "1",
        "BRIDGE_MAX_BODY": "200000",
        "BRIDGE_BODIES_IN_FLIGHT": "300000",
    }
    with Bridge(
        folder,
        mappings=write_mappings(folder / "mappings", {"one": "camp_one"}),
        api_url="http://127.0.0.1:9",  # nothing is sent: there is no worker
        api_token="none",
        settings=settings,
    ) as made:
        made.start_web()
        yield made


@contextmanager
def connections(bridge: Bridge, texts: Iterable[bytes]) -> Iterator[list[socket.socket]]:
    """A connection for each of these texts, which has been sent and is followed by silence."""
    with ExitStack() as stack:
        made = []
        for text in texts:
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", bridge.port))))
            made[-1].sendall(text)
        yield made


def answer(connection: socket.socket, timeout: float) -> bytes:
    """Everything up to the end of a connection; fails if that does not come in time."""
    found = b""
    deadline = time.monotonic() + timeout
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            return found
        if not piece:
            return found
        found += piece


def prompt(call: Callable[[], int]) -> None:
    """The call gives 200, soon."""
    begun = time.monotonic()
    assert call() == 200
    assert time.monotonic() - begun < PROMPT_S


def test_three_hundred_silent_senders_do_not_delay_a_webhook_and_are_shut_out(
    bridge: Bridge,
) -> None:
    before = len(bridge.deliveries())
    kinds = [b"", HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK, UPGRADE, UNREAD_BODY]
    with connections(bridge, kinds * 50) as silent:
        last = time.monotonic()
        prompt(lambda: bridge.get("/livez").status_code)
        prompt(lambda: bridge.post("crm", EVENT).status_code)
        assert select.select(silent[:1], [], [], 0)[0] == []
        answers = [answer(one, last + READ_S + 2 - time.monotonic()) for one in silent]
    starts = [text[9:12] for text in answers[: len(kinds)]]
    assert starts == [b"", b"408", b"503", b"503", b"503", b"405"]
    assert len(bridge.deliveries()) == before + 1


def test_a_drip_of_single_bytes_counts_as_silence(bridge: Bridge) -> None:
    begun = time.monotonic()
    with connections(bridge, [HALF_A_BODY]) as [slow]:
        while not select.select([slow], [], [], 0.1)[0]:
            slow.sendall(b"x")
            assert time.monotonic() - begun < READ_S + 2
    assert time.monotonic() - begun >= READ_S - 0.1


def test_an_idle_connection_is_kept_for_a_while_and_then_closed(bridge: Bridge) -> None:
    ask = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connections(bridge, [ask]) as [one]:
        file = one.makefile("rb")
        one.settimeout(PROMPT_S)
        while file.readline() != b"ok\n":
            pass
        one.sendall(ask)
        while file.readline() != b"ok\n":
            pass
        begun = time.monotonic()
        assert answer(one, 3) == b""
        assert time.monotonic() - begun > 0.5


def test_each_request_of_a_connection_has_the_whole_time(bridge: Bridge) -> None:
    """What one has used up of the time for its head, its body or its answer is none of the next."""
    body = json.dumps(EVENT).encode()
    head = POST + b"Content-Length: %d\r\n\r\n" % len(body)
    with connections(bridge, [b""]) as [one]:
        one.settimeout(PROMPT_S)
        for _ in range(3):
            for piece in (head[:20], head[20:] + body[:5], body[5:]):
                one.sendall(piece)
                time.sleep(READ_S * 0.4)
            assert one.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_refused_body_is_not_waited_for(bridge: Bridge, expect: bytes) -> None:
    texts = [POST + expect + b"Content-Length: 300000\r\n\r\n"]
    with connections(bridge, texts) as [one]:
        begun = time.monotonic()
        reply = answer(one, 2)
        assert time.monotonic() - begun < PROMPT_S
    assert reply.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in reply


def test_a_sender_of_a_refused_body_gets_to_see_the_answer(bridge: Bridge) -> None:
    assert bridge.post("crm", b"x" * 300_000).status_code == 413
    assert bridge.post("nobody", b"x" * 300_000).status_code == 404


@pytest.mark.parametrize("chunk", [b"nonsense\r\n", b"\r\n", b";\r\n", b"2\r\n{}\r\n\r\n"])
def test_a_broken_body_ends_the_connection(bridge: Bridge, chunk: bytes) -> None:
    texts = [POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk]
    with connections(bridge, texts) as [one]:
        reply = answer(one, 2)
    assert reply.startswith(b"HTTP/1.1 400")
    assert bridge.said("web", "unexpected fault") == 0


def test_bodies_above_the_bound_are_told_to_come_again(bridge: Bridge) -> None:
    head = POST + b"Content-Length: 199999\r\n\r\n"
    with connections(bridge, [head + b"x" * 150_000] * 2):
        wait_until(
            lambda: bridge.post("crm", b" " * 199_000).status_code == 503, READ_S, "a full house"
        )
        reply = bridge.post("crm", b" " * 199_000)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
        assert bridge.post("crm", EVENT).status_code == 200
    wait_until(lambda: bridge.post("crm", b"1" * 199_000).status_code == 200, 5, "room again")


def test_announced_bytes_that_do_not_come_take_no_room(bridge: Bridge) -> None:
    head = POST + b"Content-Length: 199999\r\n\r\n"
    with connections(bridge, [head] * 50):
        prompt(lambda: bridge.post("crm", b"1" * 199_000).status_code)


def test_what_the_server_cannot_read_is_logged_as_json_without_path_tokens(
    bridge: Bridge,
) -> None:
    path = f"/hooks/crm/{SECRET}".encode()
    texts = [
        b"POST " + path + b" HTTP/9.9\r\n\r\n",
        b"POST " + path + b" HTTP/x.y\r\n\r\n",
        b"POST " + path + b"\r\n\r\n",
        b"POST " + path.replace(b"hooks", b"%68ooks") + b" and more HTTP/1.1\r\n\r\n",
        b"POST " + path + b" HTTP/1.1\r\nContent-Length: " + SECRET.encode() + b"\r\n\r\n",
        b"POST " + path + b" HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"POST " + path + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\xff" + SECRET.encode(),
    ]
    with connections(bridge, texts) as made:
        for one in made:
            assert answer(one, READ_S + 2).startswith(b"HTTP/1.1 400")
    assert bridge.get("/livez").status_code == 200
    lines = bridge.log("web").splitlines()
    assert SECRET not in bridge.log("web")
    found = [line for line in map(json.loads, lines) if line["log.logger"] == "gunicorn.error"]
    assert len(found) >= len(texts) - 1
    assert any("Invalid http version" in line["message"] for line in found)


def test_a_flood_of_what_cannot_be_read_does_not_fill_the_log(bridge: Bridge) -> None:
    text = b"POST /hooks/crm HTTP/1.1\r\n no header\r\n\r\n"
    for _ in range(50):
        with connections(bridge, [text]) as [one]:
            assert answer(one, READ_S + 2).startswith(b"HTTP/1.1 400")
    assert bridge.get("/livez").status_code == 200
    assert bridge.said("web", "a header line without a name") == 1


NEXT = b"GET /hooks/crm HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = json.dumps(EVENT).encode()
SIZE = len(BODY)
OLD = POST.replace(b"/1.1", b"/1.0")
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n" % SIZE + BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: +%d\r\n" % SIZE, BODY),
        (b"Content-Length: %s\r\n" % b"_".join(b"%c" % digit for digit in b"%d" % SIZE), BODY),
        (b"Content-Length: %030d\r\n" % SIZE, BODY),
        (b"Content-Length: %d, %d\r\n" % (SIZE, SIZE), BODY),
        (b"Content-Length: %d\r\nContent-Length: 0\r\n" % SIZE, BODY),
        (b"Content-Length: 0\r\nContent-Length: %d\r\n" % SIZE, BODY),
        (b"X: y\rContent-Length: %d\r\n" % SIZE, BODY),
        (b"X: \0\r\nContent-Length: %d\r\n" % SIZE, BODY),
    ],
)
def test_a_body_whose_end_is_not_plain_is_refused_and_nothing_follows(
    bridge: Bridge, head: bytes, body: bytes
) -> None:
    before = len(bridge.deliveries())
    with connections(bridge, [POST + head + b"\r\n" + body + NEXT]) as [one]:
        reply = answer(one, READ_S + 2)
    assert reply.startswith(b"HTTP/1.1 400")
    assert reply.count(b"HTTP/1.1") == 1
    assert len(bridge.deliveries()) == before


@pytest.mark.parametrize(
    ("text", "status"),
    [
        # as RFC 9112, section 6.3, has it: read as chunks, and the connection ends
        (POST + b"Content-Length: %d\r\n" % SIZE + CHUNKED + b"\r\n" + CHUNKS, b"200"),
        (OLD + b"Connection: keep-alive\r\n" + CHUNKED + b"\r\n" + CHUNKS, b"200"),
        (POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n" + CHUNKS, b"200"),
        (POST + CHUNKED * 2 + b"\r\n" + CHUNKS, b"501"),
        (POST.replace(b"/hooks/crm", b"/livez") + b"Transfer-Encoding: x\r\n\r\n", b"405"),
    ],
)
def test_nothing_is_read_behind_a_body_that_may_end_elsewhere(
    bridge: Bridge, text: bytes, status: bytes
) -> None:
    before = len(bridge.deliveries())
    with connections(bridge, [text + NEXT]) as [one]:
        reply = answer(one, READ_S + 2)
    assert reply.startswith(b"HTTP/1.1 " + status)
    assert reply.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in reply
    assert len(bridge.deliveries()) == before + (status == b"200")
