"""Where in the console the rows stand that a concern speaks of."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from bridge.model import State
from bridge.operate.concern import Concern, Kind

CONSOLE = "/console/"


def page_of(kind: str, subject: str, campaigns: Container[str]) -> str:
    """The page below ``CONSOLE`` that shows what a concern is about; blank where none says more
    than the concern does. ``campaigns``: their names, since some kinds are of either."""
    if kind == Kind.CREDENTIALS_REFUSED:
        return _campaign(subject) if subject in campaigns else _deliveries(subject)
    page = _PAGES.get(kind)
    return "" if page is None else page(subject)


def told(concern: Concern, campaigns: Container[str]) -> dict[str, Any]:
    """A concern for the operator's pages and answers; ``page``: a path of this bridge, or None."""
    page = page_of(concern.kind, concern.subject, campaigns)
    return {**concern.as_dict(), "page": CONSOLE + page if page else None}


def anchor(campaign: str) -> str:
    """The id of a campaign's row among the campaigns: one word, whatever the name is."""
    return f"campaign-{quote(campaign, safe='')}"


def _campaign(name: str) -> str:
    # once more for the address, since a browser takes one layer off
    return f"campaigns#{quote(anchor(name))}"


def _deliveries(source: str) -> str:
    return _rows("deliveries", source=source)


def _rows(page: str, **chosen: str) -> str:
    return f"{page}?{urlencode(chosen)}"


_PAGES: Mapping[str, Callable[[str], str]] = {
    Kind.DEAD_LETTERS: lambda _: "dead-letters",
    Kind.OPT_OUT_STANDS: lambda _: "opt-outs",
    # with a campaign: opt-outs that have no outcome to be listed by
    Kind.OPT_OUT_LATE: lambda name: _campaign(name) if name else "opt-outs",
    Kind.OPT_OUT_GIVEN_UP: lambda name: _rows(
        "outcomes", state=State.UNCONFIRMED.value, campaign=name
    ),
    Kind.UPDATES_LATE: lambda name: _rows("outcomes", state=State.WAITING.value, campaign=name),
    Kind.DELIVERIES_LATE: lambda _: _rows("deliveries", waiting="1"),
    Kind.LOOK_UPS_LATE: _deliveries,
    Kind.SOURCE_SILENT: _deliveries,
    Kind.CAMPAIGN_HELD_BACK: _campaign,
    Kind.CAMPAIGN_PAUSED: _campaign,
    Kind.CAMPAIGN_PAUSED_BY_HAND: _campaign,
    Kind.CAMPAIGN_GONE: _campaign,
    Kind.PUBLIC_URL_MISSING: lambda source: _rows("refusals", source=source),
    Kind.NOT_CONFIGURED: lambda what: "campaigns" if what == "campaigns" else "mappings",
    Kind.MAPPING_INVALID: lambda _: "mappings",
}
"""By kind, what a subject leads to. Whatever is missing has no rows."""
