"""How this process sees whether all is well: health, from the settings and the mappings in force.

Stages are strangers to each other, so whatever health has to know of receiving and mapping is put
together here, for the web process and for workers alike.
"""

from __future__ import annotations

from bridge.live import LiveMappings
from bridge.operate.checks import Bounds
from bridge.operate.health import Health, Subject
from bridge.receive.verify import over_url
from bridge.settings import Settings
from bridge.store.database import Database

DAY_MS = 86_400_000


def health_of(
    settings: Settings, live: LiveMappings, database: Database, *, process: str = ""
) -> Health:
    """The health that this process sees. ``process``: the name by which it notes things itself."""
    return Health(
        Subject(
            database,
            sources=lambda: live.current().sources,
            campaigns=lambda: live.current().campaigns,
            mapping_problem=lambda: mapping_problem(live),
            need_url=lambda: _need_url(live, settings),
            bounds=_bounds(settings),
            process=process,
        )
    )


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        worker_silent=round(settings["BRIDGE_WORKER_SILENT"] * 1000),
        opt_out=round(settings["BRIDGE_OPT_OUT_LATE"] * 1000),
        backlog=round(settings["BRIDGE_BACKLOG_LATE"] * 1000),
        standing=round(settings["BRIDGE_STANDING_LATE_DAYS"] * DAY_MS),
        disk=settings["BRIDGE_DISK_LOW"],
        silence_factor=settings["BRIDGE_SILENCE_FACTOR"],
        silence_least=round(settings["BRIDGE_SILENCE_LEAST"] * 1000),
        silence_days=settings["BRIDGE_SILENCE_DAYS"],
    )


def mapping_problem(live: LiveMappings) -> str | None:
    """What is wrong with the last edit of the mapping files; None if it is in force."""
    live.current()  # looks at the files first
    return live.problem


def _need_url(live: LiveMappings, settings: Settings) -> dict[str, tuple[str, ...]]:
    if settings["BRIDGE_PUBLIC_URL"] is not None:
        return {}
    named = {
        name: over_url(s.verify).names for name, s in live.current().sources.items() if s.configured
    }
    return {name: schemes for name, schemes in named.items() if schemes}
