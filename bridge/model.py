"""The values that pass between the stages.

Stages are strangers to each other; what one hands to the next is declared here and nowhere
else. Everything is immutable. Times are integers: milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Literal, NamedTuple, TypeAlias

Json: TypeAlias = Any
"""A decoded document: None, bool, int, float, str, list or dict with string keys."""

FIELDS = (
    "first_name",
    "last_name",
    "email",
    "do_not_call",
    "custom_fields",
    "mark_as_unanswered",
)
"""What the bulk endpoint accepts beside ``phone_number``, which names the lead."""


# --------------------------------------------------------------------------- states and lanes


class State(StrEnum):
    """What has become of one lead update, or of an event that led to none."""

    WAITING = "waiting"
    IN_FLIGHT = "in_flight"
    STANDING = "standing"
    UPDATED = "updated"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    SKIPPED = "skipped"
    UNCONFIRMED = "unconfirmed"
    DEAD = "dead"

    final: bool
    """Whether nothing more will happen by itself."""

    def __init__(self, name: str) -> None:
        self.final = name not in ("waiting", "in_flight", "standing")


class Lane(IntEnum):
    """Who goes first. A smaller number is served before a larger one."""

    OPT_OUT = 0
    FIRST = 1
    RETRY = 2
    REPLAY = 3
    STANDING = 4
    IDLE = 9


class Channel(StrEnum):
    """Which way of reaching a person a consent signal speaks about."""

    VOICE = "voice"
    SMS = "sms"
    EMAIL = "email"
    ALL = "all"
    NONE = "none"


# --------------------------------------------------------------------------- secrets


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret with every value that is live now (two while it is being rotated).

    Its text never shows: ``repr`` and ``str`` give a mask.
    """

    name: str
    values: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"<secret {self.name}>"

    @property
    def first(self) -> str:
        """The value to send or to sign with."""
        return self.values[0]


# --------------------------------------------------------------------------- authentication


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


Place: TypeAlias = tuple[str, ...]
"""Where something stands in a decoded body: names from the outside in.

A list on the way stands for each of its items, unless the name is the index of one.
"""

TimeForm: TypeAlias = Literal["unix_s", "unix_ms", "iso", "http_date"]


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


# --------------------------------------------------------------------------- receive


class Decoder(StrEnum):
    """How the bytes of a body are read."""

    JSON = "json"
    FORM = "form"
    NESTED_FORM = "nested_form"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source's bodies are read. What stands at ``lists`` is a list, also where it is alone.

    ``value``: the decoder's name.
    """

    decoder: Decoder
    lists: tuple[Place, ...] = ()

    @property
    def value(self) -> str:
        """The decoder's name in mapping files."""
        return self.decoder.value


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told after the commit. ``body`` None: the receipt as JSON.

    The other statuses are never 2xx and never 410, at which many senders delete their hook.
    ``busy_status``: nothing can be stored; 503 unless a sender is known to repeat only another
    status. ``refused_status``: the request did not pass verification. ``too_large_status``: its
    body is over the limit.
    """

    status: int = 200
    body: str | None = None
    content_type: str = "application/json"
    busy_status: int = 503
    refused_status: int = 401
    too_large_status: int = 413


@dataclass(frozen=True, slots=True)
class ChallengeHandshake:
    """A POST of a JSON object with ``field``, and of others at most those in ``beside``.

    It is answered with the same field and value as JSON.
    """

    field: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderHandshake:
    """A request with this header is answered with the same header and value.

    One with an empty body is nothing but that; any other is a delivery like all others besides.
    """

    header: str


@dataclass(frozen=True, slots=True)
class GetHandshake:
    """GET and HEAD are answered 200."""


@dataclass(frozen=True, slots=True)
class EmptyPostHandshake:
    """A POST without a body is answered 200."""


@dataclass(frozen=True, slots=True)
class QueryHandshake:
    """A GET, or a POST without a body, with this query parameter is answered with its value.

    ``proof`` names another parameter, which must then hold ``token``.
    """

    name: str
    proof: str | None = None
    token: Secret | None = None


Handshake: TypeAlias = (
    ChallengeHandshake | HeaderHandshake | GetHandshake | EmptyPostHandshake | QueryHandshake
)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What must not be stored: places in the body, headers (lower case), query parameters."""

    body: tuple[Place, ...] = ()
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A CRM as configured by one mapping file: all that the receive stage knows of it.

    Each is equal to itself alone, so that what follows from one can be remembered under it.

    ``verify``: any one passing is enough. ``missing`` names the settings that have no value, as
    ``A or B`` where one of them is enough; while there are any, the source is not configured and
    its hook answers 503.
    """

    name: str
    title: str
    verify: tuple[Scheme, ...]
    decode: Reading = Reading(Decoder.JSON)
    answer: Answer = Answer()
    missing: tuple[str, ...] = ()
    handshakes: tuple[Handshake, ...] = ()
    drop: Dropped = Dropped()

    @property
    def configured(self) -> bool:
        """Whether every secret that the file needs has a value."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it arrived, not verified yet.

    ``headers`` has lower-case names, each with all its values in order. ``path`` is the path as
    the sender wrote it, percent-escapes kept. ``url`` is the configured public URL with path and
    query; None where none is configured, since the request's own word for its host proves nothing.
    """

    source: str
    token: str | None
    method: str
    url: str | None
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    address: str
    received_at: int

    def header(self, name: str) -> str | None:
        """The value of a header; None if absent. See ``conflicting`` for repeated ones."""
        values = self.headers.get(name.lower())
        return values[0] if values else None

    def conflicting(self, name: str) -> bool:
        """Whether the header came more than once with different values."""
        return len(set(self.headers.get(name.lower(), ()))) > 1


@dataclass(frozen=True, slots=True)
class Verified:
    """Proof that a request passed a scheme; only the verifier makes one."""

    scheme: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request did not pass. The reason is for the operator and holds no secret."""

    reason: str


@dataclass(slots=True)
class Delivery:
    """A verified request as stored: one HTTP request, none or many events.

    ``headers`` and ``query`` are what expressions see: credentials and signatures left out.
    """

    id: int
    receipt: str
    source: str
    received_at: int
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    scheme: str


# --------------------------------------------------------------------------- events


class ContactRef(NamedTuple):
    """A contact as its CRM names it, within one account of that CRM."""

    account: str
    id: str


@dataclass(slots=True)
class Event:
    """One thing that happened, one of up to a hundred in a delivery.

    ``key`` (32 hexadecimal digits) is the same for every copy of the event. ``time_ms`` is the
    source's own time, or the time of receipt, then marked ``weak_time``. ``view`` is what
    expressions see. ``problem`` says why the event cannot be read; it then ends as dead.
    ``contacts`` are the contacts that it speaks of. ``received_at``: when its delivery came.
    """

    ordinal: int
    key: str
    time_ms: int
    weak_time: bool
    view: Mapping[str, Json]
    problem: str | None = None
    notes: tuple[str, ...] = ()
    contacts: tuple[ContactRef, ...] = ()
    received_at: int | None = None

    @property
    def opt_in_ms(self) -> int:
        """The time that counts for what lets a lead be called: never newer than the receipt.

        A clock that is ahead must not hide an opt-out that comes next.
        """
        return self.time_ms if self.received_at is None else min(self.time_ms, self.received_at)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text that a look-up sends as a credential: ``text``, and behind it a secret, if any."""

    text: str
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Basic:
    """HTTP Basic of a look-up. ``password`` None: an empty one, as some APIs want."""

    user: Phrase
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class OAuth:
    """How an access token is fetched (RFC 6749): by refresh token, or by client credentials.

    ``client`` says where the client's own login goes. ``scheme`` is the word in front of the
    access token. ``fields`` go into the form as they are (scope, resource). ``rotates``: each
    refresh gives a new refresh token, and the one before it ends. ``internal`` as in ``Lookup``.
    """

    url: str
    client_id: str
    client_secret: Secret | None
    refresh_token: Secret | None
    fields: tuple[tuple[str, str], ...] = ()
    client: Literal["body", "basic"] = "body"
    scheme: str = "Bearer"
    rotates: bool = False
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Lookup:
    """A declared read: how a source's contacts are fetched from its CRM.

    ``url``: its host comes from configuration only; in its path, and in the values of ``query``,
    ``{id}``, ``{ids}`` (joined by commas) and ``{account}`` stand for what an event names.
    ``body`` is a JSON template in which the string ``@ids`` is replaced by the list of inputs,
    each made from ``input`` with ``@id`` replaced; in a call for one id, ``@id`` stands for it
    everywhere. ``single``: one call for each id.

    JMESPath expressions: ``result``, the record in the reply to a call for one id; or ``results``,
    the list of rows, and in a row ``result_id``, its id, and ``result_value``, what the rules see;
    ``error`` holds for a reply that reports one; ``next_page`` gives what the query parameter
    ``page_query`` carries to get the next page.

    ``not_found``: statuses that mean the CRM knows none of the ids. ``deleted_query``: added to
    the URL in a second try for ids that gave no row. ``survivors``: a merged-away id is answered
    with the surviving record's row, under the survivor's id. ``tokens`` are by account; ``token``
    serves all others. ``internal``: a setting names the host, so it may be an internal one.
    """

    name: str
    url: str
    token: Secret | None
    tokens: Mapping[str, Secret]
    body: Json
    input: Json
    results: str | None
    result_id: str | None
    result_value: str
    size: int = 100
    deleted_query: Mapping[str, str] = field(default_factory=dict)
    rate_per_s: float = 9.0
    cache_s: float = 5.0
    timeout_s: float = 10.0
    method: Literal["GET", "POST"] = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, Phrase] = field(default_factory=dict)
    basic: Basic | None = None
    oauth: OAuth | None = None
    single: bool = False
    result: str | None = None
    error: str | None = None
    next_page: str | None = None
    page_query: str = ""
    not_found: tuple[int, ...] = ()
    survivors: bool = False
    at_once: int = 1
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records that one event needs from one look-up.

    ``not_before``: a record that was read before this time (ms) may be older than the event.
    """

    lookup: str
    account: str
    ids: tuple[str, ...]
    not_before: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up brought for the ids of one event, in the order of the ids.

    ``records`` are the values of the ids that were found; ``missing`` those that the CRM does not
    know (deleted, merged away without a trace, never there).
    """

    records: tuple[Json, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the bridge itself remembers of an event's contacts, from earlier complete events.

    ``phones`` in E.164, newest first. ``opted_out``: any of the contacts was opted out of calls;
    ``consent_time``: when the last word on that was said (ms), 0 if none was.
    """

    phones: tuple[str, ...] = ()
    opted_out: bool = False
    consent_time: int = field(default=0, compare=False)


# --------------------------------------------------------------------------- lead updates


@dataclass(slots=True)
class LeadUpdate:
    """What is to be sent for one lead to one campaign because of one event.

    ``phone`` is E.164. ``fields`` holds only what is to change, keys from ``FIELDS``;
    ``do_not_call: false`` is among them only if the rule says ``allow_opt_in``. ``time_ms``: the
    time that counts, where it is not that of the event but of an opt-out that came before.
    """

    campaign: str
    phone: str
    fields: Mapping[str, Json]
    rules: tuple[str, ...]
    notes: tuple[str, ...] = ()
    time_ms: int | None = None

    def said_at(self, event: Event) -> int:
        """The time that counts for this update of an event (ms)."""
        return event.time_ms if self.time_ms is None else self.time_ms

    @property
    def opts_out(self) -> bool:
        """Whether this asks that the lead never be called again."""
        return self.fields.get("do_not_call") is True


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """What one rule did with one event: fired, or why not."""

    rule: str
    fired: bool
    why: str


@dataclass(slots=True)
class Mapped:
    """What a mapping made of one event.

    Either ``updates``, or a final ``state`` (skipped or dead) with its ``reason``.
    ``phones``: every number the event or its look-ups gave for its contacts, to be remembered.
    ``opts_out``: the event is an opt-out of calls, so its contacts are remembered as opted out;
    False when it opts them in by a rule that may; None when it says nothing about it.
    ``emails``: the person's addresses, wherever a rule would take one from, so that the lead can
    be found by them.
    ``erase``: what is kept of the person is to be erased, once this is recorded.
    """

    updates: tuple[LeadUpdate, ...] = ()
    state: State | None = None
    reason: str = ""
    phones: tuple[str, ...] = ()
    opts_out: bool | None = None
    emails: tuple[str, ...] = ()
    trace: tuple[RuleTrace, ...] = ()
    erase: bool = False


@dataclass(frozen=True, slots=True)
class KeptMapping:
    """A source's mapping file as it was in force once, so that it can be used again.

    ``version``: 12 hexadecimal digits. ``text``: the file as written, settings by name only.
    ``region``: the country of phone numbers without ``+``. ``routing``: campaign →
    ``{"groups": […], "configured": bool}``, as ``campaigns.yaml`` had them.
    """

    version: str
    source: str
    text: str = field(repr=False)
    region: str
    routing: Mapping[str, Mapping[str, Json]]


# --------------------------------------------------------------------------- campaigns


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What campaigns and tokens may do where ``campaigns.yaml`` says nothing; 0: no limit."""

    rate_per_s: float = 10.0
    concurrency: int = 2
    token_rate_per_s: float = 0
    token_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as ``campaigns.yaml`` names it.

    ``id`` is opaque and goes percent-encoded into the URL. ``reply_order``: ``in_order`` trusts a
    reply only if its rows stand in the order of the request; ``any_order`` lets index and phone
    number together name the lead. ``token_…``: limits of all campaigns with its token together,
    0 for none.
    """

    name: str
    id: str
    url: str
    token: Secret | None
    tenant: str = ""
    groups: tuple[str, ...] = ()
    batch_size: int = 100
    batch_bytes: int = 512_000
    concurrency: int = 2
    rate_per_s: float = 10.0
    timeout_s: float = 10.0
    linger_ms: int = 50
    phone_format: Literal["e164", "digits"] = "e164"
    custom_fields: Literal["changed", "all_known"] = "changed"
    reply_order: Literal["in_order", "any_order"] = "in_order"
    missing: tuple[str, ...] = ()
    token_rate_per_s: float = 0
    token_concurrency: int = 0

    @property
    def configured(self) -> bool:
        """Whether its id and token have values."""
        return not self.missing


# --------------------------------------------------------------------------- forward


class Sent(NamedTuple):
    """One element of a batch: a lead and the object that goes out for it."""

    lead_id: int
    phone: str
    payload: Mapping[str, Json]


class Verdict(StrEnum):
    """What the campaign API made of one lead."""

    CONFIRMED = "confirmed"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class Result(NamedTuple):
    """The endpoint's word on one lead; ``message`` is the API's text, cut short, or ours."""

    verdict: Verdict
    message: str = ""


class Trouble(StrEnum):
    """Why a whole call failed."""

    TRANSPORT = "transport"
    BUSY = "busy"
    SERVER = "server"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one call of the bulk endpoint: one result per element of the batch.

    ``trouble`` is set when the call as a whole failed, with ``detail`` for the operator and
    ``retry_after_s`` as the API asked. ``status`` is None where no reply came.
    """

    results: tuple[Result, ...]
    status: int | None = None
    trouble: Trouble | None = None
    detail: str = ""
    retry_after_s: float | None = None
    elapsed_ms: int = 0
    calls: int = 1
