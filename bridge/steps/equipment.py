"""What every step is given: the database, the mappings in force, and how far it may go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.map import MappingSet
from bridge.record.decide import Policy
from bridge.steps.holds import Holds
from bridge.store.database import Database


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


@dataclass(frozen=True, slots=True)
class Equipment:
    """``ring`` is told the names of campaigns and look-ups that have new work."""

    database: Database
    mappings: Callable[[], MappingSet]
    policy: Policy
    bounds: Bounds
    owner: str
    ring: Callable[[Iterable[str]], None]
    holds: Holds = field(default_factory=Holds)
