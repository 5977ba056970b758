"""Webhooks that come in quickly, as the mark that a web process leaves tells of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.store.database import Database
from bridge.store.right_of_way import MANY

from .waiting import until

EVERY_S = 0.05
"""Less than a mark lasts while deliveries are being written."""


@contextmanager
def flooding(web: Database, worker: Database, *, owing: bool = False) -> Iterator[None]:
    """A block in which they come; it begins when a worker would stand back.

    ``owing``: the worker has had all that it may have, for as long as the block lasts.
    """
    ended = threading.Event()

    def come() -> None:
        while not ended.is_set():
            with web.right_of_way.claim(MANY):
                if owing:
                    worker.right_of_way.held(10.0)
                ended.wait(EVERY_S)

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    try:
        until(lambda: worker.right_of_way.flood)
        yield
    finally:
        ended.set()
        thread.join(10)
