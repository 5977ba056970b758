"""Answers to webhooks are counted: how many, with which status, how long they took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.receive.hooks import Hooks
from bridge.receive.reply import Reply
from bridge.receive.whole import Whole
from bridge.store.counters import Counts

NO_SOURCE_YET = (404, 500, 501)
"""Statuses that may come before it is known whether there is such a source."""


@dataclass(frozen=True, slots=True)
class CountedHooks:
    """Hooks whose answers are counted. ``start``: called before each count; see ``Flusher``."""

    hooks: Hooks
    counts: Counts
    start: Callable[[], None]

    def answer(self, environ: dict[str, Any], source: str, token: str | None) -> Reply:
        """The reply of the hooks."""
        began, status = time.perf_counter(), 500
        try:
            reply = self.hooks.answer(environ, source, token)
            status = reply.status
        finally:
            self._count(source, status, began)
        return reply

    def answer_whole(self, arrived: Whole, peer: str) -> Reply:
        """The same for a webhook that arrived in one piece."""
        began, status = time.perf_counter(), 500
        try:
            reply = self.hooks.answer_whole(arrived, peer)
            status = reply.status
        finally:
            self._count(arrived.source, status, began)
        return reply

    def _count(self, source: str, status: int, began: float) -> None:
        self.start()
        elapsed_ms = (time.perf_counter() - began) * 1000
        self.counts.answered(self._known(source, status), status, elapsed_ms)

    def _known(self, source: str, status: int) -> str:
        """The source; blank if there is none of that name, so that nobody can invent names."""
        if status in NO_SOURCE_YET and source not in self.hooks.acceptor.sources():
            return ""
        return source
