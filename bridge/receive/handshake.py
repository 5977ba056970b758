"""What some CRMs ask of an address before they send anything to it.

Answered before authentication and without a trace in the store, so only a request that carries
nothing else is taken for a handshake: what may hold an event goes the way of all deliveries. What
is echoed is bounded, and goes out with a content type that no browser runs.
"""

from __future__ import annotations

import json
import re

from bridge.errors import DecodeError, VerifyError
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    ChallengeHandshake,
    Decoder,
    EmptyPostHandshake,
    GetHandshake,
    Handshake,
    HeaderHandshake,
    PathScheme,
    QueryHandshake,
    Request,
    Scheme,
    Source,
)
from bridge.receive.decode import decode
from bridge.receive.reply import Reply
from bridge.receive.verify.credentials import prove_credential
from bridge.receive.verify.evidence import any_equal, required_parameter
from bridge.receive.verify.keys import live_keys

LONGEST_ECHO = 1_000
LONGEST_CHALLENGE_BODY = 8_192

_HEADER_VALUE = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
# Bodies of which senders think as empty.
_NOTHING = (b"", b"{}", b"[]")
_SAFE = (("X-Content-Type-Options", "nosniff"),)
_EMPTY = Reply(200, b"", "text/plain; charset=utf-8", _SAFE)


def methods(source: Source) -> tuple[str, ...]:
    """The methods that a source's hook answers to."""
    reads = any(isinstance(one, GetHandshake | QueryHandshake) for one in source.handshakes)
    return ("POST", "GET", "HEAD") if reads else ("POST",)


def greeting(source: Source, request: Request) -> Reply | None:
    """The answer to a request that is a handshake of this source and nothing else."""
    if not source.handshakes or not _address_is_right(source, request):
        return None
    for handshake in source.handshakes:
        reply = _answer(handshake, request)
        if reply is not None:
            return reply
    return None


def echoed(source: Source, request: Request) -> tuple[tuple[str, str], ...]:
    """The headers that go out again with the answer to a delivery."""
    if not source.handshakes:
        return ()
    names = [one.header for one in source.handshakes if isinstance(one, HeaderHandshake)]
    found = [(name, request.header(name)) for name in names if not request.conflicting(name)]
    return tuple((n, value) for n, value in found if value and _HEADER_VALUE.fullmatch(value))


def _answer(handshake: Handshake, request: Request) -> Reply | None:
    empty_post = request.method == "POST" and not request.body.strip()
    reads = request.method in ("GET", "HEAD")
    match handshake:
        case GetHandshake():
            return _EMPTY if reads else None
        case EmptyPostHandshake():
            return _EMPTY if empty_post else None
        case ChallengeHandshake():
            return _challenge(handshake, request) if request.method == "POST" else None
        case HeaderHandshake(header=name):
            value = request.header(name)
            nothing = request.method == "POST" and request.body.strip() in _NOTHING
            if not nothing or value is None or request.conflicting(name):
                return None
            return _EMPTY.also(((name, value),)) if _HEADER_VALUE.fullmatch(value) else None
        case QueryHandshake():
            return _query(handshake, request) if reads or empty_post else None


def _challenge(handshake: ChallengeHandshake, request: Request) -> Reply | None:
    if len(request.body) > LONGEST_CHALLENGE_BODY:
        return None
    try:
        document = decode(Decoder.JSON, request.body, max_depth=1)
    except DecodeError:
        return None
    if not isinstance(document, dict) or handshake.field not in document:
        return None
    if document.keys() - {handshake.field, *handshake.beside}:
        return None
    value = document[handshake.field]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ECHO:
        return None
    return Reply(200, json.dumps({handshake.field: value}).encode(), headers=_SAFE)


def _query(handshake: QueryHandshake, request: Request) -> Reply | None:
    try:
        # Both who build such a query with a form library and who do not mean a blank by a plus.
        value = required_parameter(request, handshake.name)[1].decode()
        if handshake.proof is not None and handshake.token is not None:
            proof = required_parameter(request, handshake.proof)
            if not any_equal(proof, live_keys(handshake.token)):
                return None
    except (VerifyError, UnicodeDecodeError):
        return None
    if len(value) > LONGEST_ECHO or not value.isprintable():
        return None
    return Reply(200, value.encode(), "text/plain; charset=utf-8", _SAFE)


def _address_is_right(source: Source, request: Request) -> bool:
    """Whether the URL has the secret path that a delivery would need, as far as that is known.

    Without this a mistyped address would pass the CRM's check and be refused ever after.
    """
    if source.missing or not source.verify:
        return True
    return any(_path_passes(scheme, request) for scheme in source.verify)


def _path_passes(scheme: Scheme, request: Request) -> bool:
    paths = _paths(scheme)
    if not paths:
        return request.token is None
    for path in paths:
        try:
            prove_credential(path, request)
        except VerifyError:
            continue
        return True
    return False


def _paths(scheme: Scheme) -> list[PathScheme]:
    match scheme:
        case PathScheme():
            return [scheme]
        case AllOfScheme(schemes=schemes) | AnyOfScheme(schemes=schemes):
            return [path for one in schemes for path in _paths(one)]
        case _:
            return []
