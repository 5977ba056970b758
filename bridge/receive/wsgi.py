"""A request as WSGI gives it, turned into the bytes and texts that verification needs.

Signatures cover the raw body and the URL as the sender wrote it, so neither is taken from a
parsed or re-encoded form: ``RAW_URI`` (gunicorn) or ``REQUEST_URI`` holds the path as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from bridge.model import Request
from bridge.receive.request import address_behind, request_of


def read_body(
    stream: Any, length: int | None, limit: int, take: Callable[[int], None] | None = None
) -> bytes | None:
    """The raw body from ``wsgi.input``; None if it is longer than the limit.

    Without a length the stream is read to its end. ``take`` is told of the bytes of each piece.
    Errors: ``OSError`` if the sender breaks off, ``TimeoutError`` if it is too slow, and those of
    ``take``.
    """
    if length is not None and length > limit:
        return None
    chunks: list[bytes] = []
    size = 0
    wanted = limit + 1 if length is None else length
    while size < wanted:
        chunk = stream.read(min(65_536, wanted - size))
        if not chunk:
            break
        if take is not None:
            take(len(chunk))
        chunks.append(chunk)
        size += len(chunk)
    if length is not None and size < length:
        raise ConnectionAbortedError("the body broke off")
    return None if size > limit else b"".join(chunks)


def request_from(
    environ: dict[str, Any],
    *,
    source: str,
    token: str | None,
    body: bytes,
    public_url: str | None,
    forwarded_hops: int,
    received_at: int,
) -> Request:
    """The request that a WSGI environment describes."""
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
    if not raw.startswith("/"):
        raw = quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        if environ.get("QUERY_STRING"):
            raw += "?" + environ["QUERY_STRING"]
    return request_of(
        environ["REQUEST_METHOD"],
        raw,
        _headers(environ),
        body,
        source=source,
        token=token,
        public_url=public_url,
        address=address_of(environ, forwarded_hops),
        received_at=received_at,
    )


def _headers(environ: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Headers by lower-case name. A server joins repeated ones with commas before WSGI."""
    return {
        name: (value,)
        for key, value in environ.items()
        if (name := _header_name(key)) and (value or key.startswith("HTTP_"))
    }


@lru_cache(maxsize=512)
def _header_name(key: str) -> str:
    """The header's name for a key of the environment; empty for other keys."""
    if not key.startswith("HTTP_") and key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return ""
    return key.removeprefix("HTTP_").replace("_", "-").lower()


def address_of(environ: dict[str, Any], hops: int) -> str:
    """Who sent a request: as the outermost of our own ``hops`` proxies saw it."""
    direct = str(environ.get("REMOTE_ADDR", ""))
    return address_behind(direct, environ.get("HTTP_X_FORWARDED_FOR", ""), hops)
