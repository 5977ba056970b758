"""What the HTTP server logs is one of our lines, and holds nothing of a path's token."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import gevent
import pytest
from gunicorn.config import Config

from bridge import logs
from bridge.receive.bodies import SMALL, Bodies, NoRoom
from bridge.receive.reply import Reply
from bridge.server import Handler, Head, Log, Server, mask_paths, wire


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST /hooks/crm/TOKEN HTTP/1.1", "POST /hooks/crm/***"),
        ("'POST /hooks/crm/TO/KEN?a=TOKEN HTTP/9.9'\nnext", "'POST /hooks/crm/***\nnext"),
        ("http://host/hooks/crm?key=TOKEN", "http://host/hooks/crm?***"),
        ("/hooks//TOKEN", "/hooks//***"),
        ("POST /hooks/crm HTTP/1.1", "POST /hooks/crm HTTP/1.1"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_whatever_follows_the_source_is_masked(text: str, shown: str) -> None:
    assert mask_paths(text) == shown


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Puts back what a test changes about the process's loggers."""
    kept = [logging.getLogger(name) for name in ("", "gunicorn.error", "gunicorn.access")]
    states = [(log, log.handlers, log.filters, log.propagate, log.level) for log in kept]
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    for log, handlers, filters, propagate, level in states:
        log.handlers, log.filters, log.propagate = handlers, filters, propagate
        log.setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
def test_a_line_of_gunicorn_is_json_with_its_traceback_masked() -> None:
    log = Log(Config())
    out = io.StringIO()
    logs.configure(style="json", out=out)
    try:
        int("/hooks/crm/TOKEN-in-a-path")
    except ValueError:
        log.exception("while %s", "/hooks/crm/TOKEN-too")
    line = json.loads(out.getvalue())
    assert line["log.logger"] == "gunicorn.error"
    assert line["message"] == "while /hooks/crm/***"
    assert "/hooks/crm/***" in line["error.stack_trace"].splitlines()[-1]
    assert line["error.type"] == "ValueError"
    assert "TOKEN" not in out.getvalue()


def test_room_for_bodies_is_given_back_however_a_request_ends() -> None:
    bodies = Bodies(1_000_000)
    with bodies.hold(600_000) as take:
        take(600_000)
        with pytest.raises(NoRoom), bodies.hold(400_001):
            pytest.fail("there is no room for this")
        with pytest.raises(NoRoom), bodies.hold() as other:  # noqa: PT012 - the second is too much
            other(400_000)
            other(1)
        with bodies.hold(400_000) as other:
            other(400_000)
    with pytest.raises(OSError, match="gone"), bodies.hold(1_000_000) as take:  # noqa: PT012 - as above
        take(1_000_000)
        raise OSError("gone")
    with bodies.hold(1_000_000) as take:
        take(1_000_000)
    with bodies.hold_whole(600_000):
        with pytest.raises(NoRoom), bodies.hold_whole(400_001):
            pytest.fail("there is no room for this")
        with bodies.hold_whole(400_000):
            pass
    with bodies.hold_whole(1_000_000):
        pass


def test_large_bodies_that_are_slow_leave_room_for_small_ones() -> None:
    bodies = Bodies(200_000)
    with bodies.hold(200_000) as slow:
        slow(200_000)
        with bodies.hold_whole(SMALL), bodies.hold(SMALL) as announced, bodies.hold() as chunked:
            announced(SMALL)
            chunked(SMALL)
            with pytest.raises(NoRoom):
                chunked(1)
        with pytest.raises(NoRoom), bodies.hold(SMALL + 1):
            pytest.fail("there is no room for this")
    with bodies.hold(200_000) as take:
        take(200_000)


EARLY = """
import sys, warnings
import bridge.gunicorn_conf, bridge.server
early = ("jwt", "sqlalchemy", "bridge.store", "bridge.receive.verify", "bridge.app")
print(*[name for name in sys.modules if name.startswith(early)])
warnings.simplefilter("error")
from gevent import monkey
monkey.patch_all()
"""


def test_nothing_takes_hold_of_sockets_and_locks_before_gevent_has_put_its_own_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


# --------------------------------------------------------------------- heads


def head_of(lines: bytes) -> Head:
    return Head(io.BytesIO(lines + b"rest"))


def test_a_head_is_read_to_its_blank_line() -> None:
    stream = io.BytesIO(b"Host: a\r\nX-One: 1\r\nx-one:2 \r\nEmpty:\r\n\r\nbody")
    head = Head(stream)
    assert head.status == ""
    assert head.items() == [("Host", "a"), ("X-One", "1"), ("x-one", "2"), ("Empty", "")]
    assert (head.get("HOST"), head.getheader("x-one"), head.get("none", "?")) == ("a", "1", "?")
    assert list(head.headers)[1:3] == ["X-One: 1", "x-one: 2"]
    assert stream.read() == b"body"


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: a\r\n folded\r\n\r\n",
        b"Host : a\r\n\r\n",
        b": a\r\n\r\n",
        b"no colon\r\n\r\n",
        b"Ho st: a\r\n\r\n",
        b"Host\x00: a\r\n\r\n",
        b"Content-Length\xa0: 3\r\n\r\n",
        b"Host: a\r\n" + b"X: 1\r\n" * 100 + b"\r\n",
        b"X: " + b"a" * 65_536 + b"\r\n\r\n",
    ],
)
def test_a_head_that_two_servers_may_read_in_two_ways_is_refused(lines: bytes) -> None:
    assert head_of(lines).status


def test_a_head_that_breaks_off_is_no_request() -> None:
    assert Head(io.BytesIO(b"Host: a\r\nX-One: 1\r\n")).status


def test_a_header_that_is_deleted_is_gone() -> None:
    head = head_of(b"Content-Length: 3\r\nHost: a\r\ncontent-length: 4\r\n\r\n")
    del head["Content-Length"]
    assert head.get("content-length") is None
    assert head.items() == [("Host", "a")]
    with pytest.raises(KeyError):
        del head["content-length"]


# --------------------------------------------------------------------- answers in one piece


def test_an_answer_goes_out_whole() -> None:
    data = wire(Reply(503, b"later", "text/plain", (("Retry-After", "5"),)))
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert (first, body) == ("HTTP/1.1 503 Service Unavailable", b"later")
    assert lines[:-1] == ["Content-Type: text/plain", "Content-Length: 5", "Retry-After: 5"]
    assert lines[-1].startswith("Date: ")
    assert lines[-1].endswith(" GMT")


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "\u20ac"])
def test_an_answer_that_would_break_up_is_not_sent(value: str) -> None:
    with pytest.raises(ValueError, match=r"line end|latin-1"):
        wire(Reply(200, b"", headers=(("X-Echo", value),)))


# --------------------------------------------------------------------- the end


class Door:
    """Answers all that comes."""

    def at_once(self, _data: bytes, _peer: str) -> Callable[[], Reply] | None:
        return lambda: Reply(200, b"{}")


def test_who_has_connected_before_the_end_is_answered() -> None:
    handler = partial(Handler, read_s=60.0, keepalive_s=60.0, door=Door())
    server = Server(
        ("127.0.0.1", 0), lambda *_: (), handler_class=handler, environ={}, log=None, spawn=10
    )
    server.max_accept = 1  # as where several processes listen
    server.start()
    address = server.address
    with ExitStack() as stack:
        waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(3)]
        for one in waiting:
            one.settimeout(60)
            one.sendall(b"POST /hooks/crm HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        server.close()
        ask = gevent.get_hub().threadpool.apply
        answers = [ask(lambda one=one: one.makefile("rb").read()) for one in waiting]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in answer
