"""One POST to a CRM: the home of httpx in this stage. Its errors end here."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from bridge.deadline import Deadline, Sockets

LARGEST_REPLY = 16_000_000
"""Bytes of a reply, before and after decompression."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP reply, whatever its status. ``body`` is decompressed."""

    status: int
    retry_after: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why there is no complete reply. ``why`` goes on from the name of the host.

    ``too_large``: fewer ids in one call may help.
    """

    why: str
    too_large: bool = False


class Client:
    """Pooled connections to any number of hosts; for one thread at a time.

    Follows no redirect and keeps no cookie, so that nothing meant for one host or account
    reaches another. Proxies and certificates come from the environment (``HTTPS_PROXY``,
    ``SSL_CERT_FILE``).
    """

    def __init__(self) -> None:
        self._sockets = Sockets()
        self._http = httpx.Client(
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=50, keepalive_expiry=30
            ),
        )

    def post(
        self, url: str, query: Mapping[str, str], token: str, body: bytes, timeout_s: float
    ) -> Reply | NoReply:
        """Post a JSON body with a bearer token; ``timeout_s`` bounds the call as a whole."""
        try:
            with Deadline(timeout_s, self._sockets) as deadline:
                request = self._http.build_request(
                    "POST",
                    httpx.URL(url).copy_merge_params(dict(query)) if query else url,
                    content=body,
                    headers={
                        "Authorization": f"Bearer {token}",
                        "Content-Type": "application/json",
                        "Accept": "application/json",
                        "Accept-Encoding": "gzip",
                        "User-Agent": "crm-bridge",
                    },
                    timeout=timeout_s,
                    extensions={"trace": deadline.trace},
                )
                answer = self._send(request)
        except httpx.TimeoutException:
            return _late(timeout_s)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            return NoReply("has an address that cannot be called; correct url in the mapping file")
        except httpx.HTTPError as error:
            if deadline.passed:
                return _late(timeout_s)
            # Only the kind of the fault: its text may quote headers.
            return NoReply(f"could not be reached or hung up ({type(error).__name__})")
        return _late(timeout_s) if deadline.passed else answer

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def _send(self, request: httpx.Request) -> Reply | NoReply:
        response = self._http.send(request, stream=True)
        try:
            raw = bytearray()
            for piece in response.iter_raw():
                raw += piece
                if len(raw) > LARGEST_REPLY:
                    return _too_large()
        finally:
            response.close()
        plain = _decompressed(bytes(raw), response.headers.get("content-encoding", ""))
        if isinstance(plain, NoReply):
            return plain
        return Reply(response.status_code, response.headers.get("retry-after"), plain)


def host(url: str) -> str:
    """The host of an address, for messages: path and query may hold a secret."""
    try:
        return urlsplit(url).hostname or "the CRM"
    except ValueError:
        return "the CRM"


def _decompressed(raw: bytes, encoding: str) -> bytes | NoReply:
    if encoding.strip().lower() in ("", "identity"):
        return raw
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return NoReply("sent a reply in an encoding that nobody asked for")
    stream = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, told apart by the header
    try:
        plain = stream.decompress(raw, LARGEST_REPLY + 1)
    except zlib.error:
        return NoReply("sent a reply that does not decompress")
    if len(plain) > LARGEST_REPLY:
        return _too_large()
    return plain if stream.eof else NoReply("sent a reply that breaks off")


def _late(timeout_s: float) -> NoReply:
    return NoReply(f"did not answer within {timeout_s:g} s")


def _too_large() -> NoReply:
    return NoReply(f"sent a reply of more than {LARGEST_REPLY // 1_000_000} MB", too_large=True)
