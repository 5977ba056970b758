"""One call from arrival to answer: noted, perhaps made to go wrong, carried out, answered.

Everything that a call changes, with the note of the call itself, is one transaction. So the order
of the notes is the order in which the calls took effect, and after a crash the two agree.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.sandbox import behaviour, call_log
from bridge.sandbox.behaviour import Step
from bridge.sandbox.database import Database, Json, now_ms, to_text
from bridge.sandbox.leads import settle
from bridge.sandbox.lies import falsify
from bridge.sandbox.wire import KEY, Fate, Wire


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON, or text as it is. ``applied``: the call did what it was asked to do."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False


class UnreadableError(Exception):
    """The body cannot be read; the text says why, ``status`` what to answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


Refuse = Callable[[int, str], Reply]
"""Makes the refusal with this status and message in the words of the API that was called."""

Act = Callable[[sqlite3.Connection, int, Json], Reply]
"""Carries a call out: the transaction, the number of the call, the decoded body."""


def exchange(
    database: Database,
    act: Act,
    *,
    endpoint: str,
    campaign: str | None,
    scopes: Sequence[str],
    tokens: Sequence[str],
    refuse: Refuse,
) -> Response:
    """Answer the present request.

    First the token is looked at, then the plan for misbehaviour is asked, then ``act`` runs. The
    call is noted whatever comes of it; its body is, too, if it is JSON.
    """
    started = now_ms()
    try:
        document, unreadable = decoded_body(), None
    except UnreadableError as problem:
        document, unreadable = None, problem
    with database.transaction() as connection:
        settle(connection, until_ms=now_ms())
        seq = call_log.begin(
            connection,
            endpoint=endpoint,
            campaign=campaign,
            started_ms=started,
            elements=document,
        )
        step = Step()
        if not bearer_is_one_of(tokens):
            reply = refuse(401, "Send Authorization: Bearer with a token that is known here.")
        else:
            step = behaviour.next_step(connection, scopes)
            planned = _refused_by_plan(step, refuse)
            if planned is not None:
                reply = planned
            elif unreadable is not None:
                reply = refuse(unreadable.status, str(unreadable))
            else:
                reply = _carried_out(connection, act, seq, document, step)
        call_log.decide(
            connection,
            seq,
            status=None if step.mode in {"close", "close_after"} else reply.status,
            applied=reply.applied,
            mode=step.mode,
        )
        if step.mode != "slow":
            call_log.finish(connection, seq)
    if step.mode == "slow":
        the_wire().sleep(step.seconds)
        with database.transaction() as connection:
            call_log.finish(connection, seq)
    elif step.mode in {"close", "close_after"}:
        the_wire().fate = Fate.DROP
    elif step.mode == "truncated":
        the_wire().fate = Fate.TRUNCATE
    return answer(reply)


def decoded_body() -> Json:
    """The request's body as JSON. UnreadableError says what is wrong with it."""
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise UnreadableError(413, "The body has more bytes than are allowed here.") from None
    if request.mimetype != "application/json":
        raise UnreadableError(415, "Send Content-Type: application/json.")
    try:
        document = json.loads(raw, parse_constant=_no_constant)
        if b"\\ud" in raw.lower():
            to_text(document).encode()  # half a surrogate pair is no text and cannot be kept
    except (ValueError, RecursionError) as error:
        raise UnreadableError(400, f"The body is no JSON: {error}.") from None
    return document


def answer(reply: Reply) -> Response:
    """The reply as Flask sends it."""
    kind = "text/html" if isinstance(reply.body, str) else "application/json"
    text = reply.body if isinstance(reply.body, str) else to_text(reply.body)
    return Response(text, reply.status, dict(reply.headers), content_type=kind)


def bearer_is_one_of(tokens: Sequence[str]) -> bool:
    """Whether the request carries one of the tokens; compared in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    matches = [
        hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
        for token in tokens
    ]
    return scheme.lower() == "bearer" and any(matches)


def the_wire() -> Wire:
    """The connection of the present request. Only this folder's server hands it out."""
    wire = request.environ.get(KEY)
    if not isinstance(wire, Wire):
        raise TypeError("this misbehaviour needs the server of bridge.sandbox.serve")
    return wire


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


def _refused_by_plan(step: Step, refuse: Refuse) -> Reply | None:
    headers = {} if step.retry_after is None else {"Retry-After": str(step.retry_after)}
    if step.mode == "429":
        return replace(refuse(429, "Too many requests."), headers=headers)
    if step.mode == "status":
        phrase = HTTPStatus(step.status).phrase if step.status in _KNOWN else "Unknown"
        usual = refuse(step.status, phrase)
        body = usual.body if step.body is None else step.body
        return replace(usual, body=body, headers=headers)
    if step.mode == "close":
        return refuse(500, "Closed without an answer.")
    return None


_KNOWN = frozenset(int(status) for status in HTTPStatus)


def _carried_out(
    connection: sqlite3.Connection, act: Act, seq: int, document: Json, step: Step
) -> Reply:
    connection.execute("SAVEPOINT act")
    reply = act(connection, seq, document)
    if not step.applies or reply.status >= 400:
        connection.execute("ROLLBACK TO act")
        reply = replace(reply, applied=False)
    connection.execute("RELEASE act")
    return reply if reply.status >= 400 else replace(reply, body=falsify(reply.body, step))
