"""What every step is given: the database, the mappings in force, and how far it may go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bridge.map import MappingSet
from bridge.record.decide import Policy
from bridge.settings import Settings
from bridge.steps.holds import Holds
from bridge.steps.portion import Portions
from bridge.steps.scout import Scout
from bridge.store.counters import Counts
from bridge.store.database import Database
from bridge.store.right_of_way import Patience


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a step takes at a time, and how long things may take. Times in milliseconds.

    ``batch``: deliveries or events in one transaction. ``events``: the most that one delivery may
    hold. ``lease``: how long a lead may be held, or an event that is looked up, without a renewal.
    ``lookup_settle``: how long a record that the
    CRM does not know may still appear there.
    """

    batch: int
    events: int
    depth: int
    lease: int
    lookup_give_up: int
    lookup_settle: int
    backoff_first: int
    backoff_most: int

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds that the settings name."""
        return cls(
            batch=settings["BRIDGE_BATCH"],
            events=settings["BRIDGE_MAX_EVENTS"],
            depth=settings["BRIDGE_MAX_DEPTH"],
            lease=round(settings["BRIDGE_LEASE"] * 1000),
            lookup_give_up=round(settings["BRIDGE_LOOKUP_GIVE_UP"] * 1000),
            lookup_settle=round(settings["BRIDGE_LOOKUP_SETTLE"] * 1000),
            backoff_first=round(settings["BRIDGE_BACKOFF"] * 1000),
            backoff_most=round(settings["BRIDGE_BACKOFF_MAX"] * 1000),
        )


@dataclass(frozen=True, slots=True)
class Equipment:
    """``ring`` is told the names of campaigns and look-ups that have new work.

    ``counts``: what is counted beside the work, to be written now and then. ``patience``: that of
    taking in; ``looking_up``: that of each source's look-ups.
    """

    database: Database
    mappings: Callable[[], MappingSet]
    policy: Policy
    bounds: Bounds
    owner: str
    ring: Callable[[Iterable[str]], None]
    scout: Scout = field(default_factory=Scout)
    portions: Portions = field(default_factory=Portions)
    patience: Patience = field(default_factory=Patience)
    looking_up: Mapping[str, Patience] = field(default_factory=lambda: defaultdict(Patience))
    holds: Holds = field(default_factory=Holds)
    counts: Counts = field(default_factory=Counts)
