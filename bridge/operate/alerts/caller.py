"""HTTP calls to receivers of alerts and heartbeats: bounded in time and size, nothing followed.

Addresses are secrets here, since who knows one can post to it: they stand in no error.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from bridge.clock import now_ms
from bridge.deadline import Deadline, Sockets
from bridge.errors import SettingError
from bridge.operate.alerts.channel import Answer, excerpt
from bridge.retry_after import retry_after_s

REPLY_BYTES = 2_000
"""As much of a reply is read; what comes behind it says nothing more."""

LONGEST_WAIT_S = 3600.0


class Caller:
    """Calls one address. ``timeout_s``: for a call as a whole."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._sockets = Sockets()
        self._http = httpx.Client(
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
            headers={"User-Agent": "crm-bridge", "Accept-Encoding": "identity"},
        )

    @property
    def host(self) -> str:
        """Where it calls, as it may be shown."""
        return host_of(self._url)

    def call(self, method: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """One call; taken if it is answered with 2xx."""
        try:
            with (
                Deadline(self._timeout_s, self._sockets) as deadline,
                self._http.stream(
                    method,
                    self._url,
                    content=body or None,
                    headers=headers,
                    timeout=self._timeout_s,
                    extensions={"trace": deadline.trace},
                ) as response,
            ):
                status = response.status_code
                if 200 <= status < 300:
                    return Answer(True, f"HTTP {status}")
                wait = response.headers.get("Retry-After")
                return Answer(
                    False,
                    f"HTTP {status}{_excerpt(response)}",
                    retry_after_s(wait, now_ms(), most_s=LONGEST_WAIT_S),
                )
        except Exception as error:  # noqa: BLE001 - whatever an address or a reply makes it raise
            return Answer(False, f"no answer ({type(error).__name__})")


def _excerpt(response: httpx.Response) -> str:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return ""  # nobody asked for it, and what it unpacks to may be without end
    read = b""
    for piece in response.iter_raw():
        read += piece
        if len(read) >= REPLY_BYTES:
            break
    text = excerpt(read[:REPLY_BYTES])
    return f": {text}" if text else ""


def host_of(url: str) -> str:
    """The part of an address that may be shown."""
    return urlsplit(url).hostname or ""


def checked(name: str, url: str) -> str:
    """The address of a setting. Errors: ``SettingError``, without the address."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() for c in url):
        raise SettingError(f"{name} is not usable. Write an address that begins with https://.")
    return url
