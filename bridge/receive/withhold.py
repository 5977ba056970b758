"""What of a request is stored: everything but credentials and what its source says to drop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from bridge.errors import DecodeError
from bridge.model import Json, Place, Request, Source
from bridge.places import values_at
from bridge.receive.decode import decode, redacted
from bridge.receive.verify import (
    body_credentials,
    credential_names,
    plain_credentials,
    secret_in_path,
    shared_secrets,
)
from bridge.store.refusals import BODY, NOT_KEPT


@dataclass(slots=True)
class Kept:
    """What is stored of a delivery. ``problem``: why its body cannot be read, if that was found.

    ``document``: what the body holds, where it was read and nothing was taken out of it.
    """

    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    problem: str | None
    document: Json = None


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """What is stored of a request that did not pass. ``note`` goes with its reason; ``headers``
    say under ``NOT_KEPT`` what else it would need to be verified again."""

    headers: dict[str, list[str]]
    url: str
    body: bytes
    note: str


@lru_cache(maxsize=512)
def _rules(source: Source) -> tuple[frozenset[str], frozenset[str], tuple[Place, ...]]:
    """The headers, parameters and places of a delivery that are not stored."""
    names, parameters = credential_names(source.verify)
    return names | source.drop.headers | {NOT_KEPT}, parameters | source.drop.query, _places(source)


def kept(source: Source, request: Request, *, max_depth: int, most_read: int | None = None) -> Kept:
    """What is stored of a verified request: no credential, no signature.

    A body that cannot be read is kept as it came, since it may be an opt-out; what is to be
    dropped cannot be found in it, and the problem says so. ``most_read``: a body of more bytes is
    not read unless something is to be dropped, and so nothing is said of it.
    """
    names, parameters, places = _rules(source)
    headers = {n: ", ".join(v) for n, v in request.headers.items() if n not in names}
    query = dict(_query(request, parameters))
    if not places and most_read is not None and len(request.body) > most_read:
        return Kept(headers, query, request.body, None)
    try:
        document = decode(source.decode, request.body, max_depth=max_depth)
    except DecodeError as error:
        problem = str(error)
        if places:
            problem += f"; {_shown(places)} could not be taken out of it"
        return Kept(headers, query, request.body, problem)
    body = _without(source, request.body, document, places) if places else request.body
    if body is not request.body:
        headers[NOT_KEPT] = _shown(_found(document, places))
        return Kept(headers, query, body, None)
    return Kept(headers, query, body, None, document)


def kept_refusal(
    source: Source, request: Request, *, max_depth: int, max_bytes: int
) -> KeptRefusal:
    """What is stored of a refused request: signatures stay, to be verified again.

    A secret that stands in the body goes, also where a signature then no longer fits; and where
    the body cannot be read, or is larger than ``max_bytes``, so that the secret is not found, none
    of the body is kept.
    """
    names, parameters = plain_credentials(source.verify)
    names |= source.drop.headers | {NOT_KEPT}
    headers = {n: list(v) for n, v in request.headers.items() if n not in names}
    gone = _secrets_in(source, request)
    places = _places(source)
    body, note = request.body, ""
    if places and len(body) > max_bytes:
        body, note = b"", f"kept without its body, which has more than {max_bytes} bytes"
    elif places:
        try:
            document = decode(source.decode, request.body, max_depth=max_depth)
        except DecodeError:
            if body:
                body, note = b"", "kept without its body, which cannot be read"
        else:
            body = _without(source, body, document, places)
            if body is not request.body:
                gone.append(_shown(_found(document, places)))
                note = f"kept without {gone[-1]}"
    if request.body and not body:
        gone.append(BODY)
    if gone:
        headers[NOT_KEPT] = gone
    return KeptRefusal(headers, _url(request, parameters | source.drop.query), body, note)


def _secrets_in(source: Source, request: Request) -> list[str]:
    """The shared secrets that a request carries outside of its body, by their places."""
    headers, parameters = shared_secrets(source.verify)
    found = [f"the header {name}" for name in sorted(headers) if name in request.headers]
    carried = dict(_query(request, frozenset()))
    found += [f"the query parameter {name}" for name in sorted(parameters) if name in carried]
    if request.token is not None and secret_in_path(source.verify):
        found.append("the token in the path")
    return found


def _url(request: Request, parameters: frozenset[str]) -> str:
    url = (request.url or request.path).partition("?")[0]
    if request.token is not None:
        url = url.rpartition("/")[0] + "/***"
    query = _query(request, parameters)
    if not query:
        return url
    # kept as it came: signatures cover the query byte for byte
    return f"{url}?{request.query if len(query) == request.query.count('&') + 1 else '***'}"


def _query(request: Request, left_out: frozenset[str]) -> list[tuple[str, str]]:
    if not request.query:
        return []
    pairs = parse_qsl(request.query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if name not in left_out]


def _places(source: Source) -> tuple[Place, ...]:
    return (*source.drop.body, *body_credentials(source.verify))


def _without(source: Source, body: bytes, document: Json, places: Iterable[Place]) -> bytes:
    return redacted(source.decode.decoder, body, document, places)


def _found(document: Json, places: Iterable[Place]) -> list[Place]:
    return [place for place in places if values_at(document, place)]


def _shown(places: Iterable[Place]) -> str:
    return ", ".join(".".join(place) for place in places) + " of the body"
