"""The body of a batch read, made from the templates that a mapping file declares."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bridge.model import Json, Lookup


def body(lookup: Lookup, ids: Sequence[str]) -> bytes:
    """The request body for these ids, as ASCII JSON, which any text fits into.

    In ``lookup.body`` each text ``@ids`` becomes the list of inputs; in each input, made from
    ``lookup.input``, the text ``@id`` becomes the id. Neither template is changed.
    """
    inputs = [_filled(lookup.input, "@id", one) for one in ids]
    document = _filled(lookup.body, "@ids", inputs)
    return json.dumps(document, separators=(",", ":")).encode()


def _filled(template: Json, mark: str, value: Json) -> Json:
    if isinstance(template, dict):
        return {key: _filled(below, mark, value) for key, below in template.items()}
    if isinstance(template, list):
        return [_filled(below, mark, value) for below in template]
    return value if template == mark else template
