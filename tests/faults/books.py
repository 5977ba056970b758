"""The accounts of a run, from the database alone: received = accounted for.

The oracle knows the deliveries whose 2xx arrived. Here every stored delivery counts, also those
whose answer was lost, so that "once" can be told exactly.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bridge_process import Bridge
from system.oracle import FINAL
from system.story import Story, Told

from bridge.store.packing import unpacked

FINALS = "SELECT id, state FROM outcome WHERE state NOT IN ('waiting', 'in_flight', 'standing')"


def finals(bridge: Bridge) -> dict[int, str]:
    """Every final outcome at this moment: its id and state."""
    with bridge.database.read() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(FINALS)}


def check_finals_stay(before: Mapping[int, str], after: Mapping[int, str]) -> None:
    """No event has had two final outcomes."""
    changed = {i: (state, after.get(i)) for i, state in before.items() if after.get(i) != state}
    assert not changed, f"final outcomes that changed: {changed}"


def check_books(
    bridge: Bridge, story: Story, receipts: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Every 2xx is on disk; every event ends once per campaign and lead, its copies apart."""
    with bridge.database.read() as connection:
        query = "SELECT receipt, state, body, body_size FROM delivery"
        stored = connection.exec_driver_sql(query).all()
    assert len(set(receipts)) == len(receipts), "a receipt was given twice"
    lost = set(receipts) - {row[0] for row in stored}
    assert not lost, f"acknowledged, and not on disk: {lost}"
    assert {row[1] for row in stored} <= {"done"}, "deliveries that nobody worked on"
    ends: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        ends[row["receipt"], row["ordinal"]].append(row)
    told = {_text(one.body): one for one in story.told}
    firsts: Counter[str] = Counter()
    places = 0
    for receipt, _, body, size in stored:
        for ordinal, event in enumerate(json.loads(unpacked(body, size))):
            places += 1
            one, found = told[_text(event)], ends[receipt, ordinal]
            if [row["state"] for row in found] == ["duplicate"]:
                continue
            firsts[one.id] += 1
            _check_ends(one, found)
    assert len(ends) == places, "outcomes of events that nobody sent"
    with_identity = {one.id for one in story.told if isinstance(one.body, dict)}
    wrong = {name: firsts[name] for name in with_identity if firsts[name] != 1}
    assert not wrong, f"events that counted more or less than once: {wrong}"


def _check_ends(one: Told, found: Sequence[Mapping[str, Any]]) -> None:
    states = [row["state"] for row in found]
    assert set(states) <= FINAL, (one, states)
    if one.end:
        assert states == [one.end], (one, states)
        return
    ends = Counter((row["campaign"], row["phone"]) for row in found)
    wanted = Counter((name, one.phone) for name in one.campaigns)
    assert ends == wanted, f"{one}: ended for {ends} instead of {wanted}"
    assert not set(states) & {"dead", "duplicate"}, (one, found)


def _text(body: Any) -> str:
    return json.dumps(body, sort_keys=True)
