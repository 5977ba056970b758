"""The body of an HTTP reply as it was before it was packed for its way, within a bound.

HTTP libraries unpack a piece whole before anybody can look at its size, and every encoding that a
reply names on top of another: a thousand bytes of it can stand for all the memory there is.
"""

from __future__ import annotations

import zlib

ASKED = "gzip"
"""What clients that read by this module ask for: ``Accept-Encoding``."""


class PackedTooLargeError(Exception):
    """There is more in it than may be read."""


class NotUnpackedError(Exception):
    """``str()``: what is wrong, to go on from "a reply"."""


def unpacked(raw: bytes, encoding: str, most: int) -> bytes:
    """What ``raw`` holds, at most ``most`` bytes; ``encoding`` is its ``Content-Encoding``.

    Errors: ``PackedTooLargeError``, ``NotUnpackedError``.
    """
    form = encoding.strip().lower()
    if form in ("", "identity"):
        if len(raw) > most:
            raise PackedTooLargeError
        return raw
    if form not in ("gzip", "x-gzip", "deflate"):
        raise NotUnpackedError("in an encoding that nobody asked for")
    stream = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, told apart by the header
    try:
        plain = stream.decompress(raw, most + 1)
    except zlib.error:
        raise NotUnpackedError("that does not decompress") from None
    if len(plain) > most:
        raise PackedTooLargeError
    if not stream.eof:
        raise NotUnpackedError("that breaks off")
    return plain
