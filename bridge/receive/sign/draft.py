"""A request that is being signed, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from bridge.errors import VerifyError


@dataclass(frozen=True, slots=True)
class Signed:
    """What to send. ``headers`` are the given ones and those that the scheme added.

    Header values are text of ISO 8859-1, as servers give them to applications (PEP 3333).
    ``url`` is the given one, with token or hash added where the scheme puts them there; ``body``
    likewise, for schemes whose secret stands in the body.
    """

    headers: dict[str, str]
    url: str
    scheme: str
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Signed(scheme={self.scheme!r}, headers={sorted(self.headers)})"


@dataclass(frozen=True, slots=True)
class Draft:
    """A request on its way to being signed. ``now_ms``: milliseconds since 1970 UTC.

    ``spoil``: every credential and signature is to come out wrong.
    """

    method: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    now_ms: int
    headers: Mapping[str, str] = field(repr=False)
    private_key: bytes | None = field(default=None, repr=False)
    spoil: bool = False

    def with_header(self, name: str, value: str) -> Draft:
        """The same with one header set, whatever it was before."""
        kept = {key: text for key, text in self.headers.items() if key.lower() != name.lower()}
        return self._with(self.url, {**kept, name: value})

    def with_parameter(self, name: str, value: str) -> Draft:
        """The same with a query parameter added.

        Errors: ``VerifyError`` if the URL has it already: a repeated one is refused.
        """
        parts = urlsplit(self.url)
        pairs = [pair for pair in parts.query.split("&") if pair]
        if any(unquote(pair.partition("=")[0]) == name for pair in pairs):
            raise VerifyError(f"the URL already has the query parameter {name}: leave it out")
        pairs.append(f"{quote(name, safe='')}={quote(value, safe='')}")
        return self._with(urlunsplit(parts._replace(query="&".join(pairs))), self.headers)

    def with_path_token(self, value: str) -> Draft:
        """The same with a token as the last segment of the path."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(value, safe='')}"
        return self._with(urlunsplit(parts._replace(path=path)), self.headers)

    def with_body(self, body: bytes) -> Draft:
        """The same with another body."""
        return replace(self, body=body)

    def made(self, digest: bytes) -> bytes:
        """A signature as it is to go out: itself, or with one bit changed."""
        return digest if not self.spoil else bytes([digest[0] ^ 1]) + digest[1:]

    def header(self, name: str) -> str:
        """The value of a header.

        Errors: ``VerifyError`` if the request does not have it.
        """
        for key, value in self.headers.items():
            if key.lower() == name.lower() and value:
                return value
        raise VerifyError(f"the header {name} is signed: give it a value")

    def _with(self, url: str, headers: Mapping[str, str]) -> Draft:
        return replace(self, url=url, headers=headers)
