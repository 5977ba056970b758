"""Which headers, query parameters and places in the body are credentials or signatures.

Mappings see neither. In what is kept of a refused request, signatures stay, since it is to be
verified again once a wrong secret is corrected; plain credentials do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BasicScheme,
    BearerScheme,
    BodyScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    PathScheme,
    Place,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    StandardWebhooksScheme,
)
from bridge.receive.verify.hubspot import SIGNATURE, SIGNATURE_V3

_ALWAYS = frozenset({"authorization", "cookie", "proxy-authorization"})


class Credentials(NamedTuple):
    """Where shared secrets travel: header names in lower case, and query parameters."""

    headers: frozenset[str]
    query: frozenset[str]


def plain_credentials(schemes: tuple[Scheme, ...]) -> Credentials:
    """Headers and query parameters that hold a shared secret itself: never to be stored.

    ``authorization``, ``cookie`` and ``proxy-authorization`` are always among them, except where
    a scheme expects a signature there and none expects a secret. A secret in the path
    (``Request.token``) has no name and is for the caller to leave out.
    """
    shared = shared_secrets(schemes)
    always = _ALWAYS - signature_headers(schemes)
    return Credentials(shared.headers | always, shared.query)


def shared_secrets(schemes: tuple[Scheme, ...]) -> Credentials:
    """Headers and query parameters in which the schemes expect a shared secret itself."""
    headers: set[str] = set()
    query: set[str] = set()
    for scheme in _each(schemes):
        match scheme:
            case BearerScheme() | BasicScheme():
                headers.add("authorization")
            case HeaderScheme(name=name):
                headers.add(name.lower())
            case QueryScheme(name=name):
                query.add(name)
            case JwtScheme(header=name):
                headers.add(name.lower())
            case _:
                pass
    return Credentials(frozenset(headers), frozenset(query))


def secret_in_path(schemes: tuple[Scheme, ...]) -> bool:
    """Whether the schemes expect a shared secret in the path."""
    return any(isinstance(one, PathScheme) for one in _each(schemes))


def signature_headers(schemes: tuple[Scheme, ...]) -> frozenset[str]:
    """Headers (lower case) that hold a signature over the request.

    Needed to verify a request again; worth nothing for another request. Ids and timestamps that
    are signed are not among them: mappings may use those.
    """
    names: set[str] = set()
    for scheme in _each(schemes):
        match scheme:
            case HubSpotScheme():
                names |= {SIGNATURE, SIGNATURE_V3}
            case HmacScheme(header=name) if name:
                names.add(name)
            case PublicKeyScheme(header=name, yields_to=other):
                names |= {name, other or name}
            case StandardWebhooksScheme(header_prefix=prefix):
                names.add(f"{prefix}-signature")
            case _:
                pass
    return frozenset(name.lower() for name in names)


def body_credentials(schemes: tuple[Scheme, ...]) -> tuple[Place, ...]:
    """Places in the decoded body that hold a shared secret itself."""
    return tuple(one.place for one in _each(schemes) if isinstance(one, BodyScheme))


def credential_names(schemes: tuple[Scheme, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Everything that mappings must not see: header names (lower case), query parameters."""
    plain = plain_credentials(schemes)
    signed = {one.query for one in _each(schemes) if isinstance(one, HmacScheme) and one.query}
    return plain.headers | signature_headers(schemes) | _ALWAYS, plain.query | signed


def _each(schemes: tuple[Scheme, ...]) -> Iterator[Scheme]:
    for scheme in schemes:
        if isinstance(scheme, AllOfScheme | AnyOfScheme):
            yield from _each(scheme.schemes)
        else:
            yield scheme
