"""From an entry of ``receive.verify`` to the scheme that the receive stage takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.map.secrets import SecretMissingError, TakeSecret
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BasicScheme,
    BearerScheme,
    BodyScheme,
    Decoder,
    EqualScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    NoneScheme,
    PathScheme,
    Place,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    StandardWebhooksScheme,
)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a scheme has to know of the rest of the file."""

    has_v3: bool
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of ``verify``. ``build`` makes the scheme once the secrets are at hand."""

    name: str
    given: Mapping[str, Any]
    optional: bool
    parts: tuple[Entry, ...] = ()

    def build(self, take: TakeSecret, beside: Beside) -> Scheme:
        """The scheme. Errors: ``SecretMissingError``."""
        if self.name == "all_of":
            return AllOfScheme(tuple(part.build(take, beside) for part in self.parts))
        if self.name == "any_of":
            return AnyOfScheme(self._alternatives(take, beside))
        return _BUILD[self.name](self.given, take, beside)

    def _alternatives(self, take: TakeSecret, beside: Beside) -> tuple[Scheme, ...]:
        built: list[Scheme] = []
        lacking: list[str] = []
        for part in self.parts:
            try:
                built.append(part.build(take, beside))
            except SecretMissingError as error:
                if not part.optional:
                    raise
                lacking.append(str(error))
        if not built and lacking:
            raise SecretMissingError(_any_of(lacking))
        return tuple(built)

    def uses(self, name: str) -> bool:
        """Whether this entry, or one inside it, is of that scheme."""
        return self.name == name or any(part.uses(name) for part in self.parts)

    @property
    def places(self) -> tuple[Place, ...]:
        """The places in the body that this entry, or one inside it, looks at."""
        mine = [self.given.get(key) for key in ("at", "body")]
        below = (place for part in self.parts for place in part.places)
        return (*(place for place in mine if place), *below)

    @property
    def proves(self) -> bool:
        """Whether passing it takes knowledge of a secret."""
        if self.name == "all_of":
            return any(part.proves for part in self.parts)
        if self.name == "any_of":
            return all(part.proves for part in self.parts)
        return self.name not in ("equals", "none")


def _hubspot(version: Any) -> Callable[[Mapping[str, Any], TakeSecret, Beside], Scheme]:
    def build(given: Mapping[str, Any], take: TakeSecret, beside: Beside) -> Scheme:
        return HubSpotScheme(
            version,
            take(given["secret"]),
            given.get("tolerance") or 300,
            yields_to_v3=beside.has_v3 and version != "v3",
        )

    return build


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _hmac(given: Mapping[str, Any], take: TakeSecret, beside: Beside) -> Scheme:
    del beside
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
        timestamp_header=_text(time.get("header")),
        timestamp_part=_text(time.get("part")),
        timestamp_format=time.get("format", "unix_s"),
        tolerance_s=time.get("tolerance", 300),
        body_hash=_text(given["body_hash"]),
        query=_text(given["query"]),
        separator=_text(given["separator"]),
        pattern=_text(given["pattern"]),
    )


def _public_key(given: Mapping[str, Any], take: TakeSecret, beside: Beside) -> Scheme:
    del take, beside
    time = given["timestamp"] or {}
    return PublicKeyScheme(
        given["algorithm"],
        given["keys"],
        str(given["header"]),
        absent=given["absent"],
        encoding=given["encoding"],
        prefix=str(given["prefix"]),
        signed=given["signed"],
        timestamp_header=_text(time.get("header")),
        timestamp_format=time.get("format", "unix_s"),
        tolerance_s=time.get("tolerance", 300),
    )


def _equals(given: Mapping[str, Any], take: TakeSecret, beside: Beside) -> Scheme:
    del take
    return EqualScheme(
        beside.decoder,
        body=given["body"],
        header=_text(given["header"]),
        query=_text(given["query"]),
        values=tuple(str(value) for value in given["value"] or ()),
        length=given["length"],
    )


_BUILD: Mapping[str, Callable[[Mapping[str, Any], TakeSecret, Beside], Scheme]] = {
    "hubspot_v1": _hubspot("v1"),
    "hubspot_v2": _hubspot("v2"),
    "hubspot_v3": _hubspot("v3"),
    "ghl_ed25519": lambda g, _t, _b: PublicKeyScheme("ed25519", g["keys"], "X-GHL-Signature"),
    "ghl_rsa": lambda g, _t, _b: PublicKeyScheme(
        "rsa_sha256", g["keys"], "X-WH-Signature", yields_to="X-GHL-Signature"
    ),
    "public_key": _public_key,
    "hmac": _hmac,
    "standard_webhooks": lambda g, t, _b: StandardWebhooksScheme(
        t(g["secret"]), g["headers"], g["tolerance"]
    ),
    "jwt": lambda g, t, _b: JwtScheme(
        t(g["secret"]), str(g["header"]), _text(g["audience"]), g["leeway"]
    ),
    "bearer": lambda g, t, _b: BearerScheme(t(g["token"])),
    "basic": lambda g, t, _b: BasicScheme(str(g["user"]), t(g["password"])),
    "header": lambda g, t, _b: HeaderScheme(str(g["name"]), t(g["token"])),
    "query": lambda g, t, _b: QueryScheme(str(g["name"]), t(g["token"])),
    "path": lambda g, t, _b: PathScheme(t(g["token"])),
    "body": lambda g, t, b: BodyScheme(g["at"], t(g["token"]), b.decoder),
    "equals": _equals,
    "none": lambda g, _t, _b: NoneScheme(g["why"]),
}


def _any_of(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def build_schemes(
    entries: Iterable[Entry], take: TakeSecret, decoder: Decoder = Decoder.JSON
) -> tuple[tuple[Scheme, ...], tuple[str, ...]]:
    """The schemes that have their secrets, and the settings that have no value.

    An optional entry without its secret is left out; when none remains, one of those that were
    left out is missing: ``A or B``. ``decoder``: that of the source, for schemes
    that look into the body.
    """
    entries = tuple(entries)
    beside = Beside(any(entry.uses("hubspot_v3") for entry in entries), decoder)
    schemes: list[Scheme] = []
    missing: list[str] = []
    left_out: list[str] = []
    for entry in entries:
        try:
            schemes.append(entry.build(take, beside))
        except SecretMissingError as lacking:
            (left_out if entry.optional else missing).append(str(lacking))
    if not schemes and not missing and left_out:
        missing = [_any_of(left_out)]
    return tuple(schemes), tuple(dict.fromkeys(missing))
