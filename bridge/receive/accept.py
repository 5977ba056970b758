"""Accepting a webhook: verify, commit, answer. Nothing else happens in the request.

``Acceptor.accept`` is the one function behind every way in. A 2xx means that the request is on
disk; what cannot be stored is answered 503 (or what the source declares for it), never 2xx.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bridge import jsontext, logs
from bridge.errors import StoreError
from bridge.model import Json, Refused, Request, Source, Verified
from bridge.receive.handshake import echoed, greeting, methods
from bridge.receive.reply import Reply, problem
from bridge.receive.request import PREFIX
from bridge.receive.seldom import Seldom
from bridge.receive.verify.any_of import verify
from bridge.receive.withhold import Kept, kept, kept_refusal
from bridge.store.deliveries import NewDelivery
from bridge.store.packing import packed
from bridge.store.refusals import BODY, NOT_KEPT, NewRefusal

Keep = Callable[[NewDelivery | NewRefusal], bool]
"""Returns once its argument is on disk, or False for a refusal that is only counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a request: bytes of its body, nesting of the decoded body, bytes of a body that is
    opened before anything is verified, and of one that is read before the answer.
    """

    body_bytes: int
    depth: int
    unverified_bytes: int
    checked_bytes: int


def new_receipt(received_at: int) -> str:
    """A receipt: 32 hexadecimal digits that sort by time and cannot be guessed."""
    return f"{received_at:012x}{os.urandom(10).hex()}"


def new_delivery(
    source: Source, request: Request, verified: Verified, *, receipt: str, depth: int
) -> NewDelivery:
    """A verified request as it is stored: without credentials, and with what keeps it from being
    read, if anything does. ``depth``: the deepest nesting of its body."""
    left = kept(source, request, max_depth=depth)
    return _delivery(source, request, verified, left, receipt)


def _delivery(
    source: Source, request: Request, verified: Verified, left: Kept, receipt: str
) -> NewDelivery:
    body, size = packed(left.body)
    return NewDelivery(
        receipt=receipt,
        source=source.name,
        received_at=request.received_at,
        method=request.method,
        path=f"{PREFIX}{source.name}" + ("/***" if request.token is not None else ""),
        query=left.query,
        headers=left.headers,
        body=body,
        body_size=size,
        address=request.address,
        scheme=verified.scheme,
        problem=left.problem,
    )


def new_refusal(source: Source, request: Request, reason: str, limits: Limits) -> NewRefusal:
    """A refused request as it is stored: whole, but for credentials."""
    left = kept_refusal(source, request, max_depth=limits.depth, max_bytes=limits.unverified_bytes)
    return NewRefusal(
        receipt=new_receipt(request.received_at),
        source=source.name,
        received_at=request.received_at,
        address=request.address,
        reason=f"{reason} ({left.note})" if left.note else reason,
        method=request.method,
        url=left.url,
        headers=left.headers,
        body=left.body,
    )


@dataclass(frozen=True)
class Acceptor:
    """Accepts webhooks. ``seldom``: when to log again what may happen for every request.

    ``overfull``: why a verified delivery will end as a dead letter for all that it holds, if so;
    it is given the body as well, and the same decoded where it was read and kept whole.
    """

    sources: Callable[[], Mapping[str, Source]]
    keep: Keep
    limits: Limits
    seldom: Seldom = field(default_factory=Seldom)
    overfull: Callable[[NewDelivery, bytes, Json], str | None] = lambda *_: None

    def find(self, name: str, method: str) -> Source | Reply:
        """The source that a request is for, or why its body need not be read."""
        source = self.sources().get(name)
        if source is None:
            return problem(404, "There is no source of this name. Check the URL in the CRM.")
        if method not in methods(source):
            return _wrong_method(source)
        # A CRM may ask for a handshake first and only then show the secret that is to be set.
        if not source.configured and not source.handshakes:
            return self._not_configured(source)
        return source

    def _not_configured(self, source: Source) -> Reply:
        # which settings are missing is for the operator, not for whoever asks
        if requests := self.seldom.due(f"not configured {source.name}"):
            logs.get("receive").warning(
                "source not configured",
                source=source.name,
                missing=list(source.missing),
                requests=requests,
            )
        return problem(
            source.answer.busy_status, f"The source {source.name} is not configured yet."
        )

    def too_large(self, source: Source, request: Request, length: int | None) -> Reply:
        """The answer to a body over the limit.

        The request is kept as a refusal without its body, within its network's share. ``length``:
        the body's bytes as announced, None where it was chunked.
        """
        most = self.limits.body_bytes
        size = f"more than {most:,}" if length is None else f"{length:,}"
        reason = f"the body has {size} bytes; {most:,} are the most (BRIDGE_MAX_BODY)"
        detail = f"The body is larger than {most} bytes. Nothing of it was taken in."
        refusal = new_refusal(source, replace(request, body=b""), reason, self.limits)
        gone = [*refusal.headers.get(NOT_KEPT, ()), BODY]
        refusal = replace(refusal, headers={**refusal.headers, NOT_KEPT: gone})
        try:
            detail += self._told(refusal, self.keep(refusal), "body too large")
        except StoreError as error:
            # sent again it would be as large: no reason to ask for that
            self._log_not_stored(source, error)
        return problem(source.answer.too_large_status, detail, ("Connection", "close"))

    def accept(self, source: Source, request: Request) -> Reply:
        """Verify a request over its raw bytes, commit it, and answer."""
        handshake = greeting(source, request)
        if handshake is not None:
            if requests := self.seldom.due(f"handshake {source.name}"):
                log = logs.get("receive")
                log.info("handshake answered", source=source.name, requests=requests)
            return handshake
        if request.method != "POST":
            return _wrong_method(source)
        if not source.configured:
            return self._not_configured(source)
        verdict = verify(
            source.verify,
            request,
            request.received_at,
            max_depth=self.limits.depth,
            max_unverified=self.limits.unverified_bytes,
        )
        if isinstance(verdict, Refused):
            return self._refuse(source, request, verdict)
        return self._store(source, request, verdict)

    def _store(self, source: Source, request: Request, verified: Verified) -> Reply:
        receipt = new_receipt(request.received_at)
        limits = self.limits
        left = kept(source, request, max_depth=limits.depth, most_read=limits.checked_bytes)
        delivery = _delivery(source, request, verified, left, receipt)
        if left.problem is None:
            delivery.problem = self.overfull(delivery, left.body, left.document)
        del left  # a document is many small objects, and who waits for the disk needs none of it
        try:
            self.keep(delivery)
        except StoreError as error:
            self._log_not_stored(source, error)
            return _not_stored(source)
        answer, headers = source.answer, echoed(source, request)
        if answer.body is not None:
            return Reply(answer.status, answer.body.encode(), answer.content_type, headers)
        document = {"receipt": receipt}
        if delivery.problem is not None:
            document["problem"] = delivery.problem
        return Reply(answer.status, jsontext.dump_bytes(document), headers=headers)

    def _log_not_stored(self, source: Source, error: StoreError) -> None:
        """One line a minute says so; a disk that is full would fill with lines about it."""
        if requests := self.seldom.due("not stored"):
            logs.get("receive").error(
                "not stored", source=source.name, error=str(error), requests=requests
            )

    def _refuse(self, source: Source, request: Request, refused: Refused) -> Reply:
        refusal = new_refusal(source, request, refused.reason, self.limits)
        try:
            on_disk = self.keep(refusal)
        except StoreError as error:
            self._log_not_stored(source, error)
            return _not_stored(source)
        detail = "The request did not pass verification." + self._told(refusal, on_disk, "refused")
        status = source.answer.refused_status
        headers = [("WWW-Authenticate", "Signature")] if status == 401 else []
        return problem(status, detail, *headers)

    def _told(self, refusal: NewRefusal, on_disk: bool, what: str) -> str:
        """Say in the log what came of a refusal, and give the words for its sender."""
        log = logs.get("receive").bind(source=refusal.source, reason=refusal.reason)
        if on_disk:
            log.warning(what, receipt=refusal.receipt)
            return (
                " It is kept for the operator, who finds the reason under receipt "
                f"{refusal.receipt}."
            )
        if requests := self.seldom.due(f"not kept {refusal.source}"):
            counted = f"{what} and not kept"
            log.warning(counted, address=refusal.address, requests=requests)
        return " It is not kept, since too many such requests came from this address."


def _wrong_method(source: Source) -> Reply:
    return problem(405, "Webhooks are sent by POST.", ("Allow", ", ".join(methods(source))))


def _not_stored(source: Source) -> Reply:
    return problem(
        source.answer.busy_status,
        "The webhook could not be stored just now. Send it again later.",
        ("Retry-After", "5"),
    )
