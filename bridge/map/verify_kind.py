"""``receive.verify``: the schemes as they are written, and as the receive stage takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from marshmallow import ValidationError

from bridge.map.kinds import (
    Definitions,
    Fault,
    Flag,
    Kind,
    Many,
    Number,
    Part,
    SecretRef,
    Text,
    Word,
    faulty,
    kind_of,
)
from bridge.map.nearest import advice
from bridge.map.substitution import missing_in
from bridge.model import (
    AllOfScheme,
    BasicScheme,
    BearerScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    Json,
    PathScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    Secret,
    StandardWebhooksScheme,
)

TakeSecret: TypeAlias = Callable[[tuple[str, ...]], Secret]
"""The secret behind names of settings. Errors: ``SecretMissingError``."""

_SIGNED = ("body", "body_base64", "timestamp", "url", "method", "form", "header:<name>", "text:<…>")


class SecretMissingError(LookupError):
    """A secret has no value; the text is the setting's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of ``verify``. ``build`` makes the scheme once the secrets are at hand."""

    name: str
    given: Mapping[str, Any]
    optional: bool
    parts: tuple[Entry, ...] = ()

    def build(self, take: TakeSecret, has_v3: bool) -> Scheme:
        """The scheme. Errors: ``SecretMissingError``."""
        if self.name == "all_of":
            return AllOfScheme(tuple(part.build(take, has_v3) for part in self.parts))
        return _BUILD[self.name](self.given, take, has_v3)

    def uses(self, name: str) -> bool:
        """Whether this entry, or one inside it, is of that scheme."""
        return self.name == name or any(part.uses(name) for part in self.parts)


_RAW_KEY = re.compile(r"[0-9A-Fa-f]{64}")
"""An Ed25519 key as 32 bytes in hexadecimal digits."""


class _Pem(Text):
    def read(self, value: Json) -> Any:
        text = str(super().read(value)).strip()
        if missing_in(value):
            return text
        if "PRIVATE KEY" in text:
            raise faulty("private-key", "is a private key.", "Put the sender's public key here.")
        if not _RAW_KEY.fullmatch(text) and not (
            text.startswith("-----BEGIN PUBLIC KEY-----")
            and text.endswith("-----END PUBLIC KEY-----")
        ):
            raise faulty(
                "bad-key-text",
                "is neither a PEM public key nor 64 hexadecimal digits.",
                "Write it below `|`, with its BEGIN PUBLIC KEY and END PUBLIC KEY lines.",
            )
        return text


class _Signed(Text):
    def read(self, value: Json) -> Any:
        text = str(super().read(value))
        head, colon, rest = text.partition(":")
        if (colon and head in ("header", "text") and rest) or text in _SIGNED[:6]:
            return text
        raise faulty("unknown-word", "is no part that can be signed.", advice(text, _SIGNED))


def _timestamp_check(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del loaded
    if ("header" in written) == ("part" in written):
        yield (
            None,
            Fault("timestamp-place", "must name a header or a part.", "Write header: <name>."),
        )


def _hmac_check(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    if "timestamp" in (loaded.get("signed") or ()) and "timestamp" not in written:
        yield (
            "signed",
            Fault(
                "timestamp-missing",
                "signs a timestamp, and none is declared.",
                "Add timestamp: {header: <name>}.",
            ),
        )


def _secret() -> SecretRef:
    return SecretRef(required=True, example='secret: "${NAME_OF_THE_SETTING}"')


def _token() -> SecretRef:
    return SecretRef(required=True, example='token: "${NAME_OF_THE_SETTING}"')


def _keys() -> Many:
    return Many(_Pem(), required=True, example="keys: and below it the PEM text of each key")


_SHAPES: Mapping[str, Part] = {
    "hubspot_v1": Part({"secret": _secret()}),
    "hubspot_v2": Part({"secret": _secret()}),
    "hubspot_v3": Part(
        {"secret": _secret(), "tolerance": Number(1, 86_400, whole=True, default=300)}
    ),
    "ghl_ed25519": Part({"keys": _keys()}),
    "ghl_rsa": Part({"keys": _keys()}),
    "public_key": Part(
        {
            "algorithm": Word(
                ("ed25519", "rsa_sha256"), required=True, example="algorithm: ed25519"
            ),
            "keys": _keys(),
            "header": Text(required=True, example="header: X-Signature"),
            "absent": Many(Text(), default=("N/A",)),
        }
    ),
    "hmac": Part(
        {
            "secret": _secret(),
            "header": Text(required=True, example="header: X-Signature"),
            "algorithm": Word(("sha1", "sha256", "sha512"), default="sha256"),
            "key": Word(("text", "hex", "base64", "whsec"), default="text"),
            "encoding": Word(("hex", "base64"), default="hex"),
            "prefix": Text(default=""),
            "style": Word(("alone", "parts", "items", "wrapped"), default="alone"),
            "part": Text(default="v1"),
            "signed": Many(_Signed(), default=("body",)),
            "timestamp": Part(
                {
                    "header": Text(),
                    "part": Text(),
                    "format": Word(("unix_s", "unix_ms", "iso", "http_date"), default="unix_s"),
                    "tolerance": Number(1, 2_592_000, whole=True, default=300, nullable=True),
                },
                _timestamp_check,
            ),
        },
        _hmac_check,
    ),
    "standard_webhooks": Part(
        {
            "secret": _secret(),
            "tolerance": Number(1, 86_400, whole=True, default=300),
            "headers": Word(("webhook", "svix"), default="webhook"),
        }
    ),
    "bearer": Part({"token": _token()}),
    "basic": Part(
        {
            "user": Text(required=True, example="user: crm"),
            "password": SecretRef(required=True, example='password: "${NAME_OF_THE_SETTING}"'),
        }
    ),
    "header": Part({"name": Text(required=True, example="name: X-Token"), "token": _token()}),
    "query": Part({"name": Text(required=True, example="name: token"), "token": _token()}),
    "path": Part({"token": _token()}),
}
SCHEMES = (*_SHAPES, "all_of")


def _hubspot(version: Any) -> Callable[[Mapping[str, Any], TakeSecret, bool], Scheme]:
    def build(given: Mapping[str, Any], take: TakeSecret, has_v3: bool) -> Scheme:
        return HubSpotScheme(
            version,
            take(given["secret"]),
            given.get("tolerance") or 300,
            yields_to_v3=has_v3 and version != "v3",
        )

    return build


def _hmac(given: Mapping[str, Any], take: TakeSecret, has_v3: bool) -> Scheme:
    del has_v3
    time = given["timestamp"] or {}
    return HmacScheme(
        take(given["secret"]),
        str(given["header"]),
        algorithm=given["algorithm"],
        key=given["key"],
        encoding=given["encoding"],
        prefix=str(given["prefix"]),
        style=given["style"],
        part=str(given["part"]),
        signed=given["signed"],
        timestamp_header=time.get("header"),
        timestamp_part=time.get("part"),
        timestamp_format=time.get("format", "unix_s"),
        tolerance_s=time.get("tolerance", 300),
    )


_BUILD: Mapping[str, Callable[[Mapping[str, Any], TakeSecret, bool], Scheme]] = {
    "hubspot_v1": _hubspot("v1"),
    "hubspot_v2": _hubspot("v2"),
    "hubspot_v3": _hubspot("v3"),
    "ghl_ed25519": lambda g, _t, _v: PublicKeyScheme("ed25519", g["keys"], "X-GHL-Signature"),
    "ghl_rsa": lambda g, _t, _v: PublicKeyScheme(
        "rsa_sha256", g["keys"], "X-WH-Signature", yields_to="X-GHL-Signature"
    ),
    "public_key": lambda g, _t, _v: PublicKeyScheme(
        g["algorithm"], g["keys"], str(g["header"]), absent=g["absent"]
    ),
    "hmac": _hmac,
    "standard_webhooks": lambda g, t, _v: StandardWebhooksScheme(
        t(g["secret"]), g["headers"], g["tolerance"]
    ),
    "bearer": lambda g, t, _v: BearerScheme(t(g["token"])),
    "basic": lambda g, t, _v: BasicScheme(str(g["user"]), t(g["password"])),
    "header": lambda g, t, _v: HeaderScheme(str(g["name"]), t(g["token"])),
    "query": lambda g, t, _v: QueryScheme(str(g["name"]), t(g["token"])),
    "path": lambda g, t, _v: PathScheme(t(g["token"])),
}


class SchemeKind(Kind):
    """One entry of ``verify`` or of ``all_of``."""

    what = "a scheme"
    definition = "scheme"

    def read(self, value: Json) -> Any:
        """The entry."""
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be a scheme with its parameters, not {kind_of(value)}.",
                'Write - bearer: {token: "${NAME_OF_THE_SETTING}"}.',
            )
        try:
            optional: bool = Flag().read(value.get("optional", False))
        except ValidationError as error:
            raise ValidationError({"optional": error.messages}) from None
        names = [key for key in value if key != "optional"]
        if len(names) != 1:
            raise faulty(
                "one-scheme",
                "must name one scheme.",
                f"Write one of: {', '.join(SCHEMES)}; the next one after its own `- `.",
            )
        name = names[0]
        if name not in SCHEMES:
            fault = Fault("unknown-scheme", f"`{name[:60]}` is no scheme.", advice(name, SCHEMES))
            raise ValidationError({name: list[Any]([fault])})
        try:
            if name == "all_of":
                parts = Many(SchemeKind()).read(value[name])
                return Entry(name, {}, optional, parts)
            return Entry(name, _SHAPES[name].read(value[name]), optional)
        except ValidationError as error:
            raise ValidationError({name: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        shapes: dict[str, Kind] = {**_SHAPES, "all_of": Many(SchemeKind())}
        return {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        name: kind.below(definitions),
                        "optional": Flag().below(definitions),
                    },
                    "required": [name],
                    "additionalProperties": False,
                }
                for name, kind in shapes.items()
            ]
        }


def build_schemes(
    entries: Iterable[Entry], take: TakeSecret
) -> tuple[tuple[Scheme, ...], tuple[str, ...]]:
    """The schemes that have their secrets, and the settings that have no value.

    An optional entry without its secret is left out; when none remains, all that were left out
    are missing.
    """
    entries = tuple(entries)
    has_v3 = any(entry.uses("hubspot_v3") for entry in entries)
    schemes: list[Scheme] = []
    missing: list[str] = []
    left_out: list[str] = []
    for entry in entries:
        try:
            schemes.append(entry.build(take, has_v3))
        except SecretMissingError as lacking:
            (left_out if entry.optional else missing).append(str(lacking))
    if not schemes and not missing:
        missing = left_out
    return tuple(schemes), tuple(dict.fromkeys(missing))
