"""What a CRM's reply to a batch read says: rows, no, not now, or nothing that can be used.

Statuses as HubSpot documents them for its batch reads and errors:
https://developers.hubspot.com/docs/api-reference/error-handling; others are read by HTTP's own
rules (RFC 9110).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridge.clock import now_ms
from bridge.enrich.client import NoReply, Reply
from bridge.errors import BridgeError
from bridge.model import Json, Lookup
from bridge.retry_after import retry_after_s

Search: TypeAlias = Callable[[str, Json], Json]
"""Evaluates a JMESPath expression against a document; None where there is nothing."""

LONGEST_WAIT_S = 3600.0
"""However long a CRM asks to be left alone, one call an hour asks whether it still does."""

SHORTEST_WAIT_S = 1.0
"""A wait that is asked for is never shorter."""

LIMIT_S = 10.0
"""The window of HubSpot's short limit, for a 429 that does not say when to come back."""

DAILY_S = 300.0
"""The daily counter starts again at midnight of an unknown time zone: ask now and then."""

SETTING_S = 60.0
"""Pause after an answer that only somebody's correction will change."""

UNFINISHED = ("PENDING", "PROCESSING", "CANCELED")
"""States of a batch, beside COMPLETE, in which rows may be lacking."""


class Cause(StrEnum):
    """What a failed call says about the next one."""

    ACCOUNT = "account"
    """Any other call for this account would fail as well."""
    LOGIN = "login"
    """The token is not accepted."""
    TOKEN = "token"  # noqa: S105 - what failed, no secret
    """There is no access token to be had."""
    SCOPE = "scope"
    """The token is accepted, but may not read this: one record perhaps, or any."""
    ODD = "odd"
    """No answer to such a request, as it seems; for another record there may be one."""
    UNCLEAR = "unclear"
    """The account may be down, or one of the ids may be what breaks the call."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A usable reply: a record for each id that has a row. ``next_page``: there is more."""

    records: dict[str, Json]
    next_page: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The CRM knows none of the ids.

    Not ``sure``: a wrong address, and a CRM that is away, would be answered for in the same way,
    so this counts only where another id has a record.
    """

    why: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The CRM does not take this list of ids; a shorter one may pass.

    ``by_size``: it is too long; otherwise one of the ids, or the request itself, is wrong.
    """

    why: str
    by_size: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """No usable reply. ``retry_after_s``: how long to wait at least, where that is known."""

    why: str
    cause: Cause
    retry_after_s: float | None = None


def read(
    reply: Reply | NoReply, lookup: Lookup, search: Search, ids: Sequence[str]
) -> Rows | Unknown | Refused | Failed:
    """Judge one reply. The texts go on from the name of the host and quote nothing of it."""
    if isinstance(reply, NoReply):
        if reply.too_large:
            return Refused(reply.why, by_size=True)
        return Failed(reply.why, Cause.UNCLEAR)
    status = reply.status
    if status in lookup.not_found:
        # a machine that speaks JSON, or says nothing, is an API; a web page is another machine
        sure = not reply.body.strip() or _decoded(reply.body) is not None
        return Unknown(f"answers {status} to whatever it is asked; check url", sure)
    if status in (200, 207):
        return _usable(reply.body, lookup, search, ids)
    if status in (400, 422):
        return Refused(f"answered {status}", by_size=False)
    if status == 413:
        return Refused("answered 413 (too large)", by_size=True)
    return _failed(status, _asked(reply.retry_after), reply.body)


def _failed(status: int, asked: float | None, body: bytes) -> Failed:
    if status == 429:
        if _daily(body):
            pause = max(asked or 0.0, DAILY_S)
            return Failed("answered 429 (the daily limit is used up)", Cause.ACCOUNT, pause)
        return Failed("answered 429 (too many requests)", Cause.ACCOUNT, asked or LIMIT_S)
    if status == 423:
        return Failed("answered 423 (locked)", Cause.UNCLEAR, max(asked or 0.0, 2.0))
    if status in (401, 403):
        cause = Cause.LOGIN if status == 401 else Cause.SCOPE
        return Failed(f"answered {status}", cause, SETTING_S)
    if status in (408, 425, 477) or status >= 500 or status < 300:
        return Failed(f"answered {status}", Cause.UNCLEAR, asked)
    if status < 400:
        why = f"answered {status}, a redirect, which is not followed; write the final url"
        return Failed(f"{why} in the mapping file", Cause.ODD, SETTING_S)
    why = f"answered {status}; check url in the mapping file"
    if asked is not None:  # who says when to come back means everybody
        return Failed(why, Cause.ACCOUNT, max(asked, SETTING_S))
    return Failed(why, Cause.ODD, SETTING_S)


def _asked(header: str | None) -> float | None:
    """Seconds by ``Retry-After``, 1 to 3600; None if it is absent or unreadable."""
    seconds = retry_after_s(header, now_ms(), most_s=LONGEST_WAIT_S)
    return None if seconds is None else max(seconds, SHORTEST_WAIT_S)


def _daily(body: bytes) -> bool:
    document = _decoded(body)
    policy = document.get("policyName") if isinstance(document, dict) else None
    return isinstance(policy, str) and "DAILY" in policy.upper()


def _usable(
    body: bytes, lookup: Lookup, search: Search, ids: Sequence[str]
) -> Rows | Unknown | Failed:
    document = _decoded(body)
    if document is None:
        return Failed("sent a reply that is not JSON", Cause.UNCLEAR)
    if isinstance(document, dict) and document.get("status") in UNFINISHED:
        return Failed("has not finished the batch", Cause.UNCLEAR)
    try:
        if lookup.error is not None and search(lookup.error, document) not in _NO_ERROR:
            return Failed("reports an error in its reply, where error says", Cause.UNCLEAR)
        if lookup.results is not None:
            return _rows(document, lookup, search, ids)
        record = search(lookup.result or "@", document)
    except (BridgeError, ValueError) as error:
        return Failed(
            "sent a reply to which an expression of the mapping file cannot be applied "
            f"({type(error).__name__}); check results, result_id and result_value",
            Cause.UNCLEAR,
        )
    if record is None:
        why = "sent a reply in which result gives nothing; check result in the mapping file"
        return Unknown(why, sure=False)
    return Rows({ids[0]: record})


def _rows(document: Json, lookup: Lookup, search: Search, ids: Sequence[str]) -> Rows | Failed:
    rows = search(lookup.results or "@", document)
    if not isinstance(rows, list):
        return _misread("results", "gives no list")
    records: dict[str, Json] = {}
    # without result_id the call was for one id, and the CRM's own order decides
    for row in rows if lookup.result_id is not None else rows[:1]:
        one = ids[0] if lookup.result_id is None else _id(search(lookup.result_id, row))
        if one is None:
            return _misread("result_id", "gives no id in one of the rows")
        record = search(lookup.result_value, row)
        if record is None:
            return _misread("result_value", "gives nothing in one of the rows")
        if records.setdefault(one, record) != record:
            return Failed("sent two different rows for one id", Cause.UNCLEAR)
    if lookup.next_page is None:
        return Rows(records)
    return Rows(records, _id(search(lookup.next_page, document)) or "")


_NO_ERROR: tuple[Json, ...] = (None, False, "", [], {})


def _misread(key: str, what: str) -> Failed:
    why = f"sent a reply in which {key} {what}; check {key} in the mapping file"
    return Failed(why, Cause.UNCLEAR)


def _decoded(body: bytes) -> Json:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _id(value: Json) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
