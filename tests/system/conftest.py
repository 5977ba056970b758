"""Real processes for each test: a sandbox that stands for the campaign API, and a bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge
from sandbox_client import Sandbox

from .mapping_files import write_mappings

MakeBridge = Callable[..., Bridge]

CAMPAIGNS = {"one": "camp_one", "two": "c2FtcGxl/Y2FtcGFpZ24="}


def bridge_over(
    folder: Path,
    sandbox: Sandbox,
    *,
    mappings: Path | None = None,
    campaigns: Mapping[str, str] = CAMPAIGNS,
    settings: Mapping[str, str] | None = None,
    **tuning: Any,
) -> Bridge:
    """A bridge, not started yet, that sends to the sandbox."""
    if mappings is None:
        mappings = write_mappings(folder / "mappings", campaigns, **tuning)
    return Bridge(
        folder,
        mappings=mappings,
        api_url=sandbox.url,
        api_token=sandbox.token,
        settings=settings,
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A running sandbox that has the usual campaigns."""
    with Sandbox(tmp_path, campaigns=list(CAMPAIGNS.values())) as running:
        yield running


@pytest.fixture
def make_bridge(tmp_path: Path, sandbox: Sandbox) -> Iterator[MakeBridge]:
    """Makes bridges over the sandbox; whatever they started has ended when the test ends."""
    with ExitStack() as stack:

        def make(**options: Any) -> Bridge:
            return stack.enter_context(bridge_over(tmp_path, sandbox, **options))

        yield make
