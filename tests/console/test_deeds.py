"""What people did by hand, and what a replay is about, read as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.operate.console.deeds import deed, mapped_by, selected

DONE: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "campaign.pause",
        "main",
        {"reason": "maintenance", "opt_outs": "go on"},
        "paused main, but for its opt-outs: maintenance",
    ),
    (
        "campaign.pause",
        "main",
        {"reason": "", "opt_outs": "held"},
        "paused main, with its opt-outs",
    ),
    ("campaign.resume", "main", {"was_paused": True, "tried_at_once": False}, "resumed main"),
    (
        "campaign.resume",
        "main",
        {"was_paused": False, "tried_at_once": True},
        "resumed main, which nobody had paused by hand; it was tried at once",
    ),
    (
        "replay.run",
        "replay 3",
        {"selection": {"states": ["dead", "not_found"]}, "mapping": "original"},
        (
            "started replay 3 of: newest outcome dead or not found; "
            "mapped by the version that each event had first"
        ),
    ),
    ("replay.cancel", "replay 3", {}, "stopped replay 3 where it was"),
    ("replay.resume", "replay 3", {}, "went on with replay 3"),
    (
        "export.begin",
        "export ab",
        {"of": "lead", "leads": [1, 2], "events": 3, "as": "csv", "bodies": False},
        "began export ab of one person (lead 1, 2), as CSV, without the bodies of webhooks",
    ),
    (
        "export.resume",
        "export ab",
        {
            "of": "period",
            "since": "…",
            "until": "…",
            "since_ms": 0,
            "until_ms": 86_400_000,
            "source": "crm",
            "as": "jsonl",
            "bodies": True,
            "kept": 1,
        },
        (
            "went on with export ab of what came from 1 Jan 1970, 00:00:00.000 to 2 Jan 1970, "
            "00:00:00.000, source crm, which had broken off after 1 line"
        ),
    ),
    (
        "export.end",
        "export ab",
        {"lines": 1200, "hash": "f0"},
        "completed export ab: 1,200 lines, the last hash f0",
    ),
    ("something.else", "main", {"so_many": 3}, "something.else main (so many 3)"),
    (
        "campaign.pause",
        "main",
        {"by": "an older version"},
        "campaign.pause main (by an older version)",
    ),
    (
        "replay.run",
        "replay 3",
        {"selection": None, "mapping": 1},
        "replay.run replay 3 (selection None, mapping 1)",
    ),
]


@pytest.mark.parametrize(("action", "subject", "details", "sentence"), DONE)
def test_what_somebody_did_is_one_sentence(
    action: str, subject: str, details: dict[str, Any], sentence: str
) -> None:
    assert deed(action, subject, details) == sentence


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({}, "whatever is stored"),
        ({"states": []}, "whatever is stored"),
        ({"states": ["dead"]}, "newest outcome dead"),
        (
            {"states": ["dead", "rejected", "not_found"], "source": "crm", "campaign": "main"},
            "newest outcome dead, rejected or not found; source crm; campaign main",
        ),
        (
            {"since": 1_782_371_969_536, "until": 1_782_371_969_537},
            "received since 25 Jun 2026, 07:19:29.536; received before 25 Jun 2026, 07:19:29.537",
        ),
        (
            {"error": "no such", "version": "ab12"},
            "what was said holds “no such”; mapped by version ab12",
        ),
        ({"receipt": "0" * 32}, f"the delivery {'0' * 32}"),
        ({"of_later": 1}, "of_later 1"),
    ],
)
def test_a_selection_is_told_in_words(selection: dict[str, Any], words: str) -> None:
    assert selected(selection) == words


def test_by_which_mapping_is_told_in_words() -> None:
    assert [mapped_by(one) for one in ("current", "original", "ab12")] == [
        "the current files",
        "the version that each event had first",
        "version ab12",
    ]
