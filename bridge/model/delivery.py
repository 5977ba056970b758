"""A request as it arrived, the verdict on it, and the delivery that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Request:
    """An HTTP request as it arrived, not verified yet. Nobody changes one.

    ``headers`` has lower-case names, each with all its values in order. ``path`` is the path as
    the sender wrote it, percent-escapes kept. ``url`` is the configured public URL with path and
    query; None where none is configured, since the request's own word for its host proves nothing.
    """

    source: str
    token: str | None
    method: str
    url: str | None
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    address: str
    received_at: int

    def header(self, name: str) -> str | None:
        """The value of a header; None if absent. See ``conflicting`` for repeated ones."""
        values = self.headers.get(name.lower())
        return values[0] if values else None

    def conflicting(self, name: str) -> bool:
        """Whether the header came more than once with different values."""
        values = self.headers.get(name.lower(), ())
        return len(values) > 1 and len(set(values)) > 1


@dataclass(frozen=True, slots=True)
class Verified:
    """Proof that a request passed a scheme; only the verifier makes one."""

    scheme: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request did not pass. The reason is for the operator and holds no secret."""

    reason: str


@dataclass(slots=True)
class Delivery:
    """A verified request as stored: one HTTP request, none or many events.

    ``headers`` and ``query`` are what expressions see: credentials and signatures left out.
    ``damaged``: why its body is not what came, but what the disk has made of it.
    """

    id: int
    receipt: str
    source: str
    received_at: int
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    scheme: str
    damaged: str | None = None
