"""JSON Web Tokens, HS256 and nothing else: the one home of ``jwt`` (PyJWT).

The token is as good as a password until it expires, and says nothing of the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jwt

from bridge.errors import VerifyError
from bridge.model import JwtScheme, Request, Verified
from bridge.receive.verify.evidence import required_header, required_url
from bridge.receive.verify.keys import live_keys

ALGORITHM = "HS256"

LONGEST_TOKEN = 8_192
LASTS_S = 300
"""How long a token that the bridge itself makes is good."""

_BEARER = re.compile(r"bearer +", re.IGNORECASE | re.ASCII)
# The time is checked here, against the time at which the request came, not that of the library.
_OPTIONS: Any = {
    "require": ["exp", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
}


def prove_jwt(scheme: JwtScheme, request: Request, now_ms: int) -> Verified:
    """Check signature, audience and time of the token.

    Errors: ``VerifyError`` with the reason.
    """
    token = _BEARER.sub("", required_header(request, scheme.header), count=1)
    if len(token) > LONGEST_TOKEN:
        raise VerifyError(f"the header {scheme.header} is too long for a token")
    problem = ""
    for key in live_keys(scheme.secret):
        try:
            claims = _claims(token, key, audiences(scheme, request))
        except jwt.InvalidSignatureError:
            problem = problem or (
                f"the signature of the token does not match the secret {scheme.secret.name}"
            )
        except jwt.InvalidAudienceError:
            raise VerifyError("the token is not for this address (its claim aud)") from None
        except jwt.MissingRequiredClaimError as error:
            raise VerifyError(f"the token has no claim {error.claim}") from None
        except jwt.InvalidAlgorithmError:
            raise VerifyError(f"the token is not signed by {ALGORITHM}") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise VerifyError(f"the header {scheme.header} holds no token that is sound") from None
        else:
            _require_time(claims, scheme.leeway_s, now_ms / 1000)
            return Verified("jwt")
    raise VerifyError(problem)


def audiences(scheme: JwtScheme, request: Request) -> tuple[str, ...]:
    """What the claim ``aud`` may be."""
    if scheme.audience is not None:
        return (scheme.audience,)
    url = required_url(request)
    return (url, url.partition("?")[0])


def new_token(key: bytes, audience: str, now_ms: int) -> str:
    """A token as a sender makes it, good for five minutes."""
    now = now_ms // 1000
    return jwt.encode({"aud": audience, "iat": now, "exp": now + LASTS_S}, key, algorithm=ALGORITHM)


def _claims(token: str, key: bytes, expected: tuple[str, ...]) -> Mapping[str, Any]:
    wrong: jwt.InvalidAudienceError | None = None
    for audience in expected:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=audience, options=_OPTIONS
            )
        except jwt.InvalidAudienceError as error:
            wrong = error
        else:
            return claims
    raise wrong or jwt.InvalidAudienceError


def _require_time(claims: Mapping[str, Any], leeway_s: int, now_s: float) -> None:
    expires = _number(claims, "exp")
    if expires is None or expires + leeway_s < now_s:
        raise VerifyError("the token has expired (its claim exp)")
    starts = _number(claims, "nbf") if "nbf" in claims else now_s
    if starts is None or starts - leeway_s > now_s:
        raise VerifyError("the token is not valid yet: check the clock of this machine")


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(float(value), -1e15), 1e15) if value == value else None  # noqa: PLR0124 - NaN
