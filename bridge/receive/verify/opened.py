"""A request whose body can be looked into before it is verified, for secrets that stand in it.

Opened at most once, however many schemes ask, within the limits on depth and number of keys; and
until some secret of the request was right, only a body that is small: reading a large one takes
time that strangers must not have for nothing.
"""

from __future__ import annotations

from bridge.errors import DecodeError, VerifyError
from bridge.model import Decoder, Json, Request
from bridge.receive.decode import decode


class Opened:
    """The request and, once asked for, the document in its body."""

    def __init__(self, request: Request, max_depth: int, max_unverified: int) -> None:
        self.request = request
        self._max_depth = max_depth
        self._max_bytes: int | None = max_unverified
        self._read: tuple[Decoder, Json] | None = None

    def trust(self) -> None:
        """Whoever sent this knows a secret, so the body may be as large as any."""
        self._max_bytes = None

    def document(self, decoder: Decoder) -> Json:
        """The document in the body. Errors: ``VerifyError`` if it cannot be read."""
        if self._read is None or self._read[0] is not decoder:
            if self._max_bytes is not None and len(self.request.body) > self._max_bytes:
                raise VerifyError(
                    f"the body has more than {self._max_bytes} bytes, too many to be opened before "
                    "it is verified (BRIDGE_MAX_UNVERIFIED)"
                )
            try:
                found = decode(decoder, self.request.body, max_depth=self._max_depth)
            except DecodeError as error:
                raise VerifyError(f"the body cannot be read: {error}") from None
            self._read = decoder, found
        return self._read[1]
