"""A source, its handshakes, and what its senders are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.model.document import AS_JSON, Place, Reading
from bridge.model.schemes import Scheme
from bridge.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told after the commit. ``body`` None: the receipt as JSON.

    The other statuses are never 2xx and never 410, at which many senders delete their hook.
    ``busy_status``: nothing can be stored; 503 unless a sender is known to repeat only another
    status. ``refused_status``: the request did not pass verification. ``too_large_status``: its
    body is over the limit.
    """

    status: int = 200
    body: str | None = None
    content_type: str = "application/json"
    busy_status: int = 503
    refused_status: int = 401
    too_large_status: int = 413


@dataclass(frozen=True, slots=True)
class ChallengeHandshake:
    """A POST of a JSON object with ``field``, and of others at most those in ``beside``.

    It is answered with the same field and value as JSON.
    """

    field: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderHandshake:
    """A request with this header is answered with the same header and value.

    One with an empty body is nothing but that; any other is a delivery like all others besides.
    """

    header: str


@dataclass(frozen=True, slots=True)
class GetHandshake:
    """GET and HEAD are answered 200."""


@dataclass(frozen=True, slots=True)
class EmptyPostHandshake:
    """A POST without a body is answered 200."""


@dataclass(frozen=True, slots=True)
class QueryHandshake:
    """A GET, or a POST without a body, with this query parameter is answered with its value.

    ``proof`` names another parameter, which must then hold ``token``.
    """

    name: str
    proof: str | None = None
    token: Secret | None = None


Handshake: TypeAlias = (
    ChallengeHandshake | HeaderHandshake | GetHandshake | EmptyPostHandshake | QueryHandshake
)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What must not be stored: places in the body, headers (lower case), query parameters."""

    body: tuple[Place, ...] = ()
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A CRM as configured by one mapping file: all that the receive stage knows of it.

    Each is equal to itself alone, so that what follows from one can be remembered under it.

    ``verify``: any one passing is enough. ``missing`` names the settings that have no value, as
    ``A or B`` where one of them is enough; while there are any, the source is not configured and
    its hook answers 503.
    """

    name: str
    title: str
    verify: tuple[Scheme, ...]
    decode: Reading = AS_JSON
    answer: Answer = Answer()
    missing: tuple[str, ...] = ()
    handshakes: tuple[Handshake, ...] = ()
    drop: Dropped = Dropped()

    @property
    def configured(self) -> bool:
        """Whether every secret that the file needs has a value."""
        return not self.missing
