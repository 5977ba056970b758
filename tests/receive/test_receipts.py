"""Receipts: each is given away once, whoever asks, and in whichever process."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

from bridge.receive.accept import new_receipt

NOW = 1_790_000_000_000


def receipts(count: int) -> list[str]:
    return [new_receipt(NOW) for _ in range(count)]


def test_a_receipt_begins_with_its_time_and_has_32_digits() -> None:
    for receipt in receipts(600):
        assert re.fullmatch("[0-9a-f]{32}", receipt)
        assert int(receipt[:12], 16) == NOW


def test_threads_never_get_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [one for many in pool.map(receipts, [5_000] * 16) for one in many]
    assert len(set(found)) == len(found) == 80_000


def test_a_process_that_was_forked_off_gives_away_none_of_its_parents() -> None:
    receipts(1)  # what is kept for later, the child has as well
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "\n".join(receipts(300)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        theirs = stream.read().split("\n")
    os.waitpid(child, 0)
    assert len(theirs) == 300
    assert not set(theirs) & set(receipts(300))
