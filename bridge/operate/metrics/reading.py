"""The numbers behind the metrics, read in one transaction by looks that stay small."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bridge import __version__
from bridge.errors import StoreError
from bridge.model import OPEN_STATES, Campaign, Lane, Source, State
from bridge.operate.health import LAPSE_SHOWN_MS
from bridge.operate.metrics.families import BY_NAME, Family, Kind
from bridge.store import (
    campaigns,
    counters,
    deliveries,
    lapses,
    pauses,
    queues,
    tally,
    workers,
)
from bridge.store.counters import ABOVE, Counted, Histogram, Read
from bridge.store.database import Connection, Database
from bridge.store.queues import Depth

KEPT_S = 1.0
CONDITIONS = ("open", "backoff", "paused")
ANSWERED = (200, 401, 500, 503)
CALLED = (0, 200, 401, 403, 404, 429, 500, 503)
"""Statuses that are shown before they were ever seen: of a number that is not there yet,
Prometheus does not see the first step."""
FINAL = tuple(state for state in State if state.final)
LANES = {
    Lane.OPT_OUT: "opt_out",
    Lane.FIRST: "first",
    Lane.RETRY: "retry",
    Lane.REPLAY: "replay",
    Lane.STANDING: "standing",
}

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A histogram as it is shown: values up to each bound, cumulated; in base units."""

    up_to: tuple[tuple[float, int], ...]
    total: float


Samples = dict[str, dict[Labels, float | Curve]]
"""By name of the metric and by the values of its labels."""


@dataclass(frozen=True)
class Subject:
    """What is measured. ``versions``: of the mapping files in force, by source.

    ``worker_silent_ms``: how long after its last sign of life a worker counts as alive.
    """

    database: Database
    sources: Callable[[], Mapping[str, Source]]
    campaigns: Callable[[], Mapping[str, Campaign]]
    versions: Callable[[], Mapping[str, str]]
    mapping_problem: Callable[[], str | None]
    worker_silent_ms: int


class Metrics:
    """The metrics as one web process gives them; those of a moment are kept for a second."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._lock = threading.Lock()
        self._kept: tuple[float, Samples] | None = None

    def samples(self) -> Samples:
        """All there is; if the database cannot be read, what is known without it."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] >= KEPT_S:
                self._kept = (time.monotonic(), read(self._subject))
            return self._kept[1]


def read(subject: Subject) -> Samples:
    """The metrics of this moment."""
    now = subject.database.now_ms()
    looked = _Look(subject.sources(), subject.campaigns(), now, subject.worker_silent_ms)
    looked.put("crmbridge_build_info", (__version__,), 1)
    looked.put("crmbridge_mappings_valid", (), int(subject.mapping_problem() is None))
    for source, version in subject.versions().items():
        looked.put("crmbridge_mapping_info", (source, version), 1)
    for name, one in looked.sources.items():
        looked.put("crmbridge_source_configured", (name,), int(one.configured))
    for name, campaign in looked.campaigns.items():
        looked.put("crmbridge_campaign_configured", (name,), int(campaign.configured))
    try:
        with subject.database.read() as connection:
            looked.all_from(connection)
    except StoreError:
        looked.put("crmbridge_database_up", (), 0)
    else:
        looked.put("crmbridge_database_up", (), 1)
    path = subject.database.path
    if path is not None and path.resolve().parent.exists():
        free = shutil.disk_usage(path.resolve().parent).free
        looked.put("crmbridge_disk_free_bytes", (), free)
    return looked.samples


class _Look:
    """One look at everything."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        named: Mapping[str, Campaign],
        now: int,
        worker_silent_ms: int,
    ) -> None:
        self.sources = sources
        self.campaigns = named
        self.now = now
        self.worker_silent_ms = worker_silent_ms
        self.samples: Samples = {}
        self._ready_sources = [name for name, one in sources.items() if one.configured]
        self._ready_campaigns = [name for name, one in named.items() if one.configured]

    def put(self, name: str, labels: Labels, value: float | Curve) -> None:
        """One sample; a metric that is not declared, or has other labels, is a mistake of ours."""
        if len(BY_NAME[name].labels) != len(labels):
            raise ValueError(f"{name} has the labels {BY_NAME[name].labels}")
        self.samples.setdefault(name, {})[labels] = value

    def all_from(self, connection: Connection) -> None:
        """Everything that the database knows."""
        counted = counters.read(connection)
        totals = tally.totals(connection)
        seen = campaigns.conditions(connection)
        waiting = queues.deliveries_by_source(connection)
        self._came_in(connection, counted, waiting)
        self._waits(connection, waiting, {*self.campaigns, *seen})
        self._became(connection, counted, totals)
        self._goes_out(counted)
        self._may_be_called(connection, seen)
        self._looked_up(counted)
        beat = workers.last_beat(connection)
        if beat is not None:
            self.put("crmbridge_worker_last_beat_timestamp_seconds", (), beat / 1000)
        alive = workers.alive(connection, self.now - self.worker_silent_ms)
        self.put("crmbridge_workers", (), alive)

    def _came_in(self, connection: Connection, counted: Read, waiting: Mapping[str, Depth]) -> None:
        answers = counted.by_mark(Counted.ANSWER)
        self._by_code("crmbridge_webhook_answers_total", answers, self._ready_sources, ANSWERED)
        self._curves("crmbridge_webhook_answer_seconds", counted, [""])
        # a delivery is counted when a worker takes it in, with its events; what waits comes on top
        received = counted.by_name(Counted.RECEIVED)
        for source in self._named(received, waiting):
            count = received.get(source, 0) + waiting.get(source, Depth(0)).count
            self.put("crmbridge_deliveries_total", (source,), count)
        for name, what in (
            ("crmbridge_refused_total", Counted.REFUSED),
            ("crmbridge_events_total", Counted.EVENT),
            ("crmbridge_duplicates_total", Counted.COPY),
        ):
            found = counted.by_name(what)
            for source in self._named(found):
                self.put(name, (source,), found.get(source, 0))
        for source, at in deliveries.last_by_source(connection, self._ready_sources).items():
            self.put("crmbridge_source_last_delivery_timestamp_seconds", (source,), at / 1000)

    def _named(self, *found: Iterable[str]) -> list[str]:
        return sorted({*self._ready_sources, *(name for names in found for name in names)})

    def _waits(
        self, connection: Connection, waiting: Mapping[str, Depth], named: Iterable[str]
    ) -> None:
        for source in self._named(waiting):
            depth = waiting.get(source, Depth(0))
            self.put("crmbridge_deliveries_waiting", (source,), depth.count)
            self.put("crmbridge_deliveries_waiting_oldest_seconds", (source,), self._age(depth))
        for one in queues.look_ups(connection):
            labels = (one.source, LANES[one.lane])
            self.put("crmbridge_look_ups_waiting", labels, one.depth.count)
            self.put("crmbridge_look_ups_waiting_oldest_seconds", labels, self._age(one.depth))
        lanes = queues.lanes(connection, named)
        self.put("crmbridge_queue_depth_most", (), lanes.most)
        for campaign in sorted({*self._ready_campaigns, *(name for name, _ in lanes.depths)}):
            for lane, word in LANES.items():
                depth = lanes.depths.get((campaign, lane), Depth(0))
                self.put("crmbridge_queue_depth", (campaign, word), depth.count)
                self.put("crmbridge_queue_oldest_seconds", (campaign, word), self._age(depth))
        self.put("crmbridge_leads_in_flight", (), queues.in_flight(connection))
        opt_outs = queues.opt_outs(connection)
        for state in OPEN_STATES:
            depth = opt_outs.get(state, Depth(0))
            self.put("crmbridge_opt_outs_open", (state.value,), depth.count)
            self.put("crmbridge_opt_outs_oldest_seconds", (state.value,), self._age(depth))

    def _age(self, depth: Depth) -> float:
        return 0.0 if depth.oldest is None else max(0, self.now - depth.oldest) / 1000

    def _became(
        self, connection: Connection, counted: Read, totals: Mapping[str, Mapping[str, int]]
    ) -> None:
        for campaign in sorted({"", *self._ready_campaigns, *totals}):
            counts = totals.get(campaign, {})
            for state in FINAL:
                count = counts.get(state.value, 0)
                self.put("crmbridge_outcomes_total", (campaign, state.value), count)
            if campaign:
                for state in (State.WAITING, State.STANDING):
                    count = counts.get(state.value, 0)
                    self.put("crmbridge_updates", (campaign, state.value), count)
        self._curves("crmbridge_opt_out_confirmation_seconds", counted, self._ready_campaigns)
        self._curves("crmbridge_opt_out_delivery_seconds", counted, self._ready_campaigns)
        lapsed = lapses.since(connection, self.now - LAPSE_SHOWN_MS)
        for campaign in sorted({*self._ready_campaigns, *lapsed}):
            self.put("crmbridge_opt_outs_lapsed", (campaign,), lapsed.get(campaign, 0))

    def _goes_out(self, counted: Read) -> None:
        calls = counted.by_mark(Counted.CALL)
        self._by_code("crmbridge_api_calls_total", calls, self._ready_campaigns, CALLED)
        self._curves("crmbridge_api_call_seconds", counted, self._ready_campaigns)
        self._curves("crmbridge_batch_leads", counted, self._ready_campaigns)
        again = counted.by_mark(Counted.AGAIN)
        closed = counted.by_mark(Counted.CLOSED)
        for name, found, words in (
            ("crmbridge_retries_total", again, ("waiting", "standing")),
            ("crmbridge_campaign_closings_total", closed, ("backoff", "paused")),
        ):
            for campaign in sorted({*self._ready_campaigns, *(of for of, _ in found)}):
                for mark, word in enumerate(words):
                    self.put(name, (campaign, word), found.get((campaign, mark), 0))

    def _may_be_called(
        self, connection: Connection, seen: Mapping[str, campaigns.Condition]
    ) -> None:
        by_hand = pauses.pauses(connection)
        for campaign in sorted({*self._ready_campaigns, *(seen.keys() & self.campaigns.keys())}):
            now = seen.get(campaign, campaigns.Condition()).condition
            for word in CONDITIONS:
                self.put("crmbridge_campaign_condition", (campaign, word), int(word == now))
            pause = by_hand.get(campaign)
            self.put("crmbridge_campaign_paused_by_hand", (campaign,), int(pause is not None))
            held = pause is not None and pause.holds_opt_outs
            self.put("crmbridge_campaign_opt_outs_held", (campaign,), int(held))

    def _looked_up(self, counted: Read) -> None:
        calls = counted.by_mark(Counted.LOOK_UP_CALL)
        asked = {source for source, _ in calls}
        self._by_code("crmbridge_look_up_calls_total", calls, asked, CALLED)
        self._curves("crmbridge_look_up_call_seconds", counted, ())
        for name, what in (
            ("crmbridge_look_ups_total", Counted.LOOKED_UP),
            ("crmbridge_look_ups_postponed_total", Counted.PUT_OFF),
        ):
            for source, count in counted.by_name(what).items():
                self.put(name, (source,), count)

    def _by_code(
        self,
        name: str,
        found: Mapping[tuple[str, int], int],
        always: Iterable[str],
        codes: Iterable[int],
    ) -> None:
        """Counts by status, those with 0 included that one would want to see grow from there."""
        for of, status in sorted({*found, *((of, code) for of in always for code in codes)}):
            code = str(status) if status else "none"
            self.put(name, (of, code), found.get((of, status), 0))

    def _curves(self, name: str, counted: Read, always: Iterable[str]) -> None:
        """A histogram, of each of what it is of, and empty of those that are always shown."""
        family = BY_NAME[name]
        if family.counted is None or family.kind is not Kind.HISTOGRAM:
            raise ValueError(f"{name} is no histogram")
        found = counted.histograms(family.counted)
        for of in sorted({*always, *found}):
            curve = curve_of(family, found.get(of, Histogram({}, 0)))
            self.put(name, (of,) if family.labels else (), curve)


def curve_of(family: Family, found: Histogram) -> Curve:
    """Cumulated up to each bound. What was counted by bounds that are no longer used is in the
    next larger one."""
    marks = sorted(found.buckets)
    steps: list[tuple[float, int]] = []
    place = so_far = 0
    for bound in (*family.bounds, float("inf")):
        most = ABOVE if bound == float("inf") else bound * family.unit
        while place < len(marks) and marks[place] <= most:
            so_far += found.buckets[marks[place]]
            place += 1
        steps.append((bound, so_far))
    return Curve(tuple(steps), found.total / family.unit)
