"""Checks of what waits for its turn, and of what has ended badly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bridge.model import Lane, State
from bridge.operate.checks.frame import Bounds, Check, Status, counted, span, warn
from bridge.operate.concern import TEXT_LENGTH, Concern, Kind, clean
from bridge.store.queues import MOST, Depth, LookUps

DEAD_SHOWN_MS = 3_600_000
"""How long a dead letter is warned of."""

_REFUSED = re.compile(r"\b40[13]\b")


def waiting_deliveries(found: Mapping[str, Depth], now: int, bounds: Bounds) -> Check:
    """Whether deliveries are taken in; ``found``: by source."""
    count = sum(depth.count for depth in found.values())
    oldest = min((d.oldest for d in found.values() if d.oldest is not None), default=None)
    age = 0 if oldest is None else now - oldest
    details = {"waiting": count, "oldest_seconds": age // 1000}
    if age <= bounds.backlog:
        return Check(Status.PASS, details=details)
    words = f"deliveries wait for longer than {span(bounds.backlog)}"
    told = f"{words}: {count:,} in all"
    return warn(
        words,
        details,
        Concern(Kind.DELIVERIES_LATE, told, since=oldest, size=count, urgent=True),
    )


def look_ups(found: Sequence[LookUps], now: int, bounds: Bounds) -> Check:
    """Events that wait for their CRM's answer; among them opt-outs, as far as they show."""
    details = {
        f"{one.source} {one.lane.name.lower()}": {
            "count": one.depth.count,
            "oldest_seconds": age(one.depth, now) // 1000,
            "trouble": one.trouble,
        }
        for one in found
    }
    concerns = []
    late_opt_out = False
    for one in found:
        urgent = one.lane is Lane.OPT_OUT
        late = age(one.depth, now) > (bounds.opt_out if urgent else bounds.backlog)
        late_opt_out = late_opt_out or (late and urgent)
        why = f": {clean(one.trouble)}" if one.trouble else ""
        told = {}
        if _REFUSED.search(one.trouble):
            words = f"the CRM refuses the credentials of {one.source}'s look-ups{why}"
            told[Kind.CREDENTIALS_REFUSED] = words
        if late:
            what = "what may be an opt-out" if urgent else "an event"
            told[Kind.LOOK_UPS_LATE] = f"{what} of {one.source} waits for a look-up{why}"
        concerns += [
            Concern(
                kind, words[:TEXT_LENGTH], one.source, one.depth.oldest, one.depth.count, urgent
            )
            for kind, words in told.items()
        ]
    if not concerns:
        return Check(Status.PASS, details=details)
    if late_opt_out:
        words = f"what may be an opt-out has waited for a look-up over {span(bounds.opt_out)}"
    elif any(one.kind is Kind.LOOK_UPS_LATE for one in concerns):
        words = f"events wait for look-ups for over {span(bounds.backlog)}"
    else:
        words = "a CRM refuses the credentials of look-ups"
    return warn(words, details, *concerns)


def opt_outs(found: Mapping[State, Depth], now: int, bounds: Bounds) -> Check:
    """Whether an opt-out waits for too long, or stands for too long."""
    details = {
        state.value: {"count": depth.count, "oldest_seconds": age(depth, now) // 1000}
        for state, depth in found.items()
    }
    concerns = []
    waiting = [depth for state, depth in found.items() if state is not State.STANDING]
    oldest = min((d.oldest for d in waiting if d.oldest is not None), default=now)
    late = now - oldest > bounds.opt_out
    if late:
        count = sum(depth.count for depth in waiting)
        words = f"an opt-out is not confirmed after {span(bounds.opt_out)}; {count} in all wait"
        concerns.append(Concern(Kind.OPT_OUT_LATE, words, since=oldest, size=count, urgent=True))
    standing = found.get(State.STANDING, Depth(0))
    first = now if standing.oldest is None else standing.oldest
    stands = bounds.standing > 0 and now - first > bounds.standing
    if stands:
        words = f"an opt-out stands unconfirmed for longer than {span(bounds.standing)}"
        concerns.append(Concern(Kind.OPT_OUT_STANDS, words, since=first))
    if late:
        words = f"an opt-out has waited for longer than {span(bounds.opt_out)}"
        return warn(words, details, *concerns)
    if stands:
        return warn(concerns[0].text, details, *concerns)
    return Check(Status.PASS, details=details)


def lapsed(found: Mapping[str, int]) -> Check:
    """Opt-outs that ended unconfirmed within the last week, by campaign."""
    if not found:
        return Check(Status.PASS)
    told = "ended unconfirmed within the last seven days"
    concerns = [
        Concern(
            Kind.OPT_OUT_GIVEN_UP,
            f"{counted(count, 'opt-out')} for {name} {told}: its period is over",
            subject=name,
            size=count,
            urgent=True,
        )
        for name, count in sorted(found.items())
    ]
    words = f"{counted(sum(found.values()), 'opt-out')} {told}"
    return warn(words, {"campaigns": dict(found)}, *concerns)


def dead_letters(found: Depth) -> Check:
    """What ended as dead within the last hour, and still is."""
    if not found.count:
        return Check(Status.PASS)
    more = " or more" if found.count >= MOST else ""
    words = f"{counted(found.count, 'dead letter')}{more} within {span(DEAD_SHOWN_MS)}"
    concern = Concern(Kind.DEAD_LETTERS, words, since=found.oldest, size=found.count, urgent=True)
    return warn(words, {"count": found.count}, concern)


def backlog(
    late: Mapping[str, int],
    left: Sequence[str],
    bounds: Bounds,
    *,
    opt_outs: Mapping[str, int] | None = None,
) -> Check:
    """``late``: by campaign how many seconds its leads are late; ``left``: those that are gone
    while leads wait for them. ``opt_outs``: how late those are that have no outcome to be seen by,
    since they were taken over from another campaign or are said once more."""
    details = {"late_seconds": dict(late), "not_configured_with_leads": list(left)}
    untold = opt_outs or {}
    concerns = (
        [
            Concern(
                Kind.OPT_OUT_LATE,
                f"opt-outs that {name} has to be told once more are {span(s * 1000)} late",
                name,
                urgent=True,
            )
            for name, s in untold.items()
        ]
        + [
            Concern(
                Kind.CAMPAIGN_GONE, f"leads wait for {name}, which is not configured any more", name
            )
            for name in left
        ]
        + [
            Concern(Kind.UPDATES_LATE, f"updates for {name} are {span(s * 1000)} late", name)
            for name, s in late.items()
        ]
    )
    if left:
        words = "leads wait for campaigns that are not configured any more"
        return warn(words, details, *concerns)
    if untold:
        words = f"opt-outs that have to be said once more are later than {span(bounds.opt_out)}"
        return warn(words, details, *concerns)
    if late:
        return warn(f"updates are later than {span(bounds.backlog)}", details, *concerns)
    return Check(Status.PASS)


def age(depth: Depth, now: int) -> int:
    """How long the oldest has waited (ms)."""
    return 0 if depth.oldest is None else max(0, now - depth.oldest)
