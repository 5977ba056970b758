"""The ways in which a source's requests are verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.model.document import Decoder, Place
from bridge.model.secret import Secret

TimeForm: TypeAlias = Literal["unix_s", "unix_ms", "iso", "http_date"]


@dataclass(frozen=True, slots=True)
class HubSpotScheme:
    """HubSpot's request signature; the three versions are documented on its validation page.

    ``yields_to_v3``: the source also declares v3, so a request that carries a v3 signature is
    judged by v3 alone and cannot be downgraded to this version.
    """

    version: Literal["v1", "v2", "v3"]
    secret: Secret
    tolerance_s: int = 300
    yields_to_v3: bool = False


@dataclass(frozen=True, slots=True)
class HmacScheme:
    """An HMAC by declared parameters.

    The signature comes in ``header``, or in the query parameter ``query`` (``header`` is then
    empty). ``style`` says how it is written there; ``separator`` parts the pieces of ``parts``
    (``,`` unless given) and ``items`` (a blank), ``pattern`` is that of the style ``pattern``: text
    with ``{signature}``, perhaps ``{timestamp}``, and any other name for what may be signed.

    ``signed`` is the sequence of parts that are joined and signed: ``body``, ``body_base64``,
    ``timestamp``, ``url``, ``method``, ``header:<name>``, ``group:<name of the pattern>``, ``form``
    (names and values of a form, sorted) or ``text:<literal>``. ``encoding`` ``raw`` (the bytes as
    they are) exists only inside ``wrapped``. ``body_hash`` names the query parameter that holds
    the SHA-256 of the body in hexadecimal digits, for senders that sign only the URL.
    """

    secret: Secret
    header: str
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    key: Literal["text", "hex", "base64", "whsec"] = "text"
    encoding: Literal["hex", "base64", "base64url", "raw"] = "hex"
    prefix: str = ""
    style: Literal["alone", "parts", "items", "wrapped", "pattern"] = "alone"
    part: str = "v1"
    signed: tuple[str, ...] = ("body",)
    timestamp_header: str | None = None
    timestamp_part: str | None = None
    timestamp_format: TimeForm = "unix_s"
    tolerance_s: int | None = 300
    body_hash: str | None = None
    query: str | None = None
    separator: str | None = None
    pattern: str | None = None

    @property
    def place(self) -> str:
        """Where the signature stands, for messages."""
        return f"the query parameter {self.query}" if self.query else f"the header {self.header}"


@dataclass(frozen=True, slots=True)
class PublicKeyScheme:
    """A signature that a published key verifies, over the raw body unless ``signed`` says more.

    ``absent`` lists header values that stand for "no signature" (HighLevel sends ``N/A``).
    ``yields_to``: another header; where the request carries it, this older scheme steps back.
    ``signed`` and the timestamp are as in ``HmacScheme``. RSA is PKCS#1 v1.5; an ECDSA signature
    may be in DER or the two numbers side by side.
    """

    algorithm: Literal["ed25519", "rsa_sha256", "ecdsa_sha256"]
    keys: tuple[str, ...]
    header: str
    absent: tuple[str, ...] = ("N/A",)
    yields_to: str | None = None
    encoding: Literal["base64", "hex"] = "base64"
    prefix: str = ""
    signed: tuple[str, ...] = ("body",)
    timestamp_header: str | None = None
    timestamp_format: TimeForm = "unix_s"
    tolerance_s: int | None = 300


@dataclass(frozen=True, slots=True)
class JwtScheme:
    """A JSON Web Token (RFC 7519), HS256 and nothing else; it says nothing of the body.

    ``audience``: what the claim ``aud`` must be; None: the URL that was called. The claim ``exp``
    must be there; ``leeway_s`` is how far the two clocks may be apart.
    """

    secret: Secret
    header: str = "Authorization"
    audience: str | None = None
    leeway_s: int = 30


@dataclass(frozen=True, slots=True)
class StandardWebhooksScheme:
    """Standard Webhooks: ``v1`` (``whsec_`` secret) or ``v1a`` (``whpk_`` public key)."""

    secret: Secret
    header_prefix: Literal["webhook", "svix"] = "webhook"
    tolerance_s: int = 300


@dataclass(frozen=True, slots=True)
class BearerScheme:
    """``Authorization: Bearer <token>``."""

    token: Secret


@dataclass(frozen=True, slots=True)
class BasicScheme:
    """HTTP Basic; the password may hold colons and any UTF-8."""

    user: str
    password: Secret


@dataclass(frozen=True, slots=True)
class HeaderScheme:
    """A header with a fixed secret value."""

    name: str
    token: Secret


@dataclass(frozen=True, slots=True)
class QueryScheme:
    """A query parameter with a fixed secret value."""

    name: str
    token: Secret


@dataclass(frozen=True, slots=True)
class PathScheme:
    """A secret in the URL: ``/hooks/<source>/<token>``."""

    token: Secret


@dataclass(frozen=True, slots=True)
class BodyScheme:
    """A fixed secret value in the decoded body (``decoder``, as the source declares it)."""

    place: Place
    token: Secret
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class EqualScheme:
    """Whether the request is for this tenant; it proves nothing alone.

    Of ``body`` (a place), ``header`` and ``query`` (a name) one is given, and must be one of
    ``values``; or two, and ``values`` is empty: then both must be the same. ``length``: only so
    many first characters are compared.
    """

    decoder: Decoder
    body: Place | None = None
    header: str | None = None
    query: str | None = None
    values: tuple[str, ...] = ()
    length: int | None = None


@dataclass(frozen=True, slots=True)
class NoneScheme:
    """The sender signs nothing, said in words; only beside a secret in the URL."""

    why: str


@dataclass(frozen=True, slots=True)
class AllOfScheme:
    """Every one of these must pass."""

    schemes: tuple[Scheme, ...]


@dataclass(frozen=True, slots=True)
class AnyOfScheme:
    """One of these is enough, inside an ``AllOfScheme``."""

    schemes: tuple[Scheme, ...]


Scheme: TypeAlias = (
    HubSpotScheme
    | HmacScheme
    | PublicKeyScheme
    | StandardWebhooksScheme
    | JwtScheme
    | BearerScheme
    | BasicScheme
    | HeaderScheme
    | QueryScheme
    | PathScheme
    | BodyScheme
    | EqualScheme
    | NoneScheme
    | AllOfScheme
    | AnyOfScheme
)
