"""How a record is written as a line, in JSON Lines and in CSV, and read back.

A line is its content, and behind it the hash. The content of JSON Lines is the record with sorted
names and no blanks; that of CSV has a few columns for people, and the same record as the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from bridge import jsontext
from bridge.operate.export.chain import HEX


class Form(StrEnum):
    """How a file is written."""

    JSONL = "jsonl"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        """Its media type."""
        return "text/csv" if self is Form.CSV else "application/jsonl"


COLUMNS = (
    "line",
    "kind",
    "at",
    "receipt",
    "source",
    "event",
    "campaign",
    "phone",
    "state",
    "opt_out",
    "said",
    "record",
)
HEAD = ("\ufeff" + ",".join(f'"{name}"' for name in COLUMNS) + ",hash\n").encode()
"""The first line of a CSV file; the mark before it tells spreadsheets that the text is UTF-8."""

LONGEST = 64_000_000
"""Bytes of a line, at most."""

_HASHED = b',"hash":"'
_RECORD = b',"{""'
_AT = ("at", "decided_at", "accepted_at", "received_at", "event_time", "made_at", "ended_at")
_SAID = ("message", "problem", "trouble", "reason", "action", "verdict")
_FORMULA = "=+-@＝＋－＠"
"""What a spreadsheet may take for the beginning of a formula."""


def content(form: Form, record: Mapping[str, Any]) -> bytes:
    """What of a line is hashed."""
    text = jsontext.canonical(record)
    if form is Form.JSONL:
        return text[:-1]
    # as an escape, so that a spreadsheet which parts cells by these finds none
    inner = text.replace(b";", b"\\u003b").replace(b"|", b"\\u007c").replace(b'"', b'""')
    return _columns(record).encode() + b',"' + inner + b'"'


def line(form: Form, content_: bytes, hash_: str) -> bytes:
    """A whole line."""
    if form is Form.JSONL:
        return content_ + _HASHED + hash_.encode() + b'"}\n'
    return content_ + b"," + hash_.encode() + b"\n"


def parted(form: Form, whole: bytes) -> tuple[bytes, str] | None:
    """The content and the hash of a line; None if it is not made like one."""
    behind = b'"}\n' if form is Form.JSONL else b"\n"
    between = _HASHED if form is Form.JSONL else b","
    at = len(whole) - len(behind) - HEX
    if not whole.endswith(behind) or whole[: max(0, at)][-len(between) :] != between:
        return None
    hash_ = whole[at : at + HEX].decode("ascii", "replace")
    return whole[: at - len(between)], hash_


def record_of(form: Form, content_: bytes) -> dict[str, Any] | None:
    """The record in the content of a line; None if there is none."""
    if form is Form.JSONL:
        text = content_ + b"}"
    else:
        # in a cell a quote is doubled, so this stands at the beginning of cells only; others may
        # hold an object as well, an answer of the API for example
        at = content_.rfind(_RECORD)
        text = b"" if at < 0 else content_[at + 2 : -1].replace(b'""', b'"')
    try:
        found = jsontext.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _columns(record: Mapping[str, Any]) -> str:
    first = next((record[name] for name in _AT if record.get(name)), "")
    said = next((record[name] for name in _SAID if record.get(name)), "")
    event = record.get("event")
    shown = {
        **record,
        "at": first,
        "said": said,
        "event": "" if event is None else event,
        "opt_out": record.get("opts_out", record.get("opted_out", "")),
    }
    return ",".join(_cell(shown.get(name)) for name in COLUMNS[:-1])


def _cell(value: Any) -> str:
    """A cell that is text to every spreadsheet."""
    if isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = "" if value is None else str(value)
    text = "".join(" " if one in ";|" or not one.isprintable() else one for one in text)
    if text.lstrip()[:1] in tuple(_FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'
