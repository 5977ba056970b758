"""One call of a CRM: the home of httpx in this stage. Its errors end here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from bridge.deadline import Deadline, Sockets
from bridge.enrich.template import Call
from bridge.internal_address import is_internal_peer
from bridge.unpacked import ASKED, NotUnpackedError, PackedTooLargeError, unpacked

LARGEST_REPLY = 16_000_000
"""Bytes of a reply, before and after decompression."""


_USUAL = {"Accept": "application/json", "Accept-Encoding": ASKED, "User-Agent": "crm-bridge"}
_BODY = {"Content-Type": "application/json"}


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

    def __init__(self, trust: SSLContext | None = None) -> None:
        self._sockets = Sockets()
        self._trust = trust or httpx.create_ssl_context()
        self._http = httpx.Client(
            verify=self._trust,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=50, keepalive_expiry=30
            ),
        )

    def another(self) -> Client:
        """A client with connections of its own, which trusts the same certificates."""
        return Client(self._trust)

    def send(
        self, call: Call, headers: Mapping[str, str], timeout_s: float, *, internal: bool
    ) -> Reply | NoReply:
        """Make a call; ``timeout_s`` bounds it as a whole.

        Unless ``internal``, nothing is sent over a connection that leads to an internal address,
        whatever name it goes by. A proxy resolves names itself, so there this cannot be seen.
        """
        peer: _Peer | None = None
        try:
            url = httpx.URL(call.url)
            with Deadline(timeout_s, self._sockets) as deadline:
                peer = _Peer(deadline, "" if internal else url.raw_host.decode("ascii"))
                request = self._http.build_request(
                    call.method,
                    url.copy_merge_params(dict(call.query)) if call.query else url,
                    content=call.body,
                    headers={**_USUAL, **(_BODY if call.body is not None else {}), **headers},
                    timeout=timeout_s,
                    extensions={"trace": peer.trace},
                )
                answer = self._send(request)
        except _InternalError:
            return NoReply(
                "leads to an internal address, to which no look-up goes; if it shall, put the "
                "whole host into a setting and write url with that setting"
            )
        except httpx.TimeoutException:
            return _late(timeout_s)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            return NoReply("has an address that cannot be called; correct url in the mapping file")
        except httpx.HTTPError as error:
            if deadline.passed:
                return _late(timeout_s)
            # Only the kind of the fault: its text may quote headers.
            return NoReply(f"could not be reached or hung up ({type(error).__name__})")
        except (ValueError, RuntimeError) as error:
            # a host with an empty label, or text from a reply that no address can hold: a round
            # that ended here would begin anew for ever, and hold all that is looked up with it
            return NoReply(f"cannot be called ({type(error).__name__}); check url")
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
                    break
        finally:
            response.close()
        plain = _plain(bytes(raw), response.headers.get("content-encoding", ""))
        if isinstance(plain, NoReply):
            if response.is_success:
                return plain
            plain = bytes(raw)  # the status says what counts, and this will not pass for JSON
        return Reply(response.status_code, response.headers.get("retry-after"), plain)


class _InternalError(Exception):
    """A connection leads to an internal address."""


class _Peer:
    """Looks at the other end of each connection before anything is sent over it.

    The name is resolved once, for the connection itself, so that no second answer can differ.
    ``host`` blank: any end will do.
    """

    def __init__(self, deadline: Deadline, host: str) -> None:
        self._deadline = deadline
        self._host = host
        self._direct = False

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """For httpx's request extension ``trace``."""
        if event.endswith(".connect_tcp.started"):
            # to another host: a proxy of the environment
            self._direct = info["host"] == self._host
        self._deadline.trace(event, info)
        if not (self._host and self._direct and event.endswith(".connect_tcp.complete")):
            return
        stream = info["return_value"]
        address = stream.get_extra_info("server_addr")
        if not address or is_internal_peer(str(address[0])):
            stream.close()
            raise _InternalError


def host(url: str) -> str:
    """The host of an address, for messages: path and query may hold a secret."""
    try:
        return urlsplit(url).hostname or "the CRM"
    except ValueError:
        return "the CRM"


def _late(timeout_s: float) -> NoReply:
    return NoReply(f"did not answer within {timeout_s:g} s")


def _plain(raw: bytes, encoding: str) -> bytes | NoReply:
    """The body of a reply, unpacked."""
    if len(raw) > LARGEST_REPLY:
        return _too_large()
    try:
        return unpacked(raw, encoding, LARGEST_REPLY)
    except PackedTooLargeError:
        return _too_large()
    except NotUnpackedError as error:
        return NoReply(f"sent a reply {error}")


def _too_large() -> NoReply:
    return NoReply(f"sent a reply of more than {LARGEST_REPLY // 1_000_000} MB", too_large=True)
