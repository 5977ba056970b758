"""The API is away while events arrive, and then returns. ``faults.outage`` measures the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outage import Outage, run


@pytest.mark.parametrize("down", ["refused", "503"])
def test_after_an_outage_everything_drains_and_opt_outs_go_first(tmp_path: Path, down: str) -> None:
    outage = Outage(
        events=1500, leads=300, per_delivery=20, events_per_s=1000, down=down, minutes=8
    )
    found = run(outage, tmp_path, None)
    assert found.backlog > 1000
    assert found.opt_outs > 50
    # a call of others may have been let through as the probe that found the API awake
    assert found.ahead <= 100
    assert found.others > 200
