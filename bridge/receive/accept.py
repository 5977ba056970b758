"""Accepting a webhook: verify, commit, answer. Nothing else happens in the request.

``Acceptor.accept`` is the one function behind every way in. A 2xx means that the request is on
disk; what cannot be stored is answered 503 (or what the source declares for it), never 2xx.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

from bridge import logs
from bridge.errors import DecodeError, StoreError
from bridge.model import Refused, Request, Source, Verified
from bridge.receive.decode import decode
from bridge.receive.seldom import Seldom
from bridge.receive.verify import plain_credentials, verify
from bridge.store.deliveries import NewDelivery
from bridge.store.refusals import NewRefusal

Keep = Callable[[NewDelivery | NewRefusal], bool]
"""Returns once its argument is on disk, or False for a refusal that is only counted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender is told."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a request: bytes of its body, nesting of the decoded body."""

    body_bytes: int
    depth: int


def problem(status: int, detail: str, *headers: tuple[str, str]) -> Reply:
    """An error as ``application/problem+json`` (RFC 9457)."""
    document = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    body = json.dumps(document).encode()
    return Reply(status, body, "application/problem+json", headers)


def new_receipt(received_at: int) -> str:
    """A receipt: 32 hexadecimal digits that sort by time and cannot be guessed."""
    return f"{received_at:012x}{secrets.token_hex(10)}"


@dataclass(frozen=True)
class Acceptor:
    """Accepts webhooks. ``seldom``: when to log again what may happen for every request."""

    sources: Callable[[], Mapping[str, Source]]
    keep: Keep
    limits: Limits
    seldom: Seldom = field(default_factory=Seldom)

    def find(self, name: str, method: str, length: int | None) -> Source | Reply:
        """The source that a request is for, or why its body need not be read."""
        source = self.sources().get(name)
        if source is None:
            return problem(404, "There is no source of this name. Check the URL in the CRM.")
        if method != "POST":
            return problem(405, "Webhooks are sent by POST.", ("Allow", "POST"))
        if not source.configured:
            return self._not_configured(source)
        if length is not None and length > self.limits.body_bytes:
            log = logs.get("receive")
            log.warning("body too large", source=name, bytes=length, most=self.limits.body_bytes)
            return self.too_large()
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

    def too_large(self) -> Reply:
        """The answer to a body over the limit."""
        detail = f"The body is larger than {self.limits.body_bytes} bytes."
        return problem(413, detail, ("Connection", "close"))

    def accept(self, source: Source, request: Request) -> Reply:
        """Verify a request over its raw bytes, commit it, and answer."""
        verdict = verify(source.verify, request, request.received_at)
        if isinstance(verdict, Refused):
            return self._refuse(source, request, verdict)
        return self._store(source, request, verdict)

    def _store(self, source: Source, request: Request, verified: Verified) -> Reply:
        trouble = self._trouble(source, request.body)
        headers, queries = plain_credentials(source.verify)
        receipt = new_receipt(request.received_at)
        delivery = NewDelivery(
            receipt=receipt,
            source=source.name,
            received_at=request.received_at,
            method=request.method,
            path=f"/hooks/{source.name}" + ("/***" if request.token is not None else ""),
            query={
                name: value
                for name, value in parse_qsl(request.query, keep_blank_values=True)
                if name not in queries
            },
            headers={
                name: ", ".join(values)
                for name, values in request.headers.items()
                if name not in headers
            },
            body=request.body,
            address=request.address,
            scheme=verified.scheme,
            problem=trouble,
        )
        try:
            self.keep(delivery)
        except StoreError as error:
            self._log_not_stored(source, error)
            return _not_stored(source)
        answer = source.answer
        if answer.body is not None:
            return Reply(answer.status, answer.body.encode(), answer.content_type)
        document = {"receipt": receipt}
        if trouble is not None:
            document["problem"] = trouble
        return Reply(answer.status, json.dumps(document).encode())

    def _log_not_stored(self, source: Source, error: StoreError) -> None:
        """One line a minute says so; a disk that is full would fill with lines about it."""
        if requests := self.seldom.due("not stored"):
            logs.get("receive").error(
                "not stored", source=source.name, error=str(error), requests=requests
            )

    def _trouble(self, source: Source, body: bytes) -> str | None:
        try:
            decode(source.decode, body, max_depth=self.limits.depth)
        except DecodeError as error:
            return str(error)
        return None

    def _refuse(self, source: Source, request: Request, refused: Refused) -> Reply:
        headers, queries = plain_credentials(source.verify)
        query = [
            (name, value)
            for name, value in parse_qsl(request.query, keep_blank_values=True)
            if name not in queries
        ]
        url = (request.url or request.path).partition("?")[0]
        if request.token is not None:
            url = url.rpartition("/")[0] + "/***"
        if query:
            # kept as it came: signatures cover the query byte for byte
            kept = request.query if len(query) == request.query.count("&") + 1 else "***"
            url = f"{url}?{kept}"
        receipt = new_receipt(request.received_at)
        refusal = NewRefusal(
            receipt=receipt,
            source=source.name,
            received_at=request.received_at,
            address=request.address,
            reason=refused.reason,
            method=request.method,
            url=url,
            headers={n: list(v) for n, v in request.headers.items() if n not in headers},
            body=request.body,
        )
        log = logs.get("receive").bind(source=source.name, reason=refused.reason)
        try:
            on_disk = self.keep(refusal)
        except StoreError as error:
            self._log_not_stored(source, error)
            return _not_stored(source)
        detail = "The request did not pass verification."
        if on_disk:
            log.warning("refused", receipt=receipt)
            detail += f" It is kept for the operator, who finds the reason under receipt {receipt}."
        else:
            if requests := self.seldom.due(f"not kept {source.name}"):
                log.warning("refused and not kept", address=request.address, requests=requests)
            detail += " It is not kept, since too many such requests came from this address."
        return problem(401, detail, ("WWW-Authenticate", "Signature"))


def _not_stored(source: Source) -> Reply:
    return problem(
        source.answer.busy_status,
        "The webhook could not be stored just now. Send it again later.",
        ("Retry-After", "5"),
    )
