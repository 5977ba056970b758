"""Verify a file: whether its lines are what was written, all of them, in that order."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from bridge.errors import ExportError
from bridge.operate.export.chain import FORMAT, Seal
from bridge.operate.export.lines import HEAD, LONGEST, Form, parted, record_of

_NAMED = {"export": ("export", "made_at", "made_by"), "end": ("ended_at",)}
"""Which texts a record of these kinds has to have."""

LINE_ENDS = (
    "its end was changed from LF to CRLF, as editors, mail and Git do; "
    "verify the file as it was exported"
)
CHANGED = "it was changed, or lines before it were taken out, put in or moved"


class WrongLineError(Exception):
    """The first line (from 1) that is not what it should be, and why.

    ``torn``: the file ends in the middle of it.
    """

    def __init__(self, number: int, why: str, *, torn: bool = False) -> None:
        self.number = number
        self.why = why
        self.torn = torn
        super().__init__(f"line {number} is wrong: {why}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that holds, from byte ``at`` to byte ``end``. ``before``: the hash before it."""

    number: int
    at: int
    end: int
    before: str
    hash: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that holds from its first line to its last."""

    header: dict[str, Any]
    end: dict[str, Any]
    form: Form
    lines: int
    hash: str


def verify(stream: BinaryIO, keys: Sequence[str]) -> Whole:
    """Read a file to its end. ``keys``: the secrets that may have sealed it.

    Errors: ``WrongLineError``; ``ExportError`` if it cannot be told, for want of the right key.
    """
    header: dict[str, Any] | None = None
    last: Line | None = None
    reading = Reading(stream, keys)
    for last in reading:
        header = header or last.record
    if last is None or header is None or last.record["kind"] != "end":
        raise WrongLineError(reading.lines + 1, "it is missing: the end of the file was cut off")
    return Whole(header, last.record, reading.form, last.number, last.hash)


class Reading:
    """The lines of a file that hold, one after the other; knows its form once it has begun.

    Errors while iterating: as ``verify``, but a file that ends before its last line is no error.
    """

    def __init__(self, stream: BinaryIO, keys: Sequence[str]) -> None:
        self._stream = stream
        self._keys = keys
        self.form = Form.JSONL
        self.seal = Seal()
        self.lines = 0
        self._at = 0

    def __iter__(self) -> Iterator[Line]:
        number, before, ended, first = 0, "", False, True
        while text := self._stream.readline(LONGEST + 1):
            self.lines = number = number + 1
            if text.endswith(b"\r\n"):  # no line ends like this when it is written
                raise WrongLineError(number, LINE_ENDS)
            if number == 1 and not text.startswith(b"{"):
                self.form = Form.CSV
                if text != HEAD:
                    raise WrongLineError(1, "no file of this kind begins like this")
                self._at += len(text)
                continue
            if ended:
                raise WrongLineError(number, "it follows the line that ends the file")
            found = self._line(number, text, before, first=first)
            yield found
            first, before, ended = False, found.hash, found.record["kind"] == "end"
            self._at += len(text)

    def _line(self, number: int, text: bytes, before: str, *, first: bool) -> Line:
        pair = parted(self.form, text)
        if not text.endswith(b"\n") and pair is None:
            raise WrongLineError(number, "it is cut off", torn=True)
        record = record_of(self.form, pair[0]) if pair else None
        if pair is None or record is None:
            raise WrongLineError(number, f"{CHANGED}: it is not made like one")
        if first:
            self.seal = self._sealed_by(number, record)
        content, hash_ = pair
        if not hmac.compare_digest(self.seal.hash(before, content).encode(), hash_.encode()):
            raise WrongLineError(number, CHANGED)
        kind = record.get("kind")
        right = record.get("line") == number and (kind == "export") is first
        if kind == "end":
            counted = (record.get("lines"), record.get("last_hash"))
            right = right and counted == (number - 1, before)
        named = _NAMED.get(kind, ("kind",)) if isinstance(kind, str) else ("kind",)
        if not right or not all(isinstance(record.get(name), str) for name in named):
            raise WrongLineError(number, "it does not belong here")
        return Line(number, self._at, self._at + len(text), before, hash_, record)

    def _sealed_by(self, number: int, header: dict[str, Any]) -> Seal:
        if header.get("kind") != "export" or header.get("format") != FORMAT:
            raise WrongLineError(number, f"it does not say that this is {FORMAT}")
        seals = [Seal(), *map(Seal.by, self._keys)]
        said = (header.get("algorithm"), header.get("key"))
        for seal in seals:
            if said == (seal.algorithm, seal.fingerprint):
                return seal
        if said[0] == "hmac-sha256":
            which = "another key" if self._keys else "a key"
            raise ExportError(
                f"this file was sealed with {which}. Set BRIDGE_EVIDENCE_KEY (or "
                "BRIDGE_EVIDENCE_KEY_PREVIOUS) to the one that was in force when it was made."
            )
        raise WrongLineError(number, "it names no way of hashing that there is")
