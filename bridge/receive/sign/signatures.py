"""Add a signature over the request, by the same formulas that verify it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from bridge.errors import VerifyError
from bridge.model import (
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    PublicKeyScheme,
    StandardWebhooksScheme,
)
from bridge.receive.sign.credentials import usable
from bridge.receive.sign.draft import Draft
from bridge.receive.verify import hubspot
from bridge.receive.verify.asymmetric import Algorithm, sign_message
from bridge.receive.verify.freshness import write_time
from bridge.receive.verify.keys import WHPK, live_keys
from bridge.receive.verify.signature_header import groups_written, write_offered
from bridge.receive.verify.signed_text import Material, signed_texts
from bridge.receive.verify.standard_webhooks import standard_message, v1_signature
from bridge.receive.verify.token import new_token


def add_hubspot(scheme: HubSpotScheme, draft: Draft) -> Draft:
    """Sign as HubSpot does, by the version that the scheme names."""
    key = live_keys(scheme.secret)[0]
    if scheme.version == "v3":
        timestamp = write_time(draft.now_ms, "unix_ms")
        url = hubspot.url_readings(draft.url)[0]
        good = hubspot.v3_signature(key, draft.method, url, draft.body, timestamp)
        timed = draft.with_header(hubspot.TIMESTAMP, timestamp)
        return timed.with_header(hubspot.SIGNATURE_V3, draft.made(good).decode())
    good = hubspot.plain_signature(scheme.version, key, draft.method, draft.url, draft.body)
    named = draft.with_header(hubspot.VERSION, scheme.version)
    return named.with_header(hubspot.SIGNATURE, draft.made(good).decode())


def add_hmac(scheme: HmacScheme, draft: Draft) -> Draft:
    """Sign with an HMAC. Headers that are signed must be among those of the draft."""
    key = live_keys(scheme.secret, scheme.key)[0]
    timestamp = None
    if scheme.body_hash is not None:
        digest = hashlib.sha256(draft.body).hexdigest()
        draft = draft.with_parameter(scheme.body_hash, digest)
    if scheme.timestamp_header is not None or scheme.timestamp_part is not None:
        timestamp = write_time(draft.now_ms, scheme.timestamp_format)
    if scheme.timestamp_header is not None and timestamp is not None:
        draft = draft.with_header(scheme.timestamp_header, timestamp)
    groups = groups_written(scheme)
    material = Material(draft.method, draft.url, draft.body, timestamp, draft.header, groups)
    text = signed_texts(scheme.signed, material)[0]
    good = draft.made(hmac.digest(key, text, scheme.algorithm))
    written = write_offered(scheme, good, timestamp)
    if scheme.query is not None:
        return draft.with_parameter(scheme.query, written)
    return draft.with_header(scheme.header, written)


def add_public_key(scheme: PublicKeyScheme, draft: Draft) -> Draft:
    """Sign with the private key of the draft."""
    timestamp = None
    if scheme.timestamp_header is not None:
        timestamp = write_time(draft.now_ms, scheme.timestamp_format)
        draft = draft.with_header(scheme.timestamp_header, timestamp)
    material = Material(draft.method, draft.url, draft.body, timestamp, draft.header)
    message = signed_texts(scheme.signed, material)[0]
    good = draft.made(_signed_privately(scheme.algorithm, draft, message))
    text = good.hex() if scheme.encoding == "hex" else base64.b64encode(good).decode()
    return draft.with_header(scheme.header, scheme.prefix + text)


def add_jwt(scheme: JwtScheme, draft: Draft) -> Draft:
    """A token for the URL as it is called, without its query, or for the declared audience."""
    key = live_keys(scheme.secret)[0]
    audience = scheme.audience or draft.url.partition("?")[0]
    token = new_token(key + b"x" if draft.spoil else key, audience, draft.now_ms)
    return draft.with_header(scheme.header, token)


def add_standard_webhooks(scheme: StandardWebhooksScheme, draft: Draft) -> Draft:
    """Sign as Standard Webhooks says; a message id is made up unless the draft has one."""
    prefix = scheme.header_prefix
    secret = usable(scheme.secret)
    timestamp = write_time(draft.now_ms, "unix_s")
    try:
        identity = draft.header(f"{prefix}-id")
    except VerifyError:
        identity = f"msg_{secrets.token_hex(12)}"
    message = standard_message(identity, timestamp, draft.body)
    if secret.startswith(WHPK):
        signature = base64.b64encode(draft.made(_signed_privately("ed25519", draft, message)))
        item = f"v1a,{signature.decode()}"
    else:
        item = f"v1,{_v1(secret, scheme.secret.name, message + b'x' * draft.spoil)}"
    named = draft.with_header(f"{prefix}-id", identity)
    timed = named.with_header(f"{prefix}-timestamp", timestamp)
    return timed.with_header(f"{prefix}-signature", item)


def _v1(secret: str, name: str, message: bytes) -> str:
    try:
        return v1_signature(secret, message).decode()
    except ValueError as error:
        raise VerifyError(f"the secret {name} {error}") from None


def _signed_privately(algorithm: Algorithm, draft: Draft, message: bytes) -> bytes:
    if draft.private_key is None:
        raise VerifyError("needs the sender's private key: give a test key in PEM form (--key)")
    try:
        return sign_message(algorithm, draft.private_key, message)
    except ValueError as error:
        raise VerifyError(f"the private key {error}") from None
