"""Try the schemes of a source; one that passes is enough."""

from __future__ import annotations

from bridge.errors import VerifyError
from bridge.model import (
    AllOfScheme,
    HmacScheme,
    HubSpotScheme,
    PublicKeyScheme,
    Refused,
    Request,
    Scheme,
    StandardWebhooksScheme,
    Verified,
)
from bridge.receive.verify.credentials import prove_credential
from bridge.receive.verify.hubspot import prove_hubspot
from bridge.receive.verify.mac import prove_hmac
from bridge.receive.verify.naming import name_of
from bridge.receive.verify.public_key import prove_public_key
from bridge.receive.verify.standard_webhooks import prove_standard_webhooks

LONGEST_REASON = 1000


def verify(schemes: tuple[Scheme, ...], request: Request, now_ms: int) -> Verified | Refused:
    """Judge a request by the schemes of its source. ``now_ms``: milliseconds since 1970 UTC.

    Never raises, whatever the request holds; no scheme at all refuses. The reason of a refusal
    names each scheme and why it did not pass (at most ``LONGEST_REASON`` characters), and holds
    neither a secret nor anything that the request carried as one.
    """
    if not schemes:
        return Refused("no scheme is configured, so nothing can be verified")
    reasons: list[str] = []
    for scheme in schemes:
        try:
            passed = _proved(scheme, request, now_ms)
        except VerifyError as error:
            reasons.append(f"{name_of(scheme)}: {error}")
        except Exception as error:  # noqa: BLE001 - a bug in a check refuses; it must not let in
            reasons.append(f"{name_of(scheme)}: could not be checked ({type(error).__name__})")
        else:
            return passed
    return Refused(_bounded("; ".join(reasons)))


def _proved(scheme: Scheme, request: Request, now_ms: int) -> Verified:
    match scheme:
        case HubSpotScheme():
            return prove_hubspot(scheme, request, now_ms)
        case HmacScheme():
            return prove_hmac(scheme, request, now_ms)
        case PublicKeyScheme():
            return prove_public_key(scheme, request)
        case StandardWebhooksScheme():
            return prove_standard_webhooks(scheme, request, now_ms)
        case AllOfScheme():
            return _proved_all(scheme, request, now_ms)
        case _:
            return prove_credential(scheme, request)


def _proved_all(scheme: AllOfScheme, request: Request, now_ms: int) -> Verified:
    if not scheme.schemes:
        raise VerifyError("lists no scheme")
    names: list[str] = []
    for one in scheme.schemes:
        try:
            names.append(_proved(one, request, now_ms).scheme)
        except VerifyError as error:
            raise VerifyError(f"{name_of(one)}: {error}") from None
    return Verified("+".join(names))


def _bounded(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
