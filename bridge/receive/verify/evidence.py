"""What a request brings forward for itself: one header, one query parameter, as bytes."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from bridge.errors import VerifyError
from bridge.model import Request

MOST_PARAMETERS = 20_000
"""More pairs than this in a query or a signed form are refused before any are looked at."""


def as_sent(text: str) -> bytes:
    """A part of the request's head (header value, method, URL, query) as the bytes on the wire.

    Web servers hand these over as ISO 8859-1 (PEP 3333), whatever the bytes mean.
    """
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return as_utf8(text)


def as_utf8(text: str) -> bytes:
    """Text as UTF-8; never fails, whatever a request holds."""
    return text.encode("utf-8", "surrogatepass")


def required_header(request: Request, name: str, absent: tuple[str, ...] = ()) -> str:
    """The one value of a header. Values in ``absent`` count as if the header had not come.

    Errors: ``VerifyError`` if it is missing, empty or came with different values.
    """
    value = request.header(name)
    if value is None:
        raise VerifyError(f"the header {name} is missing")
    if request.conflicting(name):
        raise VerifyError(f"the header {name} came more than once with different values")
    if not value.strip():
        raise VerifyError(f"the header {name} is empty")
    if value in absent:
        raise VerifyError(f"the header {name} holds a placeholder instead of a signature")
    return value


def required_url(request: Request) -> str:
    """The URL as the sender was given it. Errors: ``VerifyError`` if nobody has told the bridge."""
    if request.url is None:
        raise VerifyError("BRIDGE_PUBLIC_URL is not set, and this signature covers the URL")
    return request.url


def required_parameter(request: Request, name: str) -> tuple[bytes, bytes]:
    """The one value of a query parameter, percent-decoded, in both readings of ``+``.

    The first takes ``+`` as itself, the second as a blank: senders that build their URL by hand
    mean the one, form libraries the other.

    Errors: ``VerifyError`` if it is missing, empty or came more than once.
    """
    if request.query.count("&") >= MOST_PARAMETERS:
        raise VerifyError("the query has too many parameters")
    wanted = as_utf8(name)
    found: list[bytes] = []
    for pair in as_sent(request.query).split(b"&"):
        key, _, value = pair.partition(b"=")
        if wanted in (unquote_to_bytes(key), unquote_to_bytes(key.replace(b"+", b" "))):
            found.append(value)
    if not found:
        raise VerifyError(f"the query parameter {name} is missing")
    if len(found) > 1:
        raise VerifyError(f"the query parameter {name} came more than once")
    if not found[0]:
        raise VerifyError(f"the query parameter {name} is empty")
    return unquote_to_bytes(found[0]), unquote_to_bytes(found[0].replace(b"+", b" "))


def any_equal(given: Iterable[bytes], expected: Iterable[bytes]) -> bool:
    """Whether one of the given values equals one of the expected, in constant time.

    Every pair is compared, so the time taken does not tell which one matched.
    """
    wanted = tuple(expected)
    equal = False
    for value in given:
        for good in wanted:
            equal |= hmac.compare_digest(value, good)
    return equal
