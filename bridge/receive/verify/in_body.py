"""A secret in the decoded body, and the check that a request is for the right tenant."""

from __future__ import annotations

from bridge.errors import VerifyError
from bridge.model import BodyScheme, Decoder, EqualScheme, Json, Place, Verified
from bridge.receive.decode.places import values_at
from bridge.receive.verify.evidence import (
    any_equal,
    as_sent,
    as_utf8,
    required_header,
    required_parameter,
)
from bridge.receive.verify.keys import live_keys
from bridge.receive.verify.opened import Opened


def prove_body(scheme: BodyScheme, opened: Opened) -> Verified:
    """Compare what stands in the body with every live value of the secret.

    Errors: ``VerifyError`` with the reason.
    """
    given = _in_body(opened, scheme.decoder, scheme.place)
    expected = live_keys(scheme.token)
    if not all(any_equal([value], expected) for value in given):
        raise VerifyError(
            f"what stands at {shown(scheme.place)} in the body does not match the secret "
            f"{scheme.token.name}"
        )
    return Verified("body")


def prove_equal(scheme: EqualScheme, opened: Opened) -> Verified:
    """Compare a part of the request with what the file expects, or with another part.

    Errors: ``VerifyError`` with the reason.
    """
    sides: list[tuple[str, list[bytes]]] = []
    if scheme.body is not None:
        sides.append((shown(scheme.body), _in_body(opened, scheme.decoder, scheme.body)))
    if scheme.header is not None:
        value = as_sent(required_header(opened.request, scheme.header))
        sides.append((scheme.header, [value]))
    if scheme.query is not None:
        sides.append((scheme.query, [required_parameter(opened.request, scheme.query)[0]]))
    if scheme.values:
        sides.append(("the value in the mapping file", []))
        allowed = [_cut(as_utf8(value), scheme.length) for value in scheme.values]
    else:
        allowed = [_cut(value, scheme.length) for value in sides[1][1]]
    given = [_cut(value, scheme.length) for value in sides[0][1]]
    if not all(any_equal([value], allowed) for value in given):
        raise VerifyError(f"{sides[0][0]} is not equal to {sides[1][0]}")
    return Verified("equals")


def shown(place: Place) -> str:
    """A place for a message: ``a.b.c``."""
    return ".".join(place)


def _in_body(opened: Opened, decoder: Decoder, place: Place) -> list[bytes]:
    found = values_at(opened.document(decoder), place)
    texts = [_text(value) for value in found]
    if not texts or None in texts or "" in texts:
        raise VerifyError(f"the body has no text at {shown(place)}")
    return [as_utf8(text) for text in texts if text is not None]


def _text(value: Json) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _cut(value: bytes, length: int | None) -> bytes:
    if length is None:
        return value
    if len(value) < length:
        raise VerifyError(f"a value that is compared has fewer than {length} characters")
    return value[:length]
