"""Edits by the hundred, half of them broken, while webhooks arrive.

The large run, by hand, which takes some minutes:

    cd tests && python -m system.edit_storm --edits 1000
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge_process import Bridge
from sandbox_client import Sandbox

from .mapping_files import write_campaigns

CAMPAIGN = {"one": "camp_one"}

SETTINGS = {"BRIDGE_COMMIT_TIMEOUT": "20"}
"""A machine that is busy with other things must not be taken for an edit that does harm."""

FILE = """\
source: crm
title: Edit {label}
receive:
  verify:
    - bearer: {{token: "${{CRM_TOKEN}}"}}
  event_id: [id]
rules:
  - name: first
    lead: {{phone_number: phone, first_name: {{value: {label}}}}}
  - name: second
    lead:
      phone_number: phone
      last_name: {{value: {label}}}
      custom_fields: {{edit: {{value: {label}}}}}
"""
"""Every field that is sent names the edit; a set that is not whole would name two, or lack one."""


@dataclass(slots=True)
class Report:
    """What came of a storm."""

    edits: int = 0
    valid: set[str] = field(default_factory=set)
    statuses: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    receipts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def taken_in(self) -> int:
        """How many edits made an outcome."""
        return len(self.labels)


def storm(bridge: Bridge, edits: int, *, longest_pause_s: float, seed: int = 1) -> Report:
    """Edits the mapping of a running bridge and posts meanwhile; checks every outcome."""
    chance = random.Random(seed)
    path = Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml"
    report = Report(valid={"v0"})
    stopping = threading.Event()
    numbers = iter(range(10_000_000))
    lock = threading.Lock()

    def post() -> None:
        while not stopping.is_set():
            with lock:
                number = next(numbers)
            event = {"id": str(number), "phone": f"+1415{5550000 + number % 9000:07d}"}
            reply = bridge.post("crm", event)
            with lock:
                report.statuses[reply.status_code] += 1
                if reply.is_success:
                    report.receipts.append(reply.json()["receipt"])
                else:
                    waited = reply.elapsed.total_seconds()
                    report.refused.append(f"{reply.status_code} after {waited:.1f} s: {reply.text}")

    senders = [threading.Thread(target=post) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        for number in range(1, edits + 1):
            label = f"v{number}"
            text = FILE.format(label=label)
            if number % 2 and number < edits:
                text = _broken(text, chance)
            else:
                report.valid.add(label)
            _write(path, text, chance)
            report.edits += 1
            time.sleep(chance.random() * longest_pause_s)
        wait_for(bridge, f"v{edits}")
    finally:
        stopping.set()
        for sender in senders:
            sender.join()
    _check(bridge, report)
    return report


def wait_for(bridge: Bridge, label: str) -> None:
    """Wait until the last edit, which is valid, makes outcomes."""
    deadline = time.monotonic() + 60
    number = 0
    while time.monotonic() < deadline:
        number += 1
        receipt = bridge.deliver("crm", {"id": f"last-{number}", "phone": "+14155559999"})
        while not (rows := bridge.outcomes(receipt=receipt)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if rows and _labels(rows[0]) == {label}:
            return
        time.sleep(0.2)
    raise AssertionError(f"edit {label} is not in force within a minute")


def _broken(text: str, chance: random.Random) -> str:
    kind = chance.randrange(5)
    if kind == 0:
        return text[: chance.randrange(len(text) // 4, len(text) * 3 // 4)] + "\n  - name: ["
    if kind == 1:
        return text.replace("lead:", "laed:", 1)
    if kind == 2:
        return text.replace("  - name: second", "\t- name: second")
    if kind == 3:
        return text.replace("phone_number: phone,", "phone_number: 'phone,", 1)
    return ""


def _write(path: Path, text: str, chance: random.Random) -> None:
    """As editors do: in place at once, in place in two pieces, or beside it and then renamed."""
    way = chance.randrange(3)
    if way == 0:
        path.write_text(text)
    elif way == 1:
        half = text.find("  - name: second")
        with path.open("w") as file:
            file.write(text[:half])
            file.flush()
            file.write(text[half:])
    else:
        beside = path.with_suffix(".tmp")
        beside.write_text(text)
        beside.replace(path)


def _labels(row: dict[str, Any]) -> set[str]:
    """The edits that the fields of an outcome name; one for a whole mapping."""
    fields = row["fields"] if isinstance(row["fields"], dict) else json.loads(row["fields"])
    custom = fields.get("custom_fields", {})
    return {
        fields.get("first_name", "none"),
        fields.get("last_name", "none"),
        custom.get("edit", "none"),
    }


def _check(bridge: Bridge, report: Report) -> None:
    assert set(report.statuses) == {200}, (dict(report.statuses), report.refused[:20])
    by_receipt: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in bridge.final_outcomes(timeout=240):
        by_receipt[row["receipt"]].append(row)
    for receipt in report.receipts:
        rows = by_receipt[receipt]
        assert len(rows) == 1, (receipt, rows)
        labels = _labels(rows[0])
        assert len(labels) == 1, rows[0]
        assert labels <= report.valid, rows[0]
        report.labels[rows[0]["version"]] |= labels
    assert all(len(labels) == 1 for labels in report.labels.values()), report.labels


def prepare(folder: Path) -> Path:
    """The folder of mapping files before the first edit."""
    folder.mkdir()
    write_campaigns(folder, CAMPAIGN)
    (folder / "crm.yaml").write_text(FILE.format(label="v0"))
    return folder


def main() -> None:
    """The large run, with what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between edits, at most")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            Sandbox(folder, campaigns=list(CAMPAIGN.values())) as sandbox,
            Bridge(
                folder,
                mappings=prepare(folder / "mappings"),
                api_url=sandbox.url,
                api_token=sandbox.token,
                settings=SETTINGS,
            ) as bridge,
        ):
            bridge.start_both()
            report = storm(bridge, given.edits, longest_pause_s=given.pause)
    print(  # noqa: T201
        f"{report.edits} edits, {len(report.receipts)} webhooks, all answered 200, each with one "
        f"outcome by one of {report.taken_in} valid versions"
    )


if __name__ == "__main__":
    main()
