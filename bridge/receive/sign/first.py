"""Sign a request by the first of a source's schemes that can be produced."""

from __future__ import annotations

from collections.abc import Mapping

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
    PathScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    StandardWebhooksScheme,
)
from bridge.receive.sign.credentials import add_credential
from bridge.receive.sign.draft import Draft, Signed
from bridge.receive.sign.in_body import add_equal, add_to_body
from bridge.receive.sign.signatures import (
    add_hmac,
    add_hubspot,
    add_jwt,
    add_public_key,
    add_standard_webhooks,
)
from bridge.receive.verify.any_of import SigningScheme
from bridge.receive.verify.credentials import CredentialScheme
from bridge.receive.verify.naming import name_of


def sign(
    schemes: tuple[Scheme, ...],
    *,
    method: str,
    url: str,
    body: bytes,
    now_ms: int,
    headers: Mapping[str, str],
    private_key: bytes | None = None,
    spoil: bool = False,
) -> Signed:
    """Sign a sample with the first live value of each secret.

    ``now_ms``: milliseconds since 1970 UTC, the time that is signed. ``url``: as the bridge is
    called, and as its public URL is configured. ``private_key``: PEM text of the key whose public
    half is configured, for schemes that verify with a public key; without it those are passed
    over. ``spoil``: every credential and signature comes out wrong.

    Errors: ``VerifyError`` that says for each scheme why it cannot be produced.
    """
    draft = Draft(method, url, body, now_ms, dict(headers), private_key, spoil)
    reasons: list[str] = []
    for scheme in schemes:
        try:
            done = _added(scheme, draft)
        except VerifyError as error:
            reasons.append(f"{name_of(scheme)}: {error}")
            continue
        except ValueError:
            reasons.append(f"{name_of(scheme)}: the URL cannot be read")
            continue
        return Signed(dict(done.headers), done.url, name_of(scheme), done.body)
    raise VerifyError("; ".join(reasons) or "the source has no scheme to sign by")


def _added(scheme: Scheme, draft: Draft) -> Draft:
    match scheme:
        case AllOfScheme():
            return _added_all(scheme, draft)
        case AnyOfScheme():
            return _added_one(scheme, draft)
        case BodyScheme():
            return add_to_body(scheme, draft)
        case EqualScheme():
            return add_equal(scheme, draft)
        case NoneScheme():
            return draft
        case _:
            return _signed(scheme, draft)


def _signed(scheme: SigningScheme | CredentialScheme, draft: Draft) -> Draft:
    match scheme:
        case HubSpotScheme():
            return add_hubspot(scheme, draft)
        case HmacScheme():
            return add_hmac(scheme, draft)
        case PublicKeyScheme():
            return add_public_key(scheme, draft)
        case StandardWebhooksScheme():
            return add_standard_webhooks(scheme, draft)
        case JwtScheme():
            return add_jwt(scheme, draft)
        case _:
            return add_credential(scheme, draft)


def _added_all(scheme: AllOfScheme, draft: Draft) -> Draft:
    if not scheme.schemes:
        raise VerifyError("lists no scheme")
    # What changes the URL comes first, then shared secrets, which a signature may cover.
    for one in sorted(scheme.schemes, key=_order):
        draft = _added(one, draft)
    return draft


def _added_one(scheme: AnyOfScheme, draft: Draft) -> Draft:
    reasons: list[str] = []
    for one in scheme.schemes:
        try:
            return _added(one, draft)
        except VerifyError as error:
            reasons.append(f"{name_of(one)}: {error}")
    raise VerifyError("; ".join(reasons) or "lists no scheme")


def _order(scheme: Scheme) -> int:
    match scheme:
        case PathScheme() | QueryScheme() | BodyScheme() | EqualScheme() | NoneScheme():
            return 0
        case HmacScheme(body_hash=str()):
            return 1
        case HmacScheme(query=str()):
            return 4
        case HmacScheme() | HubSpotScheme() | PublicKeyScheme() | StandardWebhooksScheme():
            return 3
        case JwtScheme():
            return 3
        case AllOfScheme(schemes=schemes) | AnyOfScheme(schemes=schemes):
            return max(map(_order, schemes), default=0)
        case _:
            return 2
