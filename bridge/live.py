"""The mapping set in force: swapped in whole once valid, otherwise the last good one stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from bridge import logs
from bridge.errors import MappingError, SettingError
from bridge.map import MappingSet, SourceMapping, load_kept, load_mappings
from bridge.model import CallLimits, KeptMapping, Secret
from bridge.settings import Environment, Settings

LOOK_EVERY_S = 1.0
DOTENV = Path(".env")


def load(settings: Settings, environment: Environment | None = None) -> MappingSet:
    """The mapping set of the configured folder. Errors: ``MappingError`` with every mistake."""
    environment = environment or settings.environment
    return load_mappings(
        Path(settings["BRIDGE_MAPPINGS"]),
        environment,
        api_url=settings["BRIDGE_API_URL"],
        api_token=environment.secret("BRIDGE_API_TOKEN"),
        default_region=settings["BRIDGE_DEFAULT_REGION"],
        limits=CallLimits(
            settings["BRIDGE_CAMPAIGN_RATE"],
            settings["BRIDGE_CAMPAIGN_CONCURRENCY"],
            settings["BRIDGE_TOKEN_RATE"],
            settings["BRIDGE_TOKEN_CONCURRENCY"],
        ),
    )


class LiveMappings:
    """The mapping set of this process. ``current`` looks for edits at most once a second.

    Errors at construction: ``MappingError``; later an invalid edit only shows in ``problem``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._print = self._fingerprint()
        self._environment = settings.environment
        self._set = load(settings)
        logs.blot_out(secrets_of(self._set))
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

    def compile(self, kept: KeptMapping) -> SourceMapping:
        """A mapping that was in force once, with the settings of now. Errors: ``MappingError``."""
        compiled = load_kept(kept, self._environment)
        logs.blot_out(secrets_in(compiled))
        return compiled

    def _look(self) -> None:
        self._looked = time.monotonic()
        seen = self._fingerprint()
        if seen == self._print:
            return
        log = logs.get("map")
        self._print = seen
        try:
            environment = Environment.current(DOTENV)
            fresh = load(self._settings, environment)
        except (MappingError, SettingError) as error:
            self.problem = str(error)
            log.warning("mappings refused, the last good ones stay", problem=self.problem)
        except Exception as error:
            # whatever is wrong with an edit, it must not reach those who use the set
            self.problem = f"the mapping files cannot be read ({type(error).__name__})"
            log.exception("mappings refused, the last good ones stay")
        else:
            self.problem = None
            self._environment = environment
            logs.blot_out(secrets_of(fresh))
            self._set = fresh
            log.info("mappings taken in", version=fresh.version)

    def _fingerprint(self) -> tuple[tuple[str, int, int, int], ...]:
        """What shows an edit: of the mapping files, of ``.env``, and of files with secrets."""
        folder = Path(self._settings["BRIDGE_MAPPINGS"])
        try:
            paths = sorted(folder.glob("*.yaml"))
        except OSError:
            paths = []
        paths += [DOTENV, *self._settings.environment.files()]
        return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino


def secrets_of(found: MappingSet) -> list[str]:
    """Every live value of every secret that a mapping set holds, for the log to blot out."""
    held = [found.campaigns, [(m.source, m.lookups) for m in found.mappings.values()]]
    return [value for secret in _secrets(held) for value in secret.values]


def secrets_in(mapping: SourceMapping) -> list[str]:
    """The same of one mapping."""
    held = [mapping.source, mapping.lookups]
    return [value for secret in _secrets(held) for value in secret.values]


def _secrets(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _secrets(getattr(value, one.name))
