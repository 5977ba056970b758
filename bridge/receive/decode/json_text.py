"""JSON as CRMs send it: RFC 8259 in UTF-8, big integers kept, the last of duplicate keys wins.

Wider than the RFC in one thing: line ends and other control characters may stand unescaped in a
string, since bodies that a CRM fills in from a template carry whatever a person typed.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import NoReturn

from bridge import jsontext
from bridge.errors import DecodeError
from bridge.model import Json
from bridge.receive.decode.bounds import Bounds

# Longest first: the mark of UTF-32 in little-endian order begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Integers of so many digits, which the quick reader might round, are left to the other one. They
# are looked for in the body with a 0 for every digit: a pattern takes five times as long. Of
# nineteen in a row six stand among every third byte, wherever they begin: most bodies have not even
# those, and to see that takes half as long.
_UNSURE = b"0" * 19
_EVERY_THIRD = b"0" * 6
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_json(body: bytes, bounds: Bounds) -> Json:
    """The document. A lone surrogate in a string becomes U+FFFD, since it is no character.

    CRMs that cut a text after so many UTF-16 units leave such halves behind.

    Errors: ``DecodeError`` with line and column.
    """
    if not _unsure(body):
        try:
            document: Json = jsontext.loads(body)
        except ValueError:
            pass  # what is wrong, if anything is, is for the reader below to say
        else:
            bounds.require_document(document, body)
            return document
    text = utf8_text(body)
    if not text.strip():
        raise DecodeError("the body is empty")
    try:
        document = json.loads(
            text, strict=False, parse_constant=_refuse_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise DecodeError(f"line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise DecodeError(f"the body: nested deeper than {bounds.depth} levels") from None
    except ValueError:
        # Python refuses to read integers of more digits than sys.get_int_max_str_digits().
        raise DecodeError("the body holds an integer of thousands of digits") from None
    bounds.require_document(document)
    return _without_lone_surrogates(document) if _SURROGATE_ESCAPE.search(text) else document


def _unsure(body: bytes) -> bool:
    """Whether there may be an integer in a body that the quick reader would round."""
    every_third = body[::3].translate(_DIGITS)
    return _EVERY_THIRD in every_third and _UNSURE in body.translate(_DIGITS)


def utf8_text(body: bytes) -> str:
    """The text of a body in UTF-8, with or without byte order mark.

    Errors: ``DecodeError`` for every other encoding.
    """
    for mark, name in _OTHER_MARKS:
        if body.startswith(mark):
            raise DecodeError(f"the body is {name}; only UTF-8 is read")
    if b"\x00" in body[:4]:
        raise DecodeError("the body holds NUL bytes at its beginning, as UTF-16 does; send UTF-8")
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start + 1}: not UTF-8") from None


def _refuse_constant(name: str) -> NoReturn:
    raise DecodeError(f"the body holds {name}, which is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise DecodeError("the body holds a number that is too large to be kept")
    return number


def _without_lone_surrogates(document: Json) -> Json:
    # Recursion is safe here: the depth was checked before.
    if isinstance(document, str):
        return _LONE_SURROGATE.sub("\ufffd", document)
    if isinstance(document, list):
        return [_without_lone_surrogates(item) for item in document]
    if isinstance(document, dict):
        return {
            _LONE_SURROGATE.sub("\ufffd", key): _without_lone_surrogates(value)
            for key, value in document.items()
        }
    return document
