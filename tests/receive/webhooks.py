"""Build requests as the accepting side hands them over, and read the vector files."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bridge.model import Request, Secret

VECTORS = Path(__file__).parent.parent / "vectors"
NOW = 1_768_473_005_000
URL = "https://bridge.example.com/hooks/crm"


def read_vectors(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return document


def secret(*values: str) -> Secret:
    return Secret("CRM_SECRET", values)


def make_request(
    *,
    url: str = URL,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    method: str = "POST",
) -> Request:
    """A request for ``/hooks/<source>`` or ``/hooks/<source>/<token>``; repeated headers stay."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    kept: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        kept[name.lower()] = (*kept.get(name.lower(), ()), value)
    parts = urlsplit(url)
    segments = parts.path.split("/")
    return Request(
        source=segments[2] if len(segments) > 2 else "crm",
        token=unquote(segments[3]) if len(segments) > 3 and segments[3] else None,
        method=method,
        url=url,
        path=parts.path,
        query=parts.query,
        headers=kept,
        body=body,
        address="192.0.2.7",
        received_at=NOW,
    )


def flipped(data: bytes, step: int = 1) -> Iterator[bytes]:
    """The data with one bit changed, at every ``step``-th byte and at the last one."""
    places = sorted({*range(0, len(data), step), len(data) - 1}) if data else []
    for place in places:
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def flipped_text(text: str | None) -> Iterator[str]:
    assert text is not None
    return (changed.decode("latin-1") for changed in flipped(text.encode("latin-1")))


def other_spelling(text: str) -> str:
    """Other base64 for the same bytes: the bits that padding leaves unused are set.

    Text without padding has no other spelling and comes back as it is.
    """
    bare = text.rstrip("=")
    if bare == text:
        return text
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    last = alphabet[alphabet.index(bare[-1]) + 1]
    changed = bare[:-1] + last + text[len(bare) :]
    assert base64.b64decode(changed) == base64.b64decode(text)
    return changed
