"""A lead's story: from the raw webhook to the reply, in order, with times.

It answers one question: did this opt-out go through, and when? Nothing counts as confirmed here
but an outcome that is *updated*, which only a reply that names the lead can make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.model import Campaign, Lane, State
from bridge.operate import holding
from bridge.operate.finding import Found
from bridge.operate.holding import Holding
from bridge.store import attempts, pages, queues
from bridge.store.database import Connection
from bridge.store.pages import Wanted
from bridge.store.schema import NEVER

PART = 100
"""Outcomes of one phone number in a part of the story."""


def story(
    connection: Connection,
    found: Found,
    named: Mapping[str, Campaign] | None,
    *,
    before: int | None = None,
    part: int = PART,
) -> dict[str, Any]:
    """The story of some phone numbers and events: where each lead stands, and what happened.

    ``named``: as in ``standings``. ``not_taken_in`` and ``look_ups``: how many deliveries and
    events there are of which nobody can say yet whether they belong to it.
    """
    rows: dict[int, dict[str, Any]] = {}
    cursors: list[int] = []
    for phone in found.phones:
        page = pages.outcomes(connection, Wanted(phone=phone), before=before, limit=part)
        rows.update((row["id"], row) for row in page.rows)
        if page.cursor is not None:
            cursors.append(page.cursor)
    events = pages.events_by_id(connection, found.events) if before is None else []
    if events:
        of_events = pages.outcomes_of_events(connection, [event["id"] for event in events])
        rows.update((row["id"], row) for row in of_events)
    tries = attempts.of_outcomes(connection, list(rows)) if rows else {}
    told = [outcome_entry(row, tries.get(row["id"], [])) for row in rows.values()]
    return {
        "phones": list(found.phones),
        "leads": standings(connection, found.phones, named),
        "events": _by_event(told, events),
        "cursor": max(cursors, default=None),
        "not_taken_in": sum(one.count for one in queues.deliveries_by_source(connection).values()),
        "look_ups": sum(one.depth.count for one in queues.look_ups(connection)),
    }


def standings(
    connection: Connection, phones: Sequence[str], named: Mapping[str, Campaign] | None
) -> list[dict[str, Any]]:
    """Where the leads of some numbers (E.164) stand with their opt-outs, in each campaign.

    ``named``: the campaigns of the mapping files; None: nobody knows them just now.
    """
    leads = pages.leads_of(connection, phones)
    held = holding.read(connection, named) if leads else Holding()
    found = []
    for phone in phones:
        mine = [lead for lead in leads if lead["phone"] == phone]
        opt_outs = pages.opt_outs(connection, phone)
        told = {row["campaign"] for row in opt_outs}
        if any("do_not_call" in lead["ledger"] and lead["campaign"] not in told for lead in mine):
            # its word on calls is older than all that was looked at, or of another campaign
            opt_outs = pages.opt_outs(connection, phone, all_=True)
        found += [_standing(lead, opt_outs, held) for lead in mine]
    return found


def calls_of(row: Mapping[str, Any], tries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The calls that carried an outcome, the last one last."""
    calls = [
        {
            "batch_id": one["batch_id"],
            "started_at": one["started_at"],
            "elapsed_ms": one["elapsed_ms"],
            "leads": one["leads"],
            "calls": one["calls"],
            "status": one["status"],
            "trouble": one["trouble"],
            "detail": one["detail"] or "",
            "answered_at": one["at"],
            "became": one["state"],
            "message": one["message"],
        }
        for one in tries
    ]
    known = {call["batch_id"] for call in calls}
    if row["batch_id"] is not None and row["batch_id"] not in known:
        calls.append(
            {
                "batch_id": row["batch_id"],
                "started_at": row["batch_started_at"],
                "elapsed_ms": row["batch_elapsed_ms"],
                "leads": row["batch_leads"],
                "calls": row["batch_calls"],
                "status": row["batch_status"],
                "trouble": row["batch_trouble"],
                "detail": row["batch_detail"] or "",
                "answered_at": row["decided_at"],
                "became": row["state"],
                "message": row["message"],
            }
        )
    return calls


def outcome_entry(row: dict[str, Any], tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An outcome with its calls, the last one last."""
    decided = row["decided_at"]
    return {
        **{name: row[name] for name in _OUTCOME},
        "received_at": row["delivered_at"] or row["received_at"] or row["accepted_at"],
        "elapsed_ms": None if decided is None else decided - row["accepted_at"],
        "calls": calls_of(row, tries),
    }


_OUTCOME = (
    "id",
    "event_id",
    "receipt",
    "source",
    "scheme",
    "ordinal",
    "campaign",
    "phone",
    "lead_id",
    "state",
    "fields",
    "opts_out",
    "rules",
    "event_time",
    "weak_time",
    "accepted_at",
    "decided_at",
    "tries",
    "doubtful",
    "message",
    "version",
    "replay_id",
    "erased_at",
)


def _by_event(
    told: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The outcomes gathered by event, the newest event first."""
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        found[event["id"]] = {
            "id": event["id"],
            "receipt": event["receipt"],
            "source": event["source"],
            "scheme": event["scheme"],
            "ordinal": event["ordinal"],
            "received_at": event["received_at"],
            "event_time": event["event_time"],
            "weak_time": event["weak_time"],
            "pending": event["state"] == "pending",
            "trouble": event["trouble"] or "",
            "outcomes": [],
        }
    for row in told:
        entry = found.setdefault(
            row["event_id"],
            {
                "id": row["event_id"],
                "receipt": row["receipt"],
                "source": row["source"],
                "scheme": row["scheme"] or "",
                "ordinal": row["ordinal"] or 0,
                "received_at": row["received_at"],
                "event_time": row["event_time"],
                "weak_time": bool(row["weak_time"]),
                "pending": False,
                "trouble": "",
                "outcomes": [],
            },
        )
        entry["outcomes"].append(row)
    for entry in found.values():
        entry["outcomes"].sort(key=lambda row: (row["campaign"], row["phone"], row["id"]))
    return sorted(found.values(), key=lambda entry: (entry["received_at"], entry["id"]))[::-1]


def _standing(
    lead: dict[str, Any], rows: Iterable[dict[str, Any]], held: Holding
) -> dict[str, Any]:
    """Where a lead stands with its opt-out, by its newest one that was not superseded."""
    mine = [
        row
        for row in rows
        if row["campaign"] == lead["campaign"]
        and row["phone"] == lead["phone"]
        and row["state"] not in (State.SUPERSEDED, State.DUPLICATE)
    ]
    last = max(mine, key=lambda row: (row["event_time"], row["id"]), default=None)
    if last is not None and last["state"] == State.UPDATED and _said_since(lead, last):
        last = None
    lane = Lane(lead["lane"])
    due = None if lane is Lane.IDLE or lead["due_at"] >= NEVER else lead["due_at"]
    in_flight = lead["lease_until"] > 0
    held_back = [] if in_flight else held.of(lead["campaign"], lane)
    verdict = _verdict(lead, last)
    return {
        "id": lead["id"],
        "campaign": lead["campaign"],
        "phone": lead["phone"],
        "opted_out": bool(lead["opted_out"]),
        "lane": lane.name.lower(),
        "due_at": holding.next_call(due, held_back),
        "in_flight": in_flight,
        "held_back": held_back,
        "verdict": "held_back" if held_back and verdict in _WAITS else verdict,
        "received_at": None if last is None else last["delivered_at"] or last["accepted_at"],
        "confirmed_at": last["decided_at"] if last and last["state"] == State.UPDATED else None,
        "outcome_id": None if last is None else last["id"],
        "message": "" if last is None else last["message"],
    }


_WAITS = frozenset({"sent_again", "standing", "on_its_way", "taken_over"})
"""Verdicts that promise a call; none is made while the campaign is held back."""


def _said_since(lead: dict[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the lead's opt-out was said after this one, and so in another campaign: what was
    confirmed of the one says nothing of the other, since an opt-in may stand between them."""
    said = lead["ledger"].get("do_not_call")
    return bool(lead["opted_out"] and said is not None and said[1] > row["event_time"])


def _verdict(lead: dict[str, Any], last: dict[str, Any] | None) -> str:
    """One word: none, lifted, confirmed, sent_again, standing, on_its_way, not_confirmed or
    taken_over (from another campaign, and not confirmed here)."""
    if not lead["opted_out"]:
        # the newest word may still wait for its turn, and is in no ledger yet
        if last is not None and not State(last["state"]).final:
            return "standing" if last["state"] == State.STANDING else "on_its_way"
        return "none" if last is None else "lifted"
    if last is None:
        return "taken_over"
    match State(last["state"]):
        case State.UPDATED:
            # what was confirmed has to be said once more, perhaps to another id of the campaign
            return "sent_again" if lead["reassert"] else "confirmed"
        case State.STANDING:
            return "standing"
        case State.WAITING | State.IN_FLIGHT:
            return "on_its_way"
        case _:
            return "not_confirmed"
