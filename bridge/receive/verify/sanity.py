"""What is wrong with the parameters of a scheme, said when the bridge starts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.header_pattern import pattern_problem
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BasicScheme,
    EqualScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    NoneScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    Secret,
    StandardWebhooksScheme,
)
from bridge.receive.verify.asymmetric import public_key
from bridge.receive.verify.keys import WHPK, WHSEC, KeyForm, key_of
from bridge.receive.verify.naming import name_of
from bridge.receive.verify.signed_text import COVER_BODY, GROUP, HEADER, PARTS, TEXT

# RFC 9110, section 5.6.2: what a header name is made of.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


def check_scheme(scheme: Scheme) -> str | None:
    """What is wrong with a scheme's parameters and key material, or None.

    The text names the scheme, the parameter or the secret, and never shows a value.
    """
    problems = "; ".join(_problems(scheme))
    return f"{name_of(scheme)}: {problems}" if problems else None


def _problems(scheme: Scheme) -> Iterator[str]:
    match scheme:
        case HubSpotScheme(secret=secret, tolerance_s=tolerance):
            yield from _secret(secret)
            yield from _tolerance(tolerance)
        case HmacScheme():
            yield from _hmac(scheme)
        case PublicKeyScheme():
            yield from _public_key(scheme)
        case StandardWebhooksScheme():
            yield from _standard_webhooks(scheme)
        case AllOfScheme(schemes=schemes) | AnyOfScheme(schemes=schemes):
            if not schemes:
                yield "lists no scheme: name at least one"
            for problem in map(check_scheme, schemes):
                if problem:
                    yield problem
        case _:
            yield from _credential(scheme)


def _credential(scheme: Scheme) -> Iterator[str]:
    match scheme:
        case BasicScheme(user=user, password=secret):
            if not user or ":" in user:
                yield "user must not be empty or hold a colon"
            yield from _secret(secret)
        case HeaderScheme(name=name, token=secret):
            yield from _header(name)
            yield from _secret(secret)
        case JwtScheme(secret=secret, header=name):
            yield from _secret(secret)
            yield from _header(name)
        case EqualScheme() | NoneScheme():
            pass
        case QueryScheme(name=name, token=secret):
            if not name:
                yield "name is empty: name the query parameter"
            yield from _secret(secret)
        case _:
            yield from _secret(getattr(scheme, "token", Secret("token", ())))


def _secret(secret: Secret, form: KeyForm = "text") -> Iterator[str]:
    if not secret.values:
        yield f"the secret {secret.name} has no value"
    for value in secret.values:
        try:
            key_of(value, form)
        except ValueError as error:
            yield f"the secret {secret.name} {error}"


def _tolerance(seconds: int | None) -> Iterator[str]:
    if seconds is not None and seconds <= 0:
        yield "the tolerance must be a number of seconds above 0"


def _header(name: str) -> Iterator[str]:
    if not _HEADER_NAME.fullmatch(name):
        yield "a header name is empty or holds characters that no header name may hold"


def _public_key(scheme: PublicKeyScheme) -> Iterator[str]:
    yield from _header(scheme.header)
    if not scheme.keys:
        yield "keys is empty: paste the sender's public key"
    for number, key in enumerate(scheme.keys, 1):
        try:
            public_key(scheme.algorithm, key)
        except ValueError as error:
            yield f"key {number} {error}"


def _standard_webhooks(scheme: StandardWebhooksScheme) -> Iterator[str]:
    yield from _tolerance(scheme.tolerance_s)
    for value in scheme.secret.values:
        try:
            if value.startswith(WHPK):
                public_key("ed25519", value.removeprefix(WHPK))
            elif value.startswith(WHSEC):
                key_of(value, "whsec")
            else:
                yield f"the secret {scheme.secret.name} begins with neither {WHSEC} nor {WHPK}"
        except ValueError as error:
            yield f"the secret {scheme.secret.name} {error}"
    if not scheme.secret.values:
        yield f"the secret {scheme.secret.name} has no value"


def _hmac(scheme: HmacScheme) -> Iterator[str]:
    yield from _secret(scheme.secret, scheme.key)
    if scheme.query is None or scheme.header:
        yield from _header(scheme.header)
    if scheme.style == "pattern" and (wrong := pattern_problem(scheme.pattern or "")):
        yield f"the pattern {wrong}"
    yield from _tolerance(scheme.tolerance_s)
    if scheme.encoding == "raw" and scheme.style != "wrapped":
        yield "encoding raw is possible only with style wrapped"
    if scheme.style in ("parts", "items") and not scheme.part:
        yield f"style {scheme.style} needs part, the name of the signature"
    yield from _hmac_signed(scheme)
    yield from _hmac_timestamp(scheme)


def _hmac_signed(scheme: HmacScheme) -> Iterator[str]:
    for part in scheme.signed:
        if part.startswith(HEADER):
            yield from _header(part.removeprefix(HEADER))
        elif part not in PARTS and not part.startswith((TEXT, GROUP)):
            yield (
                f"signed holds the unknown part {part[:40]!r}: use {', '.join(PARTS)}, "
                f"{HEADER}<name> or {TEXT}<literal>"
            )
    if scheme.body_hash is not None:
        if "url" not in scheme.signed:
            yield "body_hash stands in the URL, so signed must hold url"
    elif not COVER_BODY & set(scheme.signed):
        yield "signed must hold body, body_base64 or form, else anyone could change the body"


def _hmac_timestamp(scheme: HmacScheme) -> Iterator[str]:
    header, part = scheme.timestamp_header, scheme.timestamp_part
    if header is not None:
        yield from _header(header)
    if header is not None and part is not None:
        yield "the timestamp comes from a header or a part, not both"
    if part is not None and scheme.style not in ("parts", "pattern"):
        yield "a timestamp part needs style parts or pattern"
    if part is not None and scheme.style == "parts" and scheme.timestamp_format == "http_date":
        yield "an HTTP date holds a comma, which parts are cut at: it cannot stand in a part"
    signs_time = "timestamp" in scheme.signed or (
        header is not None and any(p.lower() == f"{HEADER}{header}".lower() for p in scheme.signed)
    )
    if header is None and part is None:
        if signs_time:
            yield "signed holds timestamp, so say in timestamp which header or part has it"
    elif scheme.tolerance_s is not None and not signs_time:
        yield "the timestamp is checked but not signed, so anyone could renew it"
