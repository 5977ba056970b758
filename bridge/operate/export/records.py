"""What the lines of an export say: one record for each row, times in UTC, nothing left to guess."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from bridge.clock import iso
from bridge.model import Lane
from bridge.operate.story import calls_of
from bridge.store.schema import NEVER

Row = Mapping[str, Any]
Record = dict[str, Any]


def delivery(row: Row, *, bodies: bool) -> Record:
    """A webhook as it came. ``bodies``: with its body, else with the hash of it alone."""
    return {
        "kind": "delivery",
        "receipt": row["receipt"],
        "source": row["source"],
        "received_at": iso(row["received_at"]),
        "address": row["address"],
        "method": row["method"],
        "path": row["path"],
        "query": row["query"],
        "headers": row["headers"],
        "verified_by": row["scheme"],
        "state": row["state"],
        "problem": row["problem"],
        "mapping": row["version"],
        "erased_at": iso(row["erased_at"]),
        "body_keyed_hash": row["body_hash"],
        **_body(row["body"] if row["erased_at"] is None else None, bodies=bodies),
    }


def _body(body: bytes | None, *, bodies: bool) -> Record:
    """A body as text if it is UTF-8, else in base64; None: it is erased or damaged, and nothing is
    said of it."""
    found: Record = {"bytes": None, "body_sha256": None, "body": None, "body_base64": None}
    if body is None:
        return found
    body = bytes(body)
    found |= {"bytes": len(body), "body_sha256": sha256(body).hexdigest()}
    if bodies:
        try:
            found["body"] = body.decode()
        except UnicodeDecodeError:
            found["body_base64"] = base64.b64encode(body).decode()
    return found


def event(row: Row, receipt: str) -> Record:
    """One thing that happened, of those in a delivery. ``number``: which of them, from 1."""
    return {
        "kind": "event",
        "event": row["id"],
        "receipt": receipt,
        "number": row["ordinal"] + 1,
        "source": row["source"],
        "key": row["key"],
        "duplicate_of": row["duplicate_of"],
        "event_time": iso(row["event_time"]),
        "time_of_receipt_counts": bool(row["weak_time"]),
        "state": row["state"],
        "trouble": row["trouble"],
    }


def outcome(row: Row, tries: Sequence[Row]) -> Record:
    """What became of a lead update, with every call that carried it and the API's answer."""
    return {
        "kind": "outcome",
        "outcome": row["id"],
        "event": row["event_id"],
        "receipt": row["receipt"],
        "source": row["source"],
        "campaign": row["campaign"],
        "phone": row["phone"],
        "lead": row["lead_id"],
        "state": row["state"],
        "opts_out": bool(row["opts_out"]),
        "update": row["fields"],
        "rules": row["rules"],
        "mapping": row["version"],
        "event_time": iso(row["event_time"]),
        "accepted_at": iso(row["accepted_at"]),
        "decided_at": iso(row["decided_at"]),
        "message": row["message"],
        "doubtful": bool(row["doubtful"]),
        "tries": row["tries"],
        "calls": [_call(call) for call in calls_of(row, tries)],
        "replay": row["replay_id"] or None,
        "erased_at": iso(row["erased_at"]),
        "lead_now": _lead_now(row),
    }


def _call(call: Row) -> Record:
    times = {name: iso(call[name]) for name in ("started_at", "answered_at")}
    return {**call, **times}


def _lead_now(row: Row) -> Record | None:
    """Where the lead of an outcome stands: None if it has none."""
    if row["lead_lane"] is None:
        return None
    lane = Lane(row["lead_lane"])
    due = None if lane is Lane.IDLE or row["lead_due_at"] >= NEVER else row["lead_due_at"]
    return {
        "opted_out": bool(row["lead_opted_out"]),
        "lane": lane.name.lower(),
        "due_at": iso(due),
    }


def lead(row: Row) -> Record:
    """Where a lead stands with its opt-out, in one campaign; ``row`` as ``story.standings``."""
    times = {name: iso(row[name]) for name in ("due_at", "received_at", "confirmed_at")}
    held = [
        {**hold, "since": iso(hold["since"]), "tried_at": iso(hold["tried_at"])}
        for hold in row["held_back"]
    ]
    named = {"kind": "lead", "lead": row["id"], "outcome": row["outcome_id"], "held_back": held}
    return {
        **{name: value for name, value in row.items() if name not in ("id", "outcome_id")},
        **times,
        **named,
    }


def mapping(row: Row) -> Record:
    """The mapping file as it was when it made the outcomes that name this version."""
    return {
        "kind": "mapping",
        "mapping": row["version"],
        "source": row["source"],
        "first_seen": iso(row["first_seen"]),
        "region": row["region"],
        "routing": row["routing"],
        "text": row["text"],
    }


def refusal(row: Row) -> Record:
    """A request that did not pass verification."""
    return {
        "kind": "refusal",
        **{name: row[name] for name in _REFUSAL},
        "received_at": iso(row["received_at"]),
        "body_sha256": sha256(bytes(row["body"])).hexdigest(),
        "bytes": len(row["body"]),
    }


_REFUSAL = ("receipt", "source", "address", "method", "url", "reason")


def replay(row: Row) -> Record:
    """A replay that made some of the outcomes; who ran it is among the actions."""
    return {
        "kind": "replay",
        "replay": row["id"],
        "created_at": iso(row["created_at"]),
        "ended_at": iso(row["ended_at"]),
        "state": row["state"],
        "selection": row["selection"],
        "mapping": row["mapping"],
        "marks": bool(row["marks"]),
    }


def action(row: Row) -> Record:
    """What somebody did by hand: who, when, what."""
    named = {name: row[name] for name in ("actor", "action", "subject", "details")}
    return {"kind": "action", "at": iso(row["at"]), **named}
