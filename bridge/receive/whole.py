"""A webhook that arrived in one piece, read from its bytes without WSGI between.

Only what every server reads alike is taken: a POST by HTTP/1.1 with its length told once, header
lines with plain names that come once each, and all of the body. For anything else there is no
answer here, neither yes nor no: it takes the way over WSGI, which judges it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bridge.receive.request import PREFIX, place_of

LONGEST_TARGET = 8_000
LONGEST_NAME = 100
MOST_LINES = 90
"""Characters and header lines; what has more takes the way over WSGI, whose bounds are wider."""

_START = b"POST " + PREFIX.encode()
_END = " HTTP/1.1"
_TARGET = re.compile(r"[!-$&-~]+").fullmatch  # nothing escaped, nothing that is not plain
# no underscore, which WSGI does not tell from a dash
_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+").fullmatch
_LENGTH = re.compile(r"[0-9]{1,18}").fullmatch
_OTHER_WAY = frozenset(("transfer-encoding", "expect", "upgrade", "te", "trailer"))
"""Headers that change how a request is read."""


@dataclass(slots=True)
class Whole:
    """A webhook as it arrived. ``target``: path and query as the sender wrote them."""

    source: str
    token: str | None
    target: str
    headers: dict[str, tuple[str, ...]]
    body: bytes


@lru_cache(maxsize=512)
def _plain(name: str) -> str | None:
    """A header's name in lower case; None for one that is not taken here."""
    lower = name.lower()
    return lower if _NAME(name) and lower not in _OTHER_WAY else None


def whole(data: bytes) -> Whole | None:
    """The webhook that these bytes are, no more and no less; None if they are not plainly one."""
    if not data.startswith(_START):
        return None
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].decode("latin-1")
    first, *lines = head.split("\r\n")
    if len(lines) > MOST_LINES or head.count("\r") != len(lines) or head.count("\n") != len(lines):
        return None
    target = first[5 : -len(_END)]
    if not first.endswith(_END) or len(target) > LONGEST_TARGET or _TARGET(target) is None:
        return None
    headers = _headers(lines)
    if headers is None:
        return None
    length = headers.get("content-length")
    if length is None or _LENGTH(length[0]) is None or int(length[0]) != len(data) - end - 4:
        return None
    place = place_of(target.partition("?")[0])
    return None if place is None else Whole(*place, target, headers, data[end + 4 :])


def _headers(lines: list[str]) -> dict[str, tuple[str, ...]] | None:
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        lower = _plain(name) if colon and len(name) <= LONGEST_NAME else None
        value = value.strip(" \t")
        # servers differ in what else they strip
        if lower is None or lower in headers or "\0" in value or value != value.strip():
            return None
        headers[lower] = (value,)
    stays = headers.get("connection")
    if headers.get("content-type") == ("",) or (stays and stays[0].lower() != "keep-alive"):
        return None
    return headers
