"""Try the schemes of a source; one that passes is enough."""

from __future__ import annotations

from typing import TypeAlias

from bridge.errors import VerifyError
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BodyScheme,
    EqualScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    NoneScheme,
    PublicKeyScheme,
    Refused,
    Request,
    Scheme,
    StandardWebhooksScheme,
    Verified,
)
from bridge.receive.verify.credentials import prove_credential
from bridge.receive.verify.hubspot import prove_hubspot
from bridge.receive.verify.in_body import prove_body, prove_equal
from bridge.receive.verify.mac import prove_hmac
from bridge.receive.verify.naming import name_of
from bridge.receive.verify.opened import Opened
from bridge.receive.verify.public_key import prove_public_key
from bridge.receive.verify.standard_webhooks import prove_standard_webhooks
from bridge.receive.verify.token import prove_jwt

SigningScheme: TypeAlias = (
    HubSpotScheme | HmacScheme | PublicKeyScheme | StandardWebhooksScheme | JwtScheme
)

LONGEST_REASON = 1000
MAX_DEPTH = 64
MAX_UNVERIFIED = 262_144


def verify(
    schemes: tuple[Scheme, ...],
    request: Request,
    now_ms: int,
    *,
    max_depth: int = MAX_DEPTH,
    max_unverified: int = MAX_UNVERIFIED,
) -> Verified | Refused:
    """Judge a request by the schemes of its source. ``now_ms``: milliseconds since 1970 UTC.

    For schemes that look into the body: ``max_depth``, how deep it may be nested, and
    ``max_unverified``, how many bytes it may have as long as no secret of the request was right.

    Never raises, whatever the request holds; no scheme at all refuses. The reason of a refusal
    names each scheme and why it did not pass (at most ``LONGEST_REASON`` characters), and holds
    neither a secret nor anything that the request carried as one.
    """
    if not schemes:
        return Refused("no scheme is configured, so nothing can be verified")
    opened = Opened(request, max_depth, max_unverified)
    reasons: list[str] = []
    for scheme in schemes:
        if not proves(scheme):
            reasons.append(f"{name_of(scheme)}: proves nothing by itself")
            continue
        try:
            passed = _proved(scheme, opened, now_ms)
        except VerifyError as error:
            reasons.append(f"{name_of(scheme)}: {error}")
        except Exception as error:  # noqa: BLE001 - a bug in a check refuses; it must not let in
            reasons.append(f"{name_of(scheme)}: could not be checked ({type(error).__name__})")
        else:
            return passed
    return Refused(_bounded("; ".join(reasons)))


def proves(scheme: Scheme) -> bool:
    """Whether passing this scheme takes knowledge of a secret.

    A tenant's number does not, nor does a sender that signs nothing.
    """
    match scheme:
        case EqualScheme() | NoneScheme():
            return False
        case AllOfScheme(schemes=schemes):
            return not schemes or any(map(proves, schemes))
        case AnyOfScheme(schemes=schemes):
            return all(map(proves, schemes))
        case _:
            return True


def _proved(scheme: Scheme, opened: Opened, now_ms: int) -> Verified:
    match scheme:
        case AllOfScheme():
            return _proved_all(scheme, opened, now_ms)
        case AnyOfScheme():
            return _proved_one(scheme, opened, now_ms)
        case BodyScheme():
            return prove_body(scheme, opened)
        case EqualScheme():
            return prove_equal(scheme, opened)
        case NoneScheme():
            return Verified("none")
        case (
            HubSpotScheme()
            | HmacScheme()
            | PublicKeyScheme()
            | StandardWebhooksScheme()
            | JwtScheme()
        ):
            return _signature_proved(scheme, opened.request, now_ms)
        case _:
            return prove_credential(scheme, opened.request)


def _signature_proved(scheme: SigningScheme, request: Request, now_ms: int) -> Verified:
    match scheme:
        case HubSpotScheme():
            return prove_hubspot(scheme, request, now_ms)
        case HmacScheme():
            return prove_hmac(scheme, request, now_ms)
        case PublicKeyScheme():
            return prove_public_key(scheme, request, now_ms)
        case StandardWebhooksScheme():
            return prove_standard_webhooks(scheme, request, now_ms)
        case JwtScheme():
            return prove_jwt(scheme, request, now_ms)


def _proved_all(scheme: AllOfScheme, opened: Opened, now_ms: int) -> Verified:
    if not scheme.schemes:
        raise VerifyError("lists no scheme")
    names: list[str] = []
    for one in _cheap_first(scheme.schemes):
        try:
            names.append(_proved(one, opened, now_ms).scheme)
        except VerifyError as error:
            raise VerifyError(f"{name_of(one)}: {error}") from None
        if proves(one):
            opened.trust()
    return Verified("+".join(names))


def _proved_one(scheme: AnyOfScheme, opened: Opened, now_ms: int) -> Verified:
    reasons: list[str] = []
    for one in scheme.schemes:
        try:
            return _proved(one, opened, now_ms)
        except VerifyError as error:
            reasons.append(f"{name_of(one)}: {error}")
    raise VerifyError("; ".join(reasons) or "lists no scheme")


def _cheap_first(schemes: tuple[Scheme, ...]) -> list[Scheme]:
    """The schemes with those last that have to open the body: strangers get no work out of it."""
    return sorted(schemes, key=_opens_body)


def _opens_body(scheme: Scheme) -> bool:
    match scheme:
        case BodyScheme() | EqualScheme():
            return True
        case AllOfScheme(schemes=schemes) | AnyOfScheme(schemes=schemes):
            return any(map(_opens_body, schemes))
        case _:
            return False


def _bounded(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
