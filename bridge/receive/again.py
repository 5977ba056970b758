"""Judge a refused request once more, by the secrets of now and at the time at which it came.

So a request whose secret was set wrongly passes as it would have then, and one that was stale
when it came is stale still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.model import Refused, Request, Source, Verified
from bridge.receive.accept import new_delivery
from bridge.receive.request import PREFIX, request_of
from bridge.receive.verify import signature_headers
from bridge.receive.verify.any_of import verify
from bridge.store.deliveries import NewDelivery
from bridge.store.refusals import BODY, NOT_KEPT, KeptRefusal


@dataclass(frozen=True, slots=True)
class NotKept:
    """Nobody can say any more whether a request is genuine: these parts of it were not kept."""

    parts: tuple[str, ...]

    @property
    def reason(self) -> str:
        """In words."""
        return _not_kept(self.parts)


def judge_again(
    source: Source, kept: KeptRefusal, *, public_url: str | None, depth: int
) -> NewDelivery | Refused | NotKept:
    """The delivery that a refused request is after all, or why it is none.

    It keeps its receipt and the time at which it came. One whose secret itself travelled with it
    (bearer, basic, header, query, path and body tokens) was kept without, and is verified again
    only where its signature alone is enough.
    """
    gone = tuple(kept.headers.get(NOT_KEPT, ()))
    if BODY in gone:
        # an empty body may pass where the true one would not: never take that in
        return NotKept(gone)
    request = _request(kept, public_url)
    verdict = verify(source.verify, request, kept.received_at, max_depth=depth)
    if not isinstance(verdict, Verified):
        if not gone:
            return verdict
        signed = any(name in kept.headers for name in signature_headers(source.verify))
        return Refused(f"{verdict.reason} ({_not_kept(gone)})") if signed else NotKept(gone)
    return new_delivery(source, request, verdict, receipt=kept.receipt, depth=depth)


def _not_kept(parts: Sequence[str]) -> str:
    *others, last = parts
    named = f"{', '.join(others)} and {last}" if others else last
    return f"{named} {'were' if others else 'was'} not kept"


def _request(kept: KeptRefusal, public_url: str | None) -> Request:
    base = None if public_url is None else public_url.rstrip("/")
    if base is not None and kept.url.startswith(base + "/"):
        raw = kept.url.removeprefix(base)
    else:
        # kept under another public URL, or under none
        place = kept.url.find(PREFIX)
        raw = kept.url[place:] if place >= 0 else kept.url
    return request_of(
        kept.method,
        raw,
        {name: tuple(values) for name, values in kept.headers.items() if name != NOT_KEPT},
        kept.body,
        source=kept.source,
        token=None,
        public_url=public_url,
        address=kept.address,
        received_at=kept.received_at,
    )
