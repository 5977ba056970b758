"""Go on with a file of a period that broke off: how far it holds, and from where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from bridge.errors import ExportError
from bridge.operate.export.chain import Seal
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Tip
from bridge.operate.export.subject import Period
from bridge.operate.export.verify import Line, Reading, WrongLineError
from bridge.operate.export.walk import Seen


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that broke off. ``at``: how many bytes of it stay; ``tip``: the end of those.

    The last delivery in it may not be whole, so it is told anew.
    """

    header: dict[str, Any]
    period: Period
    form: Form
    seal: Seal
    at: int
    tip: Tip
    seen: Seen


def look(stream: BinaryIO, keys: Sequence[str]) -> Broken:
    """How far a file holds. Errors: ``ExportError`` that says why it cannot be gone on with."""
    reading = Reading(stream, keys)
    seen, begun = Seen(), Seen()
    header: Line | None = None
    at, tip = 0, Tip()
    try:
        for line in reading:
            record = line.record
            match record["kind"]:
                case "export":
                    header, at, tip = line, line.end, Tip(line.number, line.hash)
                case "end":
                    raise ExportError("this file is whole; there is nothing to go on with.")
                case "delivery":
                    # whatever stands before it stays
                    at, tip = line.at, Tip(line.number - 1, line.before)
                    seen = replace(begun, versions=set(begun.versions), replays=set(begun.replays))
                    begun.after = record["receipt"]
                    begun.deliveries += 1
                case "mapping":
                    begun.versions.add(record["mapping"])
                case "outcome" if record["replay"]:
                    begun.replays.add(record["replay"])
    except WrongLineError as error:
        if not error.torn:
            raise ExportError(f"{error}. Only a file that broke off is gone on with.") from None
    if header is None:
        raise ExportError("this file has no first line; delete it, and export anew.")
    period = _period(header.record["subject"])
    return Broken(header.record, period, reading.form, reading.seal, at, tip, seen)


def _period(said: dict[str, Any]) -> Period:
    if said["of"] != "period":
        raise ExportError("only the file of a period is gone on with; export the lead anew.")
    return Period.from_json(said)
