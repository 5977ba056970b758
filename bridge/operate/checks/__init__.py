"""The checks of health: from what a store's module has read to how it went, and to concerns. Pure.

Every check that did not pass names at least one concern, so that whoever tells of concerns tells
of all that health warns of.
"""

from bridge.operate.checks.calls import campaigns, no_campaign
from bridge.operate.checks.frame import Bounds, Check, Status, span
from bridge.operate.checks.senders import longest_silence, public_url, sources, too_silent
from bridge.operate.checks.surroundings import (
    alerts,
    audit,
    clocks,
    database_fails,
    disk,
    mappings,
    workers,
)
from bridge.operate.checks.waiting import (
    DEAD_SHOWN_MS,
    backlog,
    dead_letters,
    lapsed,
    look_ups,
    opt_outs,
    waiting_deliveries,
)

__all__ = [
    "DEAD_SHOWN_MS",
    "Bounds",
    "Check",
    "Status",
    "alerts",
    "audit",
    "backlog",
    "campaigns",
    "clocks",
    "database_fails",
    "dead_letters",
    "disk",
    "lapsed",
    "longest_silence",
    "look_ups",
    "mappings",
    "no_campaign",
    "opt_outs",
    "public_url",
    "sources",
    "span",
    "too_silent",
    "waiting_deliveries",
    "workers",
]
