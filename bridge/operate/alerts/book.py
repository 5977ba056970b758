"""What a channel is to be told, and when. Pure.

A concern is told once it has lasted for ``wait``, together with all others that show then. It is
told again after growing pauses as long as it lasts, and a last time when all has been well for
``clear``. What came and went before it was due is not told; what was due and could not be told is
told even if it is over by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from bridge.operate.concern import FACTS, Concern, by_key
from bridge.store.alerts import Entry, Key


@dataclass(frozen=True, slots=True)
class Policy:
    """All in ms. ``pause``: between two messages; ``repeat``: until a concern is told again, the
    last one repeats, empty: never."""

    wait: int = 30_000
    pause: int = 300_000
    repeat: tuple[int, ...] = (3_600_000, 14_400_000, 86_400_000)
    clear: int = 120_000


class Turn(StrEnum):
    """What a message says of a concern."""

    NEW = "new"
    LASTS = "lasts"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Item:
    """One concern in a message."""

    turn: Turn
    entry: Entry


def look(
    before: Mapping[Key, Entry], concerns: Iterable[Concern], now: int, policy: Policy
) -> dict[Key, Entry]:
    """What the channel knows of after this look at what is not well."""
    found = by_key(concerns)
    after: dict[Key, Entry] = {}
    for key, concern in found.items():
        known = before.get(key)
        if known is None:
            since = now if concern.since is None else concern.since
            known = Entry(*key, "", False, 0, since, first_at=now)
        elif concern.urgent and not known.urgent and known.told_at is not None:
            # whoever has heard that something was slow has not heard that it may be an opt-out
            known = replace(known, told_at=None)
        after[key] = replace(
            known,
            text=concern.text,
            # for as long as it lasts, so that what comes and goes is not told anew each time
            urgent=concern.urgent or known.urgent,
            size=concern.size,
            gone_at=None,
            owed=known.owed or concern.kind in FACTS or now - known.first_at >= policy.wait,
        )
    for key, known in before.items():
        if key in found:
            continue
        gone = known if known.gone_at is not None else replace(known, gone_at=now)
        heard = known.owed or known.told_at is not None
        if heard or not _is_over(gone, now, policy):
            after[key] = gone
    return after


def due(
    entries: Mapping[Key, Entry], now: int, policy: Policy, *, sent_at: int
) -> tuple[Item, ...]:
    """What to tell now, in one message; empty: nothing. ``sent_at``: the last message."""
    fresh = [e for e in entries.values() if e.told_at is None and e.gone_at is None]
    items = [Item(Turn.OVER, e) for e in entries.values() if _is_over(e, now, policy)]
    items += [Item(Turn.LASTS, e) for e in entries.values() if _again(e, now, policy)]
    ripe = [e for e in fresh if now - e.first_at >= policy.wait]
    if not (ripe or items):
        return ()
    if now - sent_at < policy.pause and not any(e.urgent for e in ripe):
        return ()
    # whoever is told at all hears at once of everything that shows
    items += [Item(Turn.NEW, e) for e in fresh]
    order = list(Turn)
    return tuple(
        sorted(
            items,
            key=lambda i: (order.index(i.turn), not i.entry.urgent, i.entry.since, i.entry.key),
        )
    )


def told(entries: Mapping[Key, Entry], items: Iterable[Item], now: int) -> dict[Key, Entry]:
    """What the channel knows of after it has taken a message with these items."""
    after = dict(entries)
    for item in items:
        if item.turn is Turn.OVER:
            del after[item.entry.key]
        else:
            after[item.entry.key] = replace(
                item.entry,
                owed=True,
                told_at=now,
                told_size=item.entry.size,
                times=item.entry.times + 1,
            )
    return after


def _is_over(entry: Entry, now: int, policy: Policy) -> bool:
    return entry.gone_at is not None and now - entry.gone_at >= policy.clear


def _again(entry: Entry, now: int, policy: Policy) -> bool:
    if entry.told_at is None or entry.gone_at is not None or not policy.repeat:
        return False
    # what has got worse does not wait for longer and longer
    step = 0 if entry.size > entry.told_size else min(entry.times, len(policy.repeat)) - 1
    return now - entry.told_at >= policy.repeat[step]
