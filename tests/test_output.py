"""Tables on the command line: whole where they fit, a block for each row where they do not."""

from __future__ import annotations

from collections import Counter

import pytest

from bridge.commands.output import table
from bridge.commands.replay_shown import print_plan
from bridge.map.difference import Difference
from bridge.steps.replay_plan import Plan

RECEIPT = "01a2168f219c9e764c51f4608743263a"
ROW = {
    "id": 7,
    "at": "2026-11-26T06:33:28.732Z",
    "campaign": "renewals",
    "phone": "+12125550147",
    "fields": {"first_name": "Zoë", "email": "zoe@example.com"},
    "message": "rule opt-out: phone_number: “call the office” is not a phone number (country US)",
    "spare": None,
    "none": {},
    "receipt": RECEIPT,
}


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    table(list(ROW), [ROW], head=("at", "campaign", "phone", "receipt"), text="message")
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_each_row_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    (row,) = [line for line in shown(capsys) if RECEIPT in line]
    assert str(ROW["message"]) in row
    assert '"email": "zoe@example.com"' in row


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_where_it_does_not_fit_nothing_but_words_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shown(capsys)
    for whole in (RECEIPT, ROW["phone"], ROW["at"]):
        assert sum(str(whole) in line for line in lines) == 1
    assert " ".join(" ".join(lines).split()).count(str(ROW["message"])) == 1
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)


def test_a_block_begins_with_what_tells_rows_apart_and_leaves_out_what_is_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert shown(capsys) == [
        f"2026-11-26T06:33:28.732Z  renewals  +12125550147  {RECEIPT}",
        f"  {ROW['message']}",
        '  id: 7  fields: {"first_name": "Zoë", "email": "zoe@example.com"}',
    ]


def test_a_plan_tells_how_many_reasons_it_does_not_show(capsys: pytest.CaptureFixture[str]) -> None:
    problems = Counter({f"reason {number}": number for number in range(1, 9)})
    print_plan(Plan(Difference(0), deliveries=1, problems=problems))
    printed = capsys.readouterr().out
    assert printed.count("would be dead") == 5
    assert "  and 3 more such reasons (6 events)\n" in printed
