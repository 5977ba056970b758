"""A request whose body can be looked into before it is verified, for secrets that stand in it.

Opened at most once, however many schemes ask, within the limits on bytes (which are held before
a request comes here), depth and number of keys.
"""

from __future__ import annotations

from bridge.errors import DecodeError, VerifyError
from bridge.model import Decoder, Json, Request
from bridge.receive.decode import decode


class Opened:
    """The request and, once asked for, the document in its body."""

    def __init__(self, request: Request, max_depth: int) -> None:
        self.request = request
        self._max_depth = max_depth
        self._read: tuple[Decoder, Json] | None = None

    def document(self, decoder: Decoder) -> Json:
        """The document in the body. Errors: ``VerifyError`` if it cannot be read."""
        if self._read is None or self._read[0] is not decoder:
            try:
                found = decode(decoder, self.request.body, max_depth=self._max_depth)
            except DecodeError as error:
                raise VerifyError(f"the body cannot be read: {error}") from None
            self._read = decoder, found
        return self._read[1]
