"""Every metric, declared once: name, type, labels, meaning.

``docs/metrics.md`` is made from this; the dashboard and the alert rules are checked against it.
A label is a source or campaign that the mapping files name, or a word of a closed list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.store.counters import BUCKETS, Counted


class Kind(StrEnum):
    """The type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``counted``: what a histogram's values are; ``unit``: by what they are divided to
    be in base units."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    counted: Counted | None = None
    unit: float = 1.0

    @property
    def bounds(self) -> tuple[float, ...]:
        """The upper bounds of a histogram's buckets, in base units."""
        return () if self.counted is None else tuple(b / self.unit for b in BUCKETS[self.counted])


def _counter(name: str, labels: str, text: str) -> Family:
    return Family(f"crmbridge_{name}_total", Kind.COUNTER, tuple(labels.split()), text)


def _gauge(name: str, labels: str, text: str) -> Family:
    return Family(f"crmbridge_{name}", Kind.GAUGE, tuple(labels.split()), text)


def _histogram(name: str, labels: str, text: str, counted: Counted, unit: float) -> Family:
    labelled = tuple(labels.split())
    return Family(f"crmbridge_{name}", Kind.HISTOGRAM, labelled, text, counted, unit)


MS = 1000.0

FAMILIES: tuple[Family, ...] = (
    # what comes in
    _counter(
        "webhook_answers",
        "source code",
        "answers to webhook requests by HTTP status; source is empty where none is known",
    ),
    _histogram(
        "webhook_answer_seconds",
        "",
        "from the head of a webhook request to its answer, reading its body included",
        Counted.ANSWER_TIME,
        MS,
    ),
    _counter("deliveries", "source", "received: requests that were verified and are on disk"),
    _counter(
        "refused",
        "source",
        "requests that did not pass verification or were too large, kept or not",
    ),
    _counter("events", "source", "events that deliveries held"),
    _counter("duplicates", "source", "events that had come before"),
    _gauge(
        "source_last_delivery_timestamp_seconds",
        "source",
        "when a configured source was last heard of (Unix time); missing if it never was",
    ),
    _gauge("source_configured", "source", "1 if the secrets of a source are set, else 0"),
    # what waits
    _gauge(
        "deliveries_waiting",
        "source",
        "deliveries that no worker has taken in, of the oldest 5000",
    ),
    _gauge("deliveries_waiting_oldest_seconds", "source", "age of the oldest of them"),
    _gauge(
        "look_ups_waiting",
        "source lane",
        "events that wait for what only their CRM knows, at most 5000 a lane",
    ),
    _gauge("look_ups_waiting_oldest_seconds", "source lane", "age of the oldest of them"),
    _gauge(
        "queue_depth",
        "campaign lane",
        "leads in a lane of a campaign's queue, counted up to crmbridge_queue_depth_most",
    ),
    _gauge("queue_depth_most", "", "up to how many leads crmbridge_queue_depth counts a lane"),
    _gauge(
        "queue_oldest_seconds",
        "campaign lane",
        "longest wait among the hundred leads of a lane that are due first",
    ),
    _gauge("leads_in_flight", "", "leads that a worker holds just now, counted up to 5000"),
    _gauge("updates", "campaign state", "lead updates that wait or stand, however many"),
    _gauge("opt_outs_open", "state", "opt-outs not confirmed yet, at most 5000 a state"),
    _gauge("opt_outs_oldest_seconds", "state", "age of the oldest of them; 0 if there is none"),
    # what became of it
    _counter(
        "outcomes",
        "campaign outcome",
        "final outcomes; campaign is empty for events that led to no lead update",
    ),
    _histogram(
        "opt_out_confirmation_seconds",
        "campaign",
        "from the CRM's event to the reply that confirms an opt-out; replays left out",
        Counted.OPT_OUT_TIME,
        MS,
    ),
    _histogram(
        "opt_out_delivery_seconds",
        "campaign",
        "the same from its receipt: the bridge's own share",
        Counted.OPT_OUT_HERE,
        MS,
    ),
    _gauge(
        "opt_outs_lapsed",
        "campaign",
        "opt-outs that ended unconfirmed within the last seven days",
    ),
    # how it goes out
    _counter(
        "api_calls",
        "campaign code",
        "calls of the campaign API by HTTP status; code is none where there was no answer",
    ),
    _histogram("api_call_seconds", "campaign", "how long those calls took", Counted.CALL_TIME, MS),
    _histogram("batch_leads", "campaign", "leads in a batch", Counted.BATCH, 1.0),
    _counter(
        "retries",
        "campaign state",
        "lead updates that a call left open, so that they are sent again: waiting, or standing",
    ),
    _counter(
        "campaign_closings",
        "campaign condition",
        "how often the breaker of a campaign opened (backoff) or it was refused (paused)",
    ),
    _gauge(
        "campaign_condition",
        "campaign condition",
        "1 for the condition that a campaign is in: open, backoff or paused",
    ),
    _gauge("campaign_paused_by_hand", "campaign", "1 while a person has paused a campaign"),
    _gauge("campaign_opt_outs_held", "campaign", "1 while that pause holds opt-outs as well"),
    _gauge("campaign_configured", "campaign", "1 if id and token of a campaign are set, else 0"),
    # look-ups
    _counter(
        "look_up_calls",
        "source code",
        "calls of a CRM for look-ups by HTTP status; code is none where there was no answer",
    ),
    _histogram(
        "look_up_call_seconds", "source", "how long those calls took", Counted.LOOK_UP_TIME, MS
    ),
    _counter("look_ups", "source", "events that were completed by a look-up"),
    _counter("look_ups_postponed", "source", "look-ups that were put off"),
    # the bridge itself
    _gauge("workers", "", "workers that showed within BRIDGE_WORKER_SILENT that they live"),
    _gauge("worker_last_beat_timestamp_seconds", "", "when any worker last did (Unix time)"),
    _gauge("mappings_valid", "", "1 if the mapping files as they stand are in force, else 0"),
    _gauge("mapping_info", "source version", "1 for the version of each mapping file in force"),
    _gauge("database_up", "", "1 if the database could be read; if not, most metrics are missing"),
    _gauge("disk_free_bytes", "", "free space where the SQLite database lies"),
    _gauge("build_info", "version", "1 for the version of the bridge"),
)

BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
