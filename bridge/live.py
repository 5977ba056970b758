"""The mapping set in force: swapped in whole once valid, otherwise the last good one stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bridge import logs
from bridge.errors import MappingError, SettingError
from bridge.map import MappingSet, SourceMapping, load_kept, load_mappings
from bridge.map.load import CASES
from bridge.model import CallLimits, KeptMapping, Secret
from bridge.settings import Environment, Settings

LOOK_EVERY_S = 1.0
STILL_S = 0.4
"""How long the files must have been left alone before an edit is taken in."""
RESTLESS_S = 10.0
"""After so long of edit upon edit, one that holds still while it is read is taken in."""
COARSE_NS = 1_000_000_000
"""By how much the times of files and this machine's clock may differ while nothing is wrong."""
DOTENV = Path(".env")

Stat: TypeAlias = tuple[str, int, int, int, int]
Print: TypeAlias = tuple[Stat, ...]

log = logs.get("map")


def load(
    settings: Settings, environment: Environment | None = None, *, only: str | None = None
) -> MappingSet:
    """The mapping set of the configured folder, or of one source of it.

    Errors: ``MappingError`` with every mistake in what was read.
    """
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
        only=only,
    )


class LiveMappings:
    """The mapping set of this process. ``current`` looks for edits at most once a second.

    An edit is taken in once the files have been left alone for a moment: programs write files in
    pieces, and half a mapping file can be a valid one that lacks its opt-out rule. What changes
    while it is read is read again.

    Errors at construction: ``MappingError``; later an invalid edit only shows in ``problem``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._environment = settings.environment
        self._secret_files = settings.environment.files()
        self._wait_until_still()
        began = time.time_ns() - COARSE_NS
        before = self._fingerprint()
        self._set = load(settings)
        after = self._fingerprint()
        self._secret_files = settings.environment.files()
        self._print: Print | None = self._fingerprint()
        if after != before or any(stat[2] >= began for stat in set(self._print) - set(before)):
            self._print = None
        logs.blot_out(secrets_of(self._set))
        self._next_look = time.monotonic() + LOOK_EVERY_S
        self._moving: tuple[Print, float, float] | None = None
        self.problem: str | None = None

    def current(self) -> MappingSet:
        """The set in force."""
        if time.monotonic() >= self._next_look and self._lock.acquire(blocking=False):
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
        now = time.monotonic()
        self._next_look = now + LOOK_EVERY_S
        seen = self._fingerprint()
        if seen == self._print:
            self._moving = None
            return
        if not self._still(seen, now):
            self._next_look = now + STILL_S
            return
        fresh, problem = self._load()
        if self._fingerprint() != seen:
            # read in the middle of an edit: neither the set nor its mistakes mean anything
            self._next_look = now + STILL_S
            return
        self._print, self._moving = seen, None
        self._take(fresh, problem)

    def _still(self, seen: Print, now: float) -> bool:
        """Whether nobody is at work on the files: by their own times, or as seen from here.

        The times of the files tell at once, but a clock may be wrong and a deletion leaves none.
        """
        if self._moving is None or self._moving[0] != seen:
            since = now if self._moving is None else self._moving[2]
            self._moving = (seen, now, since)
        _, seen_at, restless_since = self._moving
        if now - seen_at >= STILL_S or now - restless_since >= RESTLESS_S:
            return True
        return self._print is not None and _quiet(seen, self._print)

    def _load(self) -> tuple[tuple[MappingSet, Environment] | None, str | None]:
        try:
            environment = Environment.current(DOTENV)
            try:
                return (load(self._settings, environment), environment), None
            finally:
                # also where one of them cannot be read yet: to write it is the next edit
                self._secret_files = self._settings.environment.files() | environment.files()
        except (MappingError, SettingError) as error:
            return None, str(error)
        except Exception as error:
            # whatever is wrong with an edit, it must not reach those who use the set
            log.exception("mappings cannot be read")
            return None, f"the mapping files cannot be read ({type(error).__name__})"

    def _take(self, read: tuple[MappingSet, Environment] | None, problem: str | None) -> None:
        self.problem = problem
        if read is None:
            log.warning("mappings refused, the last good ones stay", problem=problem)
            return
        fresh, self._environment = read
        logs.blot_out(secrets_of(fresh))
        self._set = fresh
        log.info("mappings taken in", version=fresh.version)

    def _wait_until_still(self) -> None:
        """Let a copy of the folder that is under way come to its end, but not for ever."""
        end = time.monotonic() + 2.0
        while time.monotonic() < end and not _quiet(self._fingerprint(), ()):
            time.sleep(0.05)

    def _fingerprint(self) -> Print:
        """What shows an edit: of the mapping files, of ``.env``, and of files with secrets."""
        folder = Path(self._settings["BRIDGE_MAPPINGS"])
        try:
            # also names that end wrongly, since they are mistakes until they are gone
            paths = sorted(p for p in folder.glob("*.y*ml") if not p.name.endswith(CASES))
        except OSError:
            paths = []
        paths += [DOTENV, *sorted(self._secret_files)]
        return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> Stat:
    """Name, times of content and of inode, size and inode; links are followed."""
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0, 0, 0
    return str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _quiet(seen: Print, before: Print) -> bool:
    """Whether what is new in ``seen`` was last touched long enough ago, and nothing is gone."""
    new = set(seen) - set(before)
    gone = {stat[0] for stat in before} - {stat[0] for stat in seen}
    latest = time.time_ns() - round(STILL_S * 1e9)
    return not gone and all(0 < stat[2] <= latest for stat in new if stat[2] or before)


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
