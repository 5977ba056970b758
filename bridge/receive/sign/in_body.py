"""Put into a sample's body, or beside it, what its source expects to find there."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

from bridge.errors import DecodeError, VerifyError
from bridge.model import BodyScheme, Decoder, EqualScheme, Json, Place
from bridge.receive.decode import decode, redacted
from bridge.receive.decode.places import values_at, with_value
from bridge.receive.sign.credentials import told
from bridge.receive.sign.draft import Draft
from bridge.receive.verify.any_of import MAX_DEPTH
from bridge.receive.verify.in_body import shown


def add_to_body(scheme: BodyScheme, draft: Draft) -> Draft:
    """The draft with the secret in its body.

    Errors: ``VerifyError`` if it cannot be put there.
    """
    return _with_text(draft, scheme.decoder, scheme.place, told(scheme.token, draft))


def add_equal(scheme: EqualScheme, draft: Draft) -> Draft:
    """The draft with what its tenant is known by; what already fits stays as it is.

    Errors: ``VerifyError`` if it cannot be put there.
    """
    if scheme.values:
        wanted = scheme.values[0]
    elif scheme.body is not None:
        wanted = _text_at(draft, scheme.decoder, scheme.body)
    else:
        wanted = draft.header(scheme.header or "")
    if scheme.header is not None:
        draft = draft.with_header(scheme.header, wanted)
    if scheme.query is not None:
        draft = draft.with_parameter(scheme.query, wanted)
    if scheme.body is not None and scheme.values:
        for value in values_at(_document(draft, scheme.decoder), scheme.body):
            length = scheme.length or None
            if isinstance(value, str) and value[:length] in [x[:length] for x in scheme.values]:
                return draft
        draft = _with_text(draft, scheme.decoder, scheme.body, wanted)
    return draft


def _with_text(draft: Draft, decoder: Decoder, place: Place, text: str) -> Draft:
    document = _document(draft, decoder)
    found = values_at(document, place)
    if found and all(value == text for value in found):
        return draft
    if decoder is Decoder.XML:
        raise VerifyError(
            f"XML is sent as it is: put what is expected at {shown(place)} into the sample"
        )
    if decoder is Decoder.JSON:
        changed = with_value(document, place, text)
        return draft.with_body(json.dumps(changed, ensure_ascii=False).encode())
    left = redacted(decoder, draft.body, document, [place])
    name = place[0] + "".join(f"[{step}]" for step in place[1:])
    pair = f"{quote_plus(name)}={quote_plus(text)}".encode()
    return draft.with_body(pair if left == b"&" else left + b"&" + pair)


def _text_at(draft: Draft, decoder: Decoder, place: Place) -> str:
    for value in values_at(_document(draft, decoder), place):
        if isinstance(value, str | int) and value != "":
            return str(value)
    raise VerifyError(f"the sample has no text at {shown(place)}: put one there")


def _document(draft: Draft, decoder: Decoder) -> Json:
    try:
        return decode(decoder, draft.body, max_depth=MAX_DEPTH)
    except DecodeError as error:
        raise VerifyError(f"the sample cannot be read: {error}") from None
