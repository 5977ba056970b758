"""Checks of sources: whether there are any, whether they send, and can be verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.operate.checks.frame import Bounds, Check, Status, counted, span, warn
from bridge.operate.concern import Concern, Kind
from bridge.store.silences import Usual


def sources(
    missing: Mapping[str, list[str]],
    named: int,
    last: Mapping[str, int],
    quiet: Mapping[str, tuple[int, int]],
    now: int,
) -> Check:
    """Whether sources are configured, and none is silent for longer than usual.

    ``last``: when each was last heard of (ms); ``quiet``: what ``too_silent`` found.
    """
    silence = {name: (now - at) // 1000 for name, at in last.items()}
    details: dict[str, Any] = {
        "not_configured": dict(missing),
        "seconds_since_last_delivery": silence,
    }
    if len(missing) == named:
        words = "no source is configured"
        return warn(words, details, Concern(Kind.NOT_CONFIGURED, words, "sources"))
    concerns = [
        Concern(
            Kind.SOURCE_SILENT,
            f"nothing came from {name} for over {span(limit)}; the longest silence of the last "
            f"weeks was {span(usual)}",
            name,
            last[name],
        )
        for name, (limit, usual) in quiet.items()
        if name not in missing
    ]
    if not concerns:
        return Check(Status.PASS, details=details)
    details["usual_silence_seconds"] = {name: ms // 1000 for name, (_, ms) in quiet.items()}
    words = f"{counted(len(concerns), 'source')} silent for longer than usual"
    return warn(words, details, *concerns)


def too_silent(
    last: Mapping[str, int], usual: Mapping[str, Usual], now: int, bounds: Bounds
) -> dict[str, tuple[int, int]]:
    """Sources that are silent for longer than they may: how long that is, and what is usual."""
    found = {}
    for name, at in last.items():
        limit = longest_silence(usual.get(name), bounds)
        if limit is not None and now - at > limit:
            found[name] = (limit, usual[name].longest)
    return found


def longest_silence(usual: Usual | None, bounds: Bounds) -> int | None:
    """How long a source may be silent (ms); None where that is not known or not wanted."""
    if usual is None or not bounds.silence_factor or usual.days < bounds.silence_days:
        return None
    return max(bounds.silence_least, round(usual.longest * bounds.silence_factor))


def public_url(lacking: Mapping[str, tuple[str, ...]]) -> Check:
    """Whether signatures over the URL can pass."""
    if not lacking:
        return Check(Status.PASS)
    words = "BRIDGE_PUBLIC_URL is not set, so signatures that cover the URL are refused"
    details = {"refused_schemes": {name: list(schemes) for name, schemes in lacking.items()}}
    concerns = [
        Concern(
            Kind.PUBLIC_URL_MISSING,
            f"BRIDGE_PUBLIC_URL is not set, so requests of {name} that sign the URL are refused",
            name,
        )
        for name in lacking
    ]
    return warn(words, details, *concerns)
