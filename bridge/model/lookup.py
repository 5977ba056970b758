"""A look-up: how contacts are fetched from their CRM, for which events, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bridge.model.document import Json
from bridge.model.secret import Secret


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


@dataclass(slots=True)
class Wanted:
    """The records that one event needs from one look-up.

    ``not_before``: a record that was read before this time (ms) may be older than the event.
    """

    lookup: str
    account: str
    ids: tuple[str, ...]
    not_before: int = 0


@dataclass(slots=True)
class Found:
    """What a look-up brought for the ids of one event, in the order of the ids.

    ``records`` are the values of the ids that were found; ``missing`` those that the CRM does not
    know (deleted, merged away without a trace, never there).
    """

    records: tuple[Json, ...] = ()
    missing: tuple[str, ...] = ()
