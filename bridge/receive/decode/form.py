"""Forms (``application/x-www-form-urlencoded``): flat names and values.

Source: https://url.spec.whatwg.org/#application/x-www-form-urlencoded, except that what is not
UTF-8 is refused instead of replaced.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from bridge.errors import DecodeError
from bridge.model import Json
from bridge.receive.decode.bounds import Bounds

_OTHER = re.compile(
    rb"(?P<JSON>\{\s*[\"}]|\[\s*[\"{\[\]])|(?P<XML><[?!a-zA-Z])"
    rb"|(?P<multipart>--(?i:.{1,200}?form-data;))",
    re.DOTALL,
)
"""How bodies begin that are no such form: read as one they say nothing, an opt-out neither."""


def decode_form(body: bytes, bounds: Bounds) -> Json:
    """Names with their values as text; a name that occurs more than once has a list.

    Empty values are kept, and a name without ``=`` has an empty value. A ``%`` that no two
    hexadecimal digits follow stands for itself.

    Errors: ``DecodeError`` that counts pairs from 1.
    """
    bounds.require_depth(1)
    document: dict[str, Json] = {}
    for name, value in form_pairs(body, bounds):
        if name not in document:
            document[name] = value
        elif isinstance(document[name], list):
            document[name].append(value)
        else:
            bounds.require_depth(2)
            document[name] = [document[name], value]
    return document


def form_pairs(body: bytes, bounds: Bounds) -> Iterator[tuple[str, str]]:
    """The pairs of a form in order, decoded.

    Errors: ``DecodeError`` if there are too many, one is not UTF-8, or the body is another format.
    """
    # Counted before the body is cut up, so that a flood of pairs costs one pass and no memory.
    bounds.require_keys(body.count(b"&") + 1)
    body = body.strip().removeprefix(codecs.BOM_UTF8)
    other = _OTHER.match(body)
    if other is not None:
        raise DecodeError(f"the body is {other.lastgroup}, and the mapping file reads a form")
    pairs = body.split(b"&")
    for number, pair in enumerate(pairs, 1):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            yield _text(name, number), _text(value, number)


def _text(raw: bytes, number: int) -> str:
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise DecodeError(f"pair {number} of the form: not UTF-8") from None
