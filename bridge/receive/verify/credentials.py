"""Shared secrets that travel with the request: bearer, basic, header, query, path.

They say who sent a request and nothing about its content.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from bridge.errors import VerifyError
from bridge.model import (
    BasicScheme,
    BearerScheme,
    HeaderScheme,
    PathScheme,
    QueryScheme,
    Request,
    Verified,
)
from bridge.receive.verify.evidence import (
    any_equal,
    as_sent,
    as_utf8,
    required_header,
    required_parameter,
)
from bridge.receive.verify.keys import live_keys

CredentialScheme: TypeAlias = BearerScheme | BasicScheme | HeaderScheme | QueryScheme | PathScheme

# RFC 9110, section 11.4: the word may be written in any case, blanks stand between.
_AUTHORIZATION = re.compile(r"([A-Za-z]+) +(\S+) *", re.ASCII)


def prove_credential(scheme: CredentialScheme, request: Request) -> Verified:
    """Compare what the request carries with every live value of the secret.

    Errors: ``VerifyError`` with the reason.
    """
    given: tuple[bytes, ...]
    match scheme:
        case BearerScheme(token=secret):
            name, given = "bearer", (as_sent(_authorization(request, "Bearer")),)
            expected = live_keys(secret)
        case BasicScheme(user=user, password=secret):
            name, given = "basic", (_basic(request),)
            expected = tuple(as_utf8(user) + b":" + key for key in live_keys(secret))
        case HeaderScheme(name=header, token=secret):
            name, given = "header", (as_sent(required_header(request, header)),)
            expected = live_keys(secret)
        case QueryScheme(name=parameter, token=secret):
            name, given = "query", required_parameter(request, parameter)
            expected = live_keys(secret)
        case PathScheme(token=secret):
            if not request.token:
                raise VerifyError("the URL has no token after the name of the source")
            name, given = "path", _token_readings(request.token)
            expected = live_keys(secret)
    if not any_equal(given, expected):
        raise VerifyError(f"the credential does not match the secret {secret.name}")
    return Verified(name)


def _token_readings(token: str) -> tuple[bytes, ...]:
    # Routers differ in whether they undo percent-escapes and how they read what is not ASCII.
    return as_utf8(token), as_sent(token), unquote_to_bytes(as_sent(token))


def _authorization(request: Request, word: str) -> str:
    match = _AUTHORIZATION.fullmatch(required_header(request, "Authorization"))
    if match is None or match[1].lower() != word.lower():
        raise VerifyError(f"the header Authorization is not of the kind {word}")
    return match[2]


def _basic(request: Request) -> bytes:
    given = _authorization(request, "Basic")
    try:
        login = base64.b64decode(as_sent(given), validate=True)
    except (ValueError, binascii.Error):
        raise VerifyError("the header Authorization does not hold base64 after Basic") from None
    if b":" not in login:
        raise VerifyError("the header Authorization holds no user and password")
    return login
