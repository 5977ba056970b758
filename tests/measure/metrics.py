"""How long /metrics and /healthz need over many events: ``python -m measure.metrics [--events N]``.

Run it from ``tests/``. It fills a database of its own like ``measure.audit``, then puts half of the
leads and of the deliveries back into the queues, so that a great backlog stands in them, and counts
for fifty campaigns beside it. It prints the time of each look, and of the whole page as Prometheus
gets it, at the median and at most, of twenty, and for how long a processor worked on it, that of
the database server included. ``--postgres`` starts a server of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import Campaign, Secret
from bridge.operate.health import Health
from bridge.operate.health import Subject as HealthSubject
from bridge.operate.metrics.reading import Subject, read
from bridge.operate.metrics.text import written
from bridge.store import counters, deliveries, queues, tally
from bridge.store.counters import BUCKETS, Counted, Counts
from bridge.store.database import Connection, Database
from measure.audit import database_at, fill_up

CAMPAIGNS = ["main", *(f"campaign-{n}" for n in range(49))]
ROUNDS = 20


def back_into_the_queues(database: Database, events: int) -> None:
    """Every second lead and delivery waits; the pages of statements stay bounded."""
    step = 200_000
    for first in range(0, events, step):
        with database.write() as connection:
            given = {"a": first, "b": first + step, "now": now_ms() - 60_000}
            connection.execute(
                text(
                    "UPDATE lead SET lane = (id / 8) % 5, due_at = :now, waiting_since = :now - id "
                    "WHERE id > :a AND id <= :b AND id % 8 = 1"
                ),
                given,
            )
            del given["now"]
            connection.execute(
                text(
                    "UPDATE delivery SET state = 'stored' WHERE id > :a AND id <= :b AND id % 2 = 0"
                ),
                given,
            )


def count_for_many_campaigns(database: Database) -> None:
    """As many series as fifty campaigns can have."""
    counts = Counts()
    for name in CAMPAIGNS:
        for status in (200, 207, 400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504):
            counts.add(Counted.CALL, name, status)
        for what, bounds in BUCKETS.items():
            for bound in bounds:
                counts.observe(what, name, bound)
    counts.flush(database)
    with database.write() as connection:
        states = ("updated", "superseded", "rejected", "dead", "waiting", "standing", "skipped")
        tally.note(connection, [(c, s, 5) for c in CAMPAIGNS for s in states], now_ms())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with database_at(None, postgres=options.postgres) as database:
        started = time.monotonic()
        fill_up(database, 1, options.events)
        back_into_the_queues(database, options.events)
        count_for_many_campaigns(database)
        print(f"{options.events:,} events made in {time.monotonic() - started:.0f} s", flush=True)
        if not database.is_sqlite:
            with database.write() as connection:
                connection.execute(text("ANALYZE"))
        measure(database)


def measure(database: Database) -> None:
    """Print how long each look takes, and the whole."""

    def reading(look: Callable[[Connection], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with database.read() as connection:
                return look(connection)

        return run

    subject = Subject(
        database,
        sources=dict,
        campaigns=lambda: {name: _campaign(name) for name in CAMPAIGNS},
        versions=dict,
        mapping_problem=lambda: None,
        worker_silent_ms=15_000,
    )
    health = HealthSubject(
        database,
        sources=dict,
        campaigns=lambda: {name: _campaign(name) for name in CAMPAIGNS},
        mapping_problem=lambda: None,
        need_url=dict,
    )
    looks: dict[str, Callable[[], Any]] = {
        "counts": reading(counters.read),
        "outcomes in all": reading(tally.totals),
        "deliveries that wait": reading(queues.deliveries_by_source),
        "lanes of 50 campaigns": reading(lambda c: queues.lanes(c, CAMPAIGNS)),
        "opt-outs": reading(queues.opt_outs),
        "look-ups": reading(queues.look_ups),
        "last delivery": reading(lambda c: deliveries.last_by_source(c, ["hubspot"] * 30)),
        "/metrics": lambda: written(read(subject)),
        "/healthz": lambda: Health(health).health(),
    }
    for name, look in looks.items():
        times: list[float] = []
        worked = _processor_s(database)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            look()
            times.append((time.perf_counter() - began) * 1000)
        worked = (_processor_s(database) - worked) * 1000 / ROUNDS
        print(
            f"{name:24} first {times[0]:7.1f} ms  median {statistics.median(times):7.1f} ms  "
            f"at most {max(times):7.1f} ms  processor {worked:6.1f} ms",
            flush=True,
        )


def _processor_s(database: Database) -> float:
    """Seconds that a processor has worked for us, and on PostgreSQL for our connections."""
    used = time.process_time()
    if not database.is_sqlite:
        with database.read() as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            pids = list(connection.exec_driver_sql(query).scalars())
        for pid in pids:
            user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            used += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return used


def _campaign(name: str) -> Campaign:
    return Campaign(name, name, "http://127.0.0.1", Secret("T", ("t",)))


if __name__ == "__main__":
    main()
