"""How values are written on pages: times, durations, counts, bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint

from bridge import jsontext
from bridge.clock import iso, now_ms

LARGEST_PRETTY = 300_000
"""Bytes of a body that is laid out anew."""
LONGEST_SHOWN = 200_000
"""Characters of a body that a page shows."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

VERDICTS: Mapping[str, str] = {
    "none": "No opt-out is known",
    "lifted": "Opted in again by a newer event",
    "confirmed": "Opt-out confirmed",
    "sent_again": "Confirmed before, and being asserted once more",
    "standing": "Not confirmed yet: the opt-out stands and is sent again",
    "on_its_way": "The opt-out is on its way",
    "held_back": "Not confirmed yet: the opt-out waits, for its campaign is held back",
    "not_confirmed": "Not confirmed: the bridge has given up",
    "taken_over": "Taken over from another campaign, not confirmed here yet",
}


def moment(ms: int | None) -> str:
    """``26 Nov 2026, 07:19:29.536``, in UTC."""
    if ms is None:
        return "–"
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{ms} ms"
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}, {at:%H:%M:%S}.{ms % 1000:03d}"


def ms(text: str | None) -> int | None:
    """A time as ``iso`` writes it, in milliseconds."""
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return round(at.timestamp() * 1000)


def duration(ms: float | None) -> str:
    """``240 ms``, ``3.2 s``, ``4 min``, ``5 h``, ``3 days``."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{max(0, round(ms))} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    for unit, size, until in (("min", 60_000, 60), ("h", 3_600_000, 48)):
        if ms / size < until:
            return f"{ms / size:.0f} {unit}"
    return f"{ms / 86_400_000:.0f} days"


def ago(ms: int | None) -> str:
    """How long ago a time was."""
    if ms is None:
        return "never"
    gone = now_ms() - ms
    return f"in {duration(-gone)}" if gone < -1000 else f"{duration(gone)} ago"


def number(value: float | None) -> str:
    """``12,345``."""
    return "–" if value is None else f"{value:,}"


def pretty(body: bytes | None) -> str:
    """A body as people read it: JSON indented, a form one name to a line, else as it came."""
    if not body:
        return ""
    text = body.decode("utf-8", "replace")
    if len(body) > LARGEST_PRETTY:
        return text[:LONGEST_SHOWN]
    try:
        return json.dumps(jsontext.loads(body), indent=2, ensure_ascii=False)[:LONGEST_SHOWN]
    except (ValueError, RecursionError):
        pass
    if "\n" not in text and "=" in text and not text.lstrip().startswith(("<", "{", "[")):
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=2000)
        if pairs:
            return "\n".join(f"{name} = {value}" for name, value in pairs)[:LONGEST_SHOWN]
    return text[:LONGEST_SHOWN]


def shown_fields(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a lead update, each value as JSON."""
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in fields.items()]


def shown_value(value: Any) -> str:
    """A value as people read it: a text as it is, anything else as JSON."""
    plain = isinstance(value, str) and value != ""
    return value if plain else json.dumps(value, ensure_ascii=False)


def runs(calls: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Calls in their order, those with the same answer one after another put together."""
    alike = groupby(calls, key=lambda call: (call["status"], call["became"], call["message"]))
    return [list(group) for _, group in alike]


def state_words(state: str) -> str:
    """``not_found`` → ``not found``."""
    return state.replace("_", " ")


def add_filters(blueprint: Blueprint) -> None:
    """Give templates all of these."""
    filters: dict[str, Callable[..., Any]] = {
        "moment": moment,
        "iso": iso,
        "ms": ms,
        "duration": duration,
        "ago": ago,
        "number": number,
        "pretty": pretty,
        "fields": shown_fields,
        "value": shown_value,
        "words": state_words,
        "runs": runs,
        "verdict": VERDICTS.__getitem__,
    }
    for name, show in filters.items():
        blueprint.add_app_template_filter(show, name)
