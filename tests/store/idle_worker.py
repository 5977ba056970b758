"""A worker of this process that starts no threads, over the mappings of a test's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from bridge.settings import Environment, Settings
from bridge.worker import Worker

from .replaying import World


@contextmanager
def idle_worker(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Worker, list[str]]]:
    """A worker, and the names of the threads that it would have started."""
    given = {name: world.environment[name] for name in ("CRM_TOKEN", "CRM_URL", "BRIDGE_API_TOKEN")}
    given |= {"DATABASE_URL": url, "BRIDGE_MAPPINGS": str(world.folder)}
    worker = Worker(Settings(Environment(given)))
    started: list[str] = []
    monkeypatch.setattr(worker, "_start", lambda label, *_: started.append(label))
    monkeypatch.setattr(worker, "live", SimpleNamespace(current=lambda: world.mappings))
    try:
        yield worker, started
    finally:
        worker.database.close()
