"""Log lines under the names of the Elastic Common Schema, for whatever collects them.

https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html. Keys are written flat, with
dots, which ECS allows and every collector reads. What ECS has no name for stands under
``crmbridge.``, so that it never meets a field of somebody else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

from bridge import __version__

VERSION = "8.11.0"
"""Of ECS."""

OWN = "crmbridge."

NAMES = {
    "timestamp": "@timestamp",
    "level": "log.level",
    "event": "message",
    "logger": "log.logger",
    "stage": "log.logger",
    "thread": "process.thread.name",
    "worker": "service.node.name",
    "actor": "user.name",
    "who": "user.name",
    "address": "source.address",
    "url": "url.original",
    "exit_code": "process.exit_code",
    "bytes": "http.request.body.bytes",
    "error": "error.message",
    "error_type": "error.type",
    "exception": "error.stack_trace",
}
"""Our names → those of ECS; every other one goes below ``crmbridge.``."""

ENDS: Mapping[str, str] = {
    "updated": "success",
    "not_found": "failure",
    "rejected": "failure",
    "dead": "failure",
    "unconfirmed": "unknown",
    "standing": "unknown",
}
"""``event.outcome`` of an outcome; the others neither succeeded nor failed."""

Renamed = dict[tuple[str, ...], list[str]]
"""Names of fields, in the order of a line → those of ECS."""

NS_PER_MS = 1_000_000
MOST_NAMES = 1000


class Names:
    """Gives a line its ECS names. What is the same in every line of the process is found once."""

    def __init__(self) -> None:
        self._always = {
            "ecs.version": VERSION,
            "service.name": "crm-bridge",
            "service.version": __version__,
        }
        self._known: dict[str, str] = dict(NAMES)

    def __call__(self, line: MutableMapping[str, Any]) -> dict[str, Any]:
        """The same line with the names of ECS; takes the given one apart."""
        said = str(line.pop("event", ""))
        of_library = said == "library" and "message" in line
        found: dict[str, Any] = {
            "@timestamp": line.pop("timestamp", None),
            "log.level": line.pop("level", None),
            "message": line.pop("message") if of_library else said,
            **self._always,
            "process.pid": os.getpid(),
        }
        if not of_library:
            found["event.action"] = said
        if isinstance(line.get("elapsed_ms"), int):
            found["event.duration"] = line.pop("elapsed_ms") * NS_PER_MS
        end = line.get("outcome")
        if isinstance(end, str) and end in ENDS:
            found["event.outcome"] = ENDS[end]
        known = self._known
        for name, value in line.items():
            found[known.get(name) or self._learn(name)] = value
        return found

    def beside(self, fields: dict[str, Any], renamed: Renamed) -> dict[str, Any]:
        """What tells a line from others of its event, which have all the rest in common.

        ``renamed`` keeps the names of each set of fields from one line to the next.
        """
        keys = tuple(fields)
        own = renamed.get(keys)
        if own is None:
            own = renamed[keys] = [self._known.get(key) or self._learn(key) for key in keys]
        found = dict(zip(own, fields.values(), strict=True))
        elapsed, end = fields.get("elapsed_ms"), fields.get("outcome")
        if isinstance(elapsed, int):
            del found[OWN + "elapsed_ms"]
            found["event.duration"] = elapsed * NS_PER_MS
        if isinstance(end, str) and end in ENDS:
            found["event.outcome"] = ENDS[end]
        return found

    def _learn(self, ours: str) -> str:
        """A name of our own; kept, within bounds, since they come from the code."""
        if len(self._known) < MOST_NAMES:
            self._known[ours] = OWN + ours
        return OWN + ours


def with_error(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
    """A structlog processor: beside a traceback, the type and the words of its error."""
    caught = line.get("exc_info")
    error = _error_of(caught)
    if error is not None:
        line.setdefault("error_type", type(error).__name__)
        line.setdefault("error", str(error))
    return line


def _error_of(caught: Any) -> BaseException | None:
    if caught is True:
        return sys.exc_info()[1]
    if isinstance(caught, BaseException):
        return caught
    if isinstance(caught, tuple) and len(caught) == 3:
        found = caught[1]
        return found if isinstance(found, BaseException) else None
    return None
