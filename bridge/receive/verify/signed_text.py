"""The bytes that a signature covers, put together from the parts that a scheme names."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from urllib.parse import unquote_to_bytes

from bridge.errors import VerifyError
from bridge.receive.verify.evidence import MOST_PARAMETERS, as_sent, as_utf8

URL = "url"
PARTS = ("body", "body_base64", "timestamp", URL, "method", "form")
COVER_BODY = frozenset({"body", "body_base64", "form"})
HEADER = "header:"
GROUP = "group:"
TEXT = "text:"

_ADDRESS = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL)
_STANDARD_PORT = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Material:
    """What the parts are taken from. ``header`` gives a header's value or raises VerifyError."""

    method: str
    url: str
    body: bytes
    timestamp: str | None
    header: Callable[[str], str]
    groups: Mapping[str, str] = field(default_factory=dict)


def signed_texts(parts: tuple[str, ...], material: Material) -> list[bytes]:
    """Every reading of what was signed; more than one only where the URL takes part.

    Errors: ``VerifyError`` if a part cannot be had from this request.
    """
    return [b"".join(choice) for choice in product(*(_readings(p, material) for p in parts))]


def _readings(part: str, material: Material) -> list[bytes]:
    if part == URL:
        return [as_sent(url) for url in port_readings(material.url)]
    return [_one_reading(part, material)]


def _one_reading(part: str, material: Material) -> bytes:
    if part == "body":
        return material.body
    if part == "body_base64":
        return base64.b64encode(material.body)
    if part == "form":
        return form_text(material.body)
    if part == "method":
        return as_sent(material.method)
    if part.startswith(HEADER):
        return as_sent(material.header(part.removeprefix(HEADER)))
    if part.startswith(GROUP) and part.removeprefix(GROUP) in material.groups:
        return as_sent(material.groups[part.removeprefix(GROUP)])
    if part.startswith(TEXT):
        return as_utf8(part.removeprefix(TEXT))
    if part == "timestamp" and material.timestamp is not None:
        return as_sent(material.timestamp)
    raise VerifyError(f"the part {part} of what is signed cannot be had from the request")


def port_readings(url: str) -> tuple[str, ...]:
    """The URL as it is, and the same with the standard port written out or left out.

    Twilio signs either spelling, and its own libraries try both:
    https://www.twilio.com/docs/usage/webhooks/webhooks-security
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return (url,)
    scheme, host, rest = match.groups()
    port = _STANDARD_PORT[scheme]
    if host.endswith(port):
        return (url, f"{scheme}://{host.removesuffix(port)}{rest}")
    if re.search(r":[0-9]+$", host):
        return (url,)
    return (url, f"{scheme}://{host}{port}{rest}")


def form_text(body: bytes) -> bytes:
    """The names and values of a form, decoded, sorted by name and by value, joined by nothing.

    A pair that occurs twice counts once; empty values count. This is how Twilio's own libraries
    compute it: https://www.twilio.com/docs/usage/webhooks/webhooks-security
    """
    if body.count(b"&") >= MOST_PARAMETERS:
        raise VerifyError("the form has too many pairs")
    pairs: set[tuple[bytes, bytes]] = set()
    for pair in body.split(b"&"):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            pairs.add((unquote_to_bytes(name), unquote_to_bytes(value)))
    return b"".join(name + value for name, value in sorted(pairs))
