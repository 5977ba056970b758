"""Files of evidence for tests, made without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.operate.export.chain import FORMAT, Seal
from bridge.operate.export.lines import HEAD, Form, content, line


def file_of(
    form: Form,
    records: Iterable[dict[str, Any]],
    key: str | None = None,
    header: Mapping[str, Any] | None = None,
) -> bytes:
    """A whole file of these records."""
    seal = Seal.by(key)
    first = {
        "kind": "export",
        "format": FORMAT,
        "export": "0" * 32,
        "algorithm": seal.algorithm,
        "key": seal.fingerprint,
        "made_at": "2026-06-25T07:19:29.536Z",
        "made_by": "Ada",
        **(header or {}),
    }
    pieces, before, number = [], "", 0
    if form is Form.CSV:
        pieces, number = [HEAD], 1
    for record in (first, *records, {"kind": "end", "ended_at": "2026-06-25T07:19:30.000Z"}):
        if record["kind"] == "end":
            record = {"lines": number, "last_hash": before, **record}  # noqa: PLW2901
        number += 1
        text = content(form, {**record, "line": number})
        before = seal.hash(before, text)
        pieces.append(line(form, text, before))
    return b"".join(pieces)
