"""The mapping set in force: swapped in whole once valid, otherwise the last good one stays."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bridge import logs
from bridge.errors import MappingError, SettingError
from bridge.map import MappingSet, load_mappings
from bridge.settings import Environment, Settings

LOOK_EVERY_S = 1.0


def load(settings: Settings, environment: Environment | None = None) -> MappingSet:
    """The mapping set of the configured folder. Errors: ``MappingError`` with every mistake."""
    environment = environment or settings.environment
    return load_mappings(
        Path(settings["BRIDGE_MAPPINGS"]),
        environment,
        api_url=settings["BRIDGE_API_URL"],
        api_token=environment.secret("BRIDGE_API_TOKEN"),
        default_region=settings["BRIDGE_DEFAULT_REGION"],
    )


class LiveMappings:
    """The mapping set of this process. ``current`` looks for edits at most once a second.

    Errors at construction: ``MappingError``; later an invalid edit only shows in ``problem``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._print = self._fingerprint()
        self._set = load(settings)
        self._looked = time.monotonic()
        self.problem: str | None = None

    def current(self) -> MappingSet:
        """The set in force."""
        if time.monotonic() - self._looked >= LOOK_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._set

    def _look(self) -> None:
        self._looked = time.monotonic()
        seen = self._fingerprint()
        if seen == self._print:
            return
        log = logs.get("map")
        try:
            fresh = load(self._settings, Environment.current())
        except (MappingError, SettingError) as error:
            self.problem = str(error)
            log.warning("mappings refused, the last good ones stay", problem=self.problem)
        else:
            self.problem = None
            self._set = fresh
            log.info("mappings taken in", version=fresh.version)
        self._print = seen

    def _fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        folder = Path(self._settings["BRIDGE_MAPPINGS"])
        try:
            entries = [(path, path.stat()) for path in sorted(folder.glob("*.yaml"))]
        except OSError:
            return ()
        return tuple((path.name, stat.st_mtime_ns, stat.st_size) for path, stat in entries)
