"""Promise 7 under load: edits, half of them broken, lose nothing and mix nothing."""

from __future__ import annotations

from pathlib import Path

from .conftest import MakeBridge
from .edit_storm import CAMPAIGN, SETTINGS, prepare, storm


def test_edits_while_webhooks_arrive_lose_nothing_and_mix_nothing(
    tmp_path: Path, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(
        campaigns=CAMPAIGN, mappings=prepare(tmp_path / "edited"), settings=SETTINGS
    )
    bridge.start_both()
    report = storm(bridge, 24, longest_pause_s=0.8)
    assert report.edits == 24
    assert report.taken_in >= 2
