"""``receive.verify``: the schemes as they are written, and as the receive stage takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from marshmallow import ValidationError

from bridge.map.kinds import (
    Definitions,
    Fault,
    Flag,
    Kind,
    Number,
    SecretRef,
    Text,
    Word,
    about,
    faulty,
    kind_of,
)
from bridge.map.nearest import advice
from bridge.map.parts import Many, Part
from bridge.map.place_kind import HeaderName, OneOrMore, PlaceKind
from bridge.map.signed_kind import (
    Faults,
    Pattern,
    PemKey,
    hmac_check,
    signed_check,
    signed_parts,
    timestamp_part,
    tolerance,
)
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
    Json,
    JwtScheme,
    NoneScheme,
    PathScheme,
    Place,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    Secret,
    StandardWebhooksScheme,
)

TakeSecret: TypeAlias = Callable[[tuple[str, ...]], Secret]
"""The secret behind names of settings. Errors: ``SecretMissingError``."""


class SecretMissingError(LookupError):
    """A secret has no value; the text is the setting's name, or those of which one is enough."""


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


def _secret() -> SecretRef:
    return SecretRef(
        required=True,
        example='secret: "${NAME_OF_THE_SETTING}"',
        metadata=about("The setting that holds the secret; a list where several are live."),
    )


def _token() -> SecretRef:
    return SecretRef(
        required=True,
        example='token: "${NAME_OF_THE_SETTING}"',
        metadata=about("The setting that holds the fixed value; a list where several are live."),
    )


def _keys() -> Many:
    return Many(
        PemKey(),
        required=True,
        example="keys: and below it the PEM text of each key",
        metadata=about(
            "The sender's public keys, as PEM texts; an Ed25519 key also as 64 hexadecimal digits."
        ),
    )


def _equals_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    del loaded
    sides = [key for key in ("body", "header", "query") if key in written]
    if len(sides) != (1 if "value" in written else 2):
        yield (
            None,
            Fault(
                "two-sides",
                "must compare two things.",
                'Write {body: AccountSid, value: "${NAME}"}, or two of body, header and query.',
            ),
        )


_SHAPES: Mapping[str, Part] = {
    "hubspot_v1": Part(
        {"secret": _secret()}, metadata=about("HubSpot's request signature, version 1.")
    ),
    "hubspot_v2": Part(
        {"secret": _secret()},
        metadata=about("HubSpot's request signature, version 2; needs BRIDGE_PUBLIC_URL."),
    ),
    "hubspot_v3": Part(
        {"secret": _secret(), "tolerance": tolerance(86_400, nullable=False)},
        metadata=about(
            "HubSpot's request signature, version 3; needs BRIDGE_PUBLIC_URL. A request "
            "that carries it is judged by it alone."
        ),
    ),
    "ghl_ed25519": Part({"keys": _keys()}, metadata=about("HighLevel's current signature.")),
    "ghl_rsa": Part(
        {"keys": _keys()},
        metadata=about(
            "HighLevel's older signature; steps back where the request has the current one."
        ),
    ),
    "public_key": Part(
        {
            "algorithm": Word(
                ("ed25519", "rsa_sha256", "ecdsa_sha256"),
                required=True,
                example="algorithm: ed25519",
                metadata=about(
                    "The kind of key; RSA is PKCS#1 v1.5, an ECDSA signature may be DER "
                    "or the two numbers side by side."
                ),
            ),
            "keys": _keys(),
            "header": HeaderName(
                required=True,
                example="header: X-Signature",
                metadata=about("The header that holds the signature."),
            ),
            "encoding": Word(
                ("base64", "hex"), default="base64", metadata=about("How the signature is written.")
            ),
            "prefix": Text(default="", metadata=about("Text in front of the signature.")),
            "signed": signed_parts(),
            "timestamp": timestamp_part(header_only=True),
            "absent": Many(
                Text(),
                default=("N/A",),
                metadata=about("Values of the header that mean: no signature."),
            ),
        },
        signed_check,
        metadata=about("A signature that the sender's public key verifies."),
    ),
    "hmac": Part(
        {
            "secret": _secret(),
            "header": HeaderName(
                default="",
                example="header: X-Signature",
                metadata=about("The header that holds the signature."),
            ),
            "query": Text(metadata=about("Instead of header: the query parameter that holds it.")),
            "algorithm": Word(
                ("sha1", "sha256", "sha512"), default="sha256", metadata=about("The hash.")
            ),
            "key": Word(
                ("text", "hex", "base64", "whsec"),
                default="text",
                metadata=about("What the secret is as text; whsec is base64 after whsec_."),
            ),
            "encoding": Word(
                ("hex", "base64", "base64url", "raw"),
                default="hex",
                metadata=about("How the signature is written; raw only inside style wrapped."),
            ),
            "prefix": Text(default="", metadata=about("Text in front of the signature.")),
            "style": Word(
                ("alone", "parts", "items", "wrapped", "pattern"),
                default="alone",
                metadata=about(
                    "How the header is written: the signature alone; parts t=…,v1=…; "
                    "items v1,… v1,…; wrapped, base64 around id:signature; a pattern."
                ),
            ),
            "part": Text(
                default="v1", metadata=about("The name of the signature among parts or items.")
            ),
            "separator": Text(
                metadata=about("What stands between parts (a comma) or items (a blank)."),
                example='separator: ";"',
            ),
            "pattern": Pattern(
                metadata=about("Literal text with {signature} once, and other names in braces."),
                example='pattern: "t={timestamp};h={signature}"',
            ),
            "signed": signed_parts(),
            "timestamp": timestamp_part(),
            "body_hash": Text(
                metadata=about(
                    "The query parameter that holds the SHA-256 of the body in hexadecimal "
                    "digits, where only the URL is signed."
                ),
                example="body_hash: bodySHA256",
            ),
        },
        hmac_check,
        metadata=about("An HMAC by parameters."),
    ),
    "standard_webhooks": Part(
        {
            "secret": _secret(),
            "tolerance": tolerance(86_400, nullable=False),
            "headers": Word(
                ("webhook", "svix"),
                default="webhook",
                metadata=about("What the names of the three headers begin with."),
            ),
        },
        metadata=about("Standard Webhooks; the secret begins with whsec_ or whpk_."),
    ),
    "jwt": Part(
        {
            "secret": _secret(),
            "header": HeaderName(
                default="Authorization",
                metadata=about(
                    "The header that holds the token, with or without Bearer before it."
                ),
            ),
            "audience": Text(
                metadata=about(
                    "What the claim aud must be; left out: the public URL that was called."
                ),
                example='audience: "https://bridge.example.com/hooks/monday"',
            ),
            "leeway": Number(
                0,
                3600,
                whole=True,
                default=30,
                metadata=about("Seconds by which the two clocks may differ."),
            ),
        },
        metadata=about(
            "A JSON Web Token, HS256 only, with aud and exp. It does not cover the body."
        ),
    ),
    "bearer": Part({"token": _token()}, metadata=about("Authorization: Bearer and a fixed token.")),
    "basic": Part(
        {
            "user": Text(
                required=True, example="user: crm", metadata=about("The name; it holds no colon.")
            ),
            "password": SecretRef(
                required=True,
                example='password: "${NAME_OF_THE_SETTING}"',
                metadata=about("The setting that holds the password."),
            ),
        },
        metadata=about("HTTP Basic."),
    ),
    "header": Part(
        {
            "name": HeaderName(
                required=True, example="name: X-Token", metadata=about("The header's name.")
            ),
            "token": _token(),
        },
        metadata=about("A header with a fixed secret value."),
    ),
    "query": Part(
        {
            "name": Text(
                required=True, example="name: token", metadata=about("The parameter's name.")
            ),
            "token": _token(),
        },
        metadata=about("A query parameter with a fixed secret value."),
    ),
    "path": Part(
        {"token": _token()}, metadata=about("A secret in the URL: /hooks/<source>/<token>.")
    ),
    "body": Part(
        {
            "at": PlaceKind(
                required=True, example="at: token", metadata=about("The place in the decoded body.")
            ),
            "token": _token(),
        },
        metadata=about("A fixed secret value in the body; it is never stored."),
    ),
    "equals": Part(
        {
            "body": PlaceKind(
                metadata=about("A place in the decoded body; in a list, every item must fit.")
            ),
            "header": HeaderName(metadata=about("A header.")),
            "query": Text(metadata=about("A query parameter.")),
            "value": OneOrMore(
                Text(),
                metadata=about("What it must be: a text, or a list of which one must fit."),
                example='value: "${NAME_OF_THE_SETTING}"',
            ),
            "length": Number(
                1, 200, whole=True, metadata=about("Compare only so many first characters.")
            ),
        },
        _equals_check,
        metadata=about(
            "Whether the request is for this tenant: a part of it is equal to a value, or "
            "to another part. Only inside all_of, beside something that proves the sender."
        ),
    ),
}
LISTS = ("all_of", "any_of")
SCHEMES = (*_SHAPES, "none", *LISTS)
NONE_REASON = Text(
    example='none: "the CRM can set nothing but a URL"',
    metadata=about(
        "Why the sender signs nothing; only inside all_of, beside path.",
        "the CRM can set nothing but a URL",
    ),
)


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


class SchemeKind(Kind):
    """One entry of ``verify``, ``all_of`` or ``any_of``; ``inside`` says of which list."""

    what = "a scheme"
    definition = "scheme"

    def __init__(self, inside: str = "verify", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inside = inside

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
        if optional and self.inside == "all_of":
            fault = Fault(
                "optional-part",
                "cannot be optional: all of these must pass.",
                "Make the whole all_of optional, or put any_of around it.",
            )
            raise ValidationError({"optional": list[Any]([fault])})
        try:
            return self._entry(name, value[name], optional)
        except ValidationError as error:
            raise ValidationError({name: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        shapes: dict[str, Kind] = {
            **_SHAPES,
            "none": NONE_REASON,
            **{name: Many(SchemeKind(name)) for name in LISTS},
        }
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

    def _entry(self, name: str, value: Json, optional: bool) -> Entry:
        if name in LISTS:
            entry = Entry(name, {}, optional, Many(SchemeKind(name)).read(value))
            if name == "all_of" and not entry.proves:
                raise _proves_nothing("all of this together")
            if entry.name == "all_of":
                self._none_has_path(entry)
            return entry
        if name == "none":
            entry = Entry(name, {"why": str(NONE_REASON.read(value))}, optional)
        else:
            entry = Entry(name, _SHAPES[name].read(value), optional)
        if self.inside != "all_of" and not entry.proves:
            raise _proves_nothing(f"`{name}`")
        return entry

    def _none_has_path(self, entry: Entry) -> None:
        names = [part.name for part in entry.parts]
        if "none" in names and "path" not in names:
            raise faulty(
                "none-without-path",
                "says that the sender signs nothing, and has no secret in the URL.",
                'Add - path: {token: "${NAME_OF_THE_SETTING}"}.',
            )


def _proves_nothing(what: str) -> ValidationError:
    return faulty(
        "proves-nothing",
        f"is not enough: {what} takes no secret, so anyone can pass.",
        'Put it into all_of, beside - path: {token: "${NAME_OF_THE_SETTING}"}.',
    )


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
