"""One request of a look-up, made from the templates that a mapping file declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bridge.model import Json, Lookup

_SURROGATE = re.compile(r"[\ud800-\udfff]")
LONGEST_ID = 500
"""Characters of an id that goes into a URL; no CRM has longer ones."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent, credentials apart. ``body`` None: a call without one."""

    method: str
    url: str
    query: Mapping[str, str]
    body: bytes | None


def call(
    lookup: Lookup, ids: Sequence[str], account: str, *, deleted: bool = False, page: str = ""
) -> Call:
    """The request for these ids; ``page`` is what the reply before said of the next one."""
    query = {key: _put(text, ids, account) for key, text in lookup.query.items()}
    if deleted:
        query |= lookup.deleted_query
    if page:
        query[lookup.page_query] = page
    url = lookup.url
    if "{" in url:
        url = _put(url, [_escaped(one) for one in ids], _escaped(account))
    return Call(lookup.method, url, query, body(lookup, ids, account))


def body(lookup: Lookup, ids: Sequence[str], account: str = "") -> bytes | None:
    """The request body for these ids, as ASCII JSON, which any text fits into.

    In ``lookup.body`` each text ``@ids`` becomes the list of inputs; in each input, made from
    ``lookup.input``, the text ``@id`` becomes the id. Neither template is changed.
    """
    if lookup.body is None:
        return None
    marks = {"@ids": [_filled(lookup.input, {"@id": one}) for one in ids], "@account": account}
    if lookup.single:
        marks["@id"] = ids[0]
    return json.dumps(_filled(lookup.body, marks), separators=(",", ":")).encode()


def sendable(lookup: Lookup, one: str) -> bool:
    """Whether an id can stand in the URL: ``..`` would lead elsewhere, a comma to two others."""
    everywhere = [lookup.url, *lookup.query.values()]
    if not any("{id" in text for text in everywhere):
        return True
    if len(one) > LONGEST_ID or one in (".", "..") or _SURROGATE.search(one):
        return False
    return "," not in one or not any("{ids}" in text for text in everywhere)


def _filled(template: Json, marks: Mapping[str, Json]) -> Json:
    if isinstance(template, dict):
        return {key: _filled(below, marks) for key, below in template.items()}
    if isinstance(template, list):
        return [_filled(below, marks) for below in template]
    return marks.get(template, template) if isinstance(template, str) else template


def _put(text: str, ids: Sequence[str], account: str) -> str:
    """The text with its marks replaced, each once and none inside what was put in."""
    if "{" not in text:
        return text
    pieces = text.replace("{ids}", "\0ids\0").replace("{id}", "\0id\0")
    values = {"id": ids[0] if ids else "", "ids": ",".join(ids), "account": account}
    parts = pieces.replace("{account}", "\0account\0").split("\0")
    return "".join(values[one] if at % 2 else one for at, one in enumerate(parts))


def _escaped(text: str) -> str:
    return quote(text, safe="", errors="replace")
