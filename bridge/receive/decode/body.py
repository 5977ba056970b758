"""Decode a body by the decoder that its source declares."""

from __future__ import annotations

from bridge.errors import DecodeError
from bridge.model import Decoder, Json, Reading
from bridge.receive.decode.bounds import Bounds
from bridge.receive.decode.form import decode_form
from bridge.receive.decode.json_text import decode_json
from bridge.receive.decode.nested_form import decode_nested_form
from bridge.receive.decode.places import with_lists
from bridge.receive.decode.xml_text import decode_xml


def decode(how: Reading | Decoder, body: bytes, *, max_depth: int, max_keys: int = 20_000) -> Json:
    """The document in a body, read as its source declares.

    ``max_depth`` counts the objects and lists (in XML: the elements) that stand inside each other.
    ``max_keys`` bounds the members of one JSON object, the pairs of a form (in a nested one every
    key of every name), and the elements and attributes of an XML document.

    Errors: ``DecodeError``, and nothing else, with place and reason.
    """
    bounds = Bounds(max_depth, max_keys)
    decoder, lists = (how.decoder, how.lists) if isinstance(how, Reading) else (how, ())
    if not body.strip():
        raise DecodeError("the body is empty")
    try:
        return with_lists(_document(decoder, body, bounds), lists)
    except (RecursionError, MemoryError) as error:
        raise DecodeError(f"the body is too deep or too large ({type(error).__name__})") from None


def _document(decoder: Decoder, body: bytes, bounds: Bounds) -> Json:
    match decoder:
        case Decoder.JSON:
            return decode_json(body, bounds)
        case Decoder.FORM:
            return decode_form(body, bounds)
        case Decoder.NESTED_FORM:
            return decode_nested_form(body, bounds)
        case Decoder.XML:
            return decode_xml(body, bounds)
