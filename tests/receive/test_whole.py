"""A webhook in one piece: read as WSGI would have given it, or not taken at all."""

from __future__ import annotations

import io

import pytest

from bridge.receive.whole import whole
from bridge.receive.wsgi import request_from
from bridge.server import Handler

HEAD = (
    b"POST /hooks/hubspot?a=1&b=%20 HTTP/1.1\r\nHost: bridge.example.com\r\n"
    b"Content-Type: application/json\r\ncontent-length: 7\r\nX-Signature:  abc= \t\r\n"
    b"Connection: Keep-Alive\r\nX-Empty:\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"
)
PLAIN = HEAD.replace(b"%20", b"2") + b"\r\n[1,2,3]"


def over_wsgi(data: bytes) -> dict[str, tuple[str, ...]]:
    """The headers of a request as the server's other way gives them."""

    class Connection(Handler):
        """Reads from bytes; nothing is sent."""

        def __init__(self) -> None:
            self.rfile = io.BytesIO(data)
            self.socket = None
            self.client_address = ("127.0.0.1", 4711)
            self.server = type("Server", (), {"get_environ": staticmethod(dict)})
            timer = type("Timer", (), {"end": lambda _: None})()
            self._head = self._body = timer
            self._read_s = 1.0

    handler = Connection()
    handler.read_request(handler.read_requestline())
    environ = handler.get_environ()
    found = request_from(
        environ,
        source="hubspot",
        token=None,
        body=b"",
        public_url=None,
        forwarded_hops=0,
        received_at=0,
    )
    return dict(found.headers)


def test_a_whole_webhook_is_read_as_wsgi_gives_it() -> None:
    taken = whole(PLAIN)
    assert taken is not None
    assert (taken.source, taken.token, taken.body) == ("hubspot", None, b"[1,2,3]")
    assert taken.target == "/hooks/hubspot?a=1&b=2"
    assert taken.headers == over_wsgi(PLAIN)
    assert taken.headers["x-signature"] == ("abc=",)


def test_a_token_in_the_path_and_an_empty_body_are_taken() -> None:
    taken = whole(b"POST /hooks/a/t0ken HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert taken is not None
    assert (taken.source, taken.token, taken.body) == ("a", "t0ken", b"")


def test_every_name_that_is_taken_is_read_as_wsgi_gives_it() -> None:
    for place in range(33, 127):
        line = f"X{chr(place)}y: v\xe9 {chr(place)}\r\n".encode("latin-1")
        data = PLAIN.replace(b"X-Empty:\r\n", line)
        taken = whole(data)
        if taken is not None:
            assert taken.headers == over_wsgi(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST ", b"GET "),
        (b"POST ", b"post "),
        (b"POST ", b"POST  "),
        (b" HTTP/1.1", b" HTTP/1.0"),
        (b" HTTP/1.1", b" HTTP/1.1 "),
        (b" HTTP/1.1", b""),
        (b"/hooks/hubspot", b"/hooks/"),
        (b"/hooks/hubspot", b"/hooks/hubspot/"),
        (b"/hooks/hubspot", b"/hooks/hubspot/a/b"),
        (b"/hooks/hubspot", b"/hooks/hubs%70ot"),
        (b"/hooks/hubspot", b"/hooks/hub spot"),
        (b"/hooks/hubspot", b"/hooks/h\xfcbspot"),
        (b"/hooks/hubspot", b"http://a/hooks/hubspot"),
        (b"/hooks/hubspot", b"/hooks/" + b"a" * 8_000),
        (b"content-length: 7", b"content-length: 6"),
        (b"content-length: 7", b"content-length: 8"),
        (b"content-length: 7", b"content-length: +7"),
        (b"content-length: 7", b"content-length: 0x7"),
        (b"content-length: 7", b"content-length: 7, 7"),
        (b"content-length: 7", b"content-length: \xb7"),
        (b"content-length: 7", b"content-length: 7\xa0"),
        (b"content-length: 7", b"content-length: "),
        (b"content-length: 7", b"content-length : 7"),
        (b"content-length: 7", b" content-length: 7"),
        (b"content-length: 7", b"content_length: 7"),
        (b"content-length: 7", b"X-Other: 7"),
        (b"content-length: 7\r\n", b"content-length: 7\r\nContent-Length: 7\r\n"),
        (b"content-length: 7\r\n", b"content-length: 7\r\nTransfer-Encoding: chunked\r\n"),
        (b"content-length: 7\r\n", b"content-length: 7\r\nTransfer-Encoding: identity\r\n"),
        (b"content-length: 7\r\n", b"content-length: 7\n"),
        (b"content-length: 7\r\n", b"content-length: 7\r"),
        (b"Keep-Alive", b"close"),
        (b"Keep-Alive", b"Upgrade"),
        (b"X-Empty:", b"Expect: 100-continue"),
        (b"X-Empty:", b"Upgrade: h2c"),
        (b"X-Empty:", b"X-Empty"),
        (b"X-Empty:", b":"),
        (b"X-Empty:", b"X_Empty: 1"),
        (b"X-Empty:", b"X Empty: 1"),
        (b"X-Empty:", b"X-Empty: 1\r\n folded"),
        (b"X-Empty:", b"X-Empty: a\x00b"),
        (b"X-Empty:", b"X-Empty: a\nX-Other: b"),
        (b"X-Empty:", b"X-Empty: a\rX-Other: b"),
        (b"X-Empty:", b"X-Empty: a\x0b"),
        (b"X-Empty:", b"host: elsewhere"),
        (b"X-Empty:", b"X" * 101 + b": 1"),
        (b"X-Empty:\r\n", b"".join(b"X-%d: 1\r\n" % n for n in range(90))),
        (b"application/json", b""),
        (b"[1,2,3]", b"[1,2,3]POST"),
        (b"[1,2,3]", b"[1,2,"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_what_is_not_plain_takes_the_other_way(old: bytes, new: bytes) -> None:
    assert PLAIN.count(old) >= 1
    assert whole(PLAIN.replace(old, new, 1)) is None
