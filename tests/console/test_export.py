"""Evidence as an operator exports it: from the console, the API and the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_process import Bridge, wait_until
from click.testing import CliRunner
from evidence.files import file_of
from playwright.sync_api import Page

from bridge.clock import now_ms
from bridge.commands.export import command
from bridge.errors import BridgeError
from bridge.operate.export.lines import Form
from bridge.operate.export.subject import SETTLE_MS, Period
from bridge.operate.export.verify import Whole, WrongLineError, verify
from bridge.store import operator_actions

from .conftest import CONFIRMED, MAIL, STANDING, TOKEN, Story
from .test_doors import csrf_of, sign_in

KEY = "a-long-random-text-of-the-tests"
HOUR_MS = 3_600_000


@pytest.fixture
def client(bridge: Bridge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bridge.url, trust_env=False, timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def settled(bridge: Bridge, told: Story) -> int:
    """The end of a period that has whatever was told in it (ms)."""
    end: int = max(row["received_at"] for row in (*bridge.deliveries(), *bridge.refusals())) + 1
    wait_until(lambda: now_ms() > end + SETTLE_MS, what="the time after which a period is fixed")
    return end


def whole(text: bytes, *keys: str) -> tuple[Whole, list[dict[str, Any]]]:
    found = verify(io.BytesIO(text), keys)
    return found, [json.loads(line) for line in text.splitlines()]


def lines_about(bridge: Bridge, file: Whole) -> list[dict[str, Any]]:
    with bridge.database.read() as connection:
        return operator_actions.listing(connection, subject=f"export {file.header['export']}")


def test_the_evidence_of_an_opt_out_goes_from_the_raw_webhook_to_the_reply(
    api: httpx.Client, bridge: Bridge, told: Story
) -> None:
    found = api.post(
        "/api/leads/export", json={"text": "(415) 555-0103"}, headers={"X-Operator": "Ada"}
    )
    assert found.status_code == 200
    assert found.headers["Content-Type"].startswith("application/jsonl")
    assert found.headers["Content-Disposition"].startswith('attachment; filename="evidence-lead-')
    assert "555" not in found.headers["Content-Disposition"].partition("-lead-")[0]
    file, records = whole(found.content)
    # a replay that another test made has outcomes of its own
    told_first = [record for record in records if not record.get("replay")]
    kinds = [record["kind"] for record in told_first]
    assert kinds[:8] == [
        "export",
        *["lead"] * 2,
        "mapping",
        "delivery",
        "event",
        *["outcome"] * 2,
    ]
    assert set(kinds[8:-1]) <= {"action"}
    assert kinds[-1] == "end"
    records = told_first
    delivery, event = records[4:6]
    assert json.loads(delivery["body"])[0]["id"] == "opt-out"
    assert (delivery["receipt"], delivery["verified_by"]) == (told.opt_out, "bearer")
    assert "authorization" not in delivery["headers"]
    assert records[3]["mapping"] == delivery["mapping"] == records[6]["mapping"]
    assert "do_not_call: {value: true}" in records[3]["text"]
    [one] = [row for row in records[6:8] if row["campaign"] == "one"]
    assert (one["event"], one["state"], one["opts_out"]) == (event["event"], "updated", True)
    assert one["update"]["do_not_call"] is True
    assert "opt-out" in one["rules"]
    assert [call["status"] for call in one["calls"]] == [503, 200]
    assert event["event_time"] <= one["calls"][0]["started_at"] <= one["decided_at"]
    assert [row["verdict"] for row in records[1:3]] == ["confirmed", "confirmed"]
    end, begin = lines_about(bridge, file)
    assert begin["actor"] == end["actor"] == "Ada (API, 127.0.0.1)"
    assert end["details"] == {"lines": file.lines, "hash": file.hash}
    assert CONFIRMED not in json.dumps([begin, end])


def test_the_api_exports_a_period_and_says_what_it_cannot(
    api: httpx.Client, bridge: Bridge, settled: int
) -> None:
    body = {"since": settled - HOUR_MS, "until": settled, "format": "csv", "bodies": False}
    found = api.post("/api/export", json=body)
    assert found.status_code == 200, found.text
    file = verify(io.BytesIO(found.content), ())
    assert file.header["subject"]["until_ms"] == settled
    text = found.content.decode("utf-8-sig")
    assert text.count('""kind"":""delivery""') == len(bridge.deliveries())
    assert '"refusal"' in text
    assert "'+14155550103" in text
    assert api.post("/api/leads/export", json={"text": "nobody@example.com"}).status_code == 404
    early = api.post("/api/export", json={**body, "until": 2, "since": 5})
    assert early.status_code == 409
    assert api.post("/api/export", json={"until": 5}).status_code == 400
    assert api.post("/api/export", json={**body, "format": "xlsx"}).status_code == 400
    assert api.get("/api/export").status_code == 405


def test_the_console_gives_files_only_to_a_post_that_was_meant(
    client: httpx.Client, bridge: Bridge, told: Story, settled: int
) -> None:
    choice = {"format": "csv", "bodies": "1"}
    assert client.post("/console/leads/1/export", data=choice).status_code == 401
    sign_in(client)
    found = client.post(
        "/console/leads",
        data={"q": "415 555 0103", "csrf": csrf_of(client.get("/console/leads"))},
    )
    lead = found.headers["Location"]
    good = {**choice, "csrf": csrf_of(client.get(lead))}
    assert client.get(f"{lead}/export").status_code == 405
    assert client.post(f"{lead}/export", data=choice).status_code == 403
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert client.post(f"{lead}/export", data=good, headers=elsewhere).status_code == 403
    before = len(_exports(bridge))
    saved = client.post(f"{lead}/export", data=good)
    assert saved.headers["Content-Type"].startswith("text/csv")
    file = verify(io.BytesIO(saved.content), ())
    assert {line["actor"] for line in lines_about(bridge, file)} == {"Ada (console, 127.0.0.1)"}
    assert len(_exports(bridge)) == before + 2
    assert client.post("/console/leads/999999/export", data=good).status_code == 404
    assert client.post(f"{lead}/export", data={**good, "format": "x"}).status_code == 400
    by_mail = client.post("/console/leads/export", data={**good, "q": MAIL, "format": "jsonl"})
    _, records = whole(by_mail.content)
    assert CONFIRMED in records[0]["subject"]["phones"]
    assert client.post("/console/leads/export", data={**good, "q": "gone@x.org"}).status_code == 404
    short = {"since": "2026-01-01T00:00:00", "until": "2026-01-01T00:00:00"}
    refused = client.post("/console/export", data={**good, **short})
    assert refused.status_code == 400
    assert "ends before it begins" in refused.text
    empty = client.post("/console/export", data={**good, **short, "until": "2026-01-01T00:00:01"})
    assert verify(io.BytesIO(empty.content), ()).header["subject"]["of"] == "period"
    assert client.post("/console/export", data={**good, "since": "soon"}).status_code == 400


def _exports(bridge: Bridge) -> list[dict[str, Any]]:
    with bridge.database.read() as connection:
        lines = operator_actions.listing(connection, limit=500)
    return [line for line in lines if line["action"].startswith("export.")]


def test_the_command_exports_verifies_and_goes_on(
    bridge: Bridge, told: Story, settled: int, tmp_path: Path
) -> None:
    def run(*arguments: str, **settings: str) -> tuple[int, str]:
        """In this process, since starting one takes longer than the work."""
        done = CliRunner().invoke(command, arguments, env={**bridge.env, **settings})
        if isinstance(done.exception, BridgeError):
            return 2, str(done.exception)
        return done.exit_code, done.output

    file = tmp_path / "stands.jsonl"
    sealed = {"BRIDGE_EVIDENCE_KEY": KEY}
    made = bridge.run("export", "lead", STANDING, "--output", str(file), **sealed)
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    _, records = whole(file.read_bytes(), KEY)
    leads = [row["verdict"] for row in records if row["kind"] == "lead"]
    assert set(leads) <= {"standing", "on_its_way"}
    assert KEY not in file.read_text() + made.stdout + made.stderr
    checked = bridge.run("export", "verify", str(file), "--noted", **sealed)
    assert (checked.returncode, "has noted" in checked.stdout) == (0, True)
    assert run("lead", STANDING, "--output", str(file)) == (
        2,
        f"{file} is there already, and nothing is overwritten.",
    )
    assert run("verify", str(file))[0] == 2
    rotated = {"BRIDGE_EVIDENCE_KEY": "new", "BRIDGE_EVIDENCE_KEY_PREVIOUS": KEY}
    assert run("verify", str(file), **rotated)[0] == 0

    month = tmp_path / "month.csv"
    since = ("--since", "30d", "--format", "csv", "--output", str(month))
    assert run("period", *since)[0] == 0
    text = month.read_bytes()
    assert run("verify", str(month), "--noted")[0] == 0
    assert run("verify", str(month), **sealed)[0] == 1
    assert run("verify", str(month), "--unkeyed", **sealed)[0] == 0
    lines = text.splitlines(keepends=True)
    month.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    status, said = run("verify", str(month), "--json")
    assert (status, json.loads(said)["line"]) == (1, 5)
    month.write_bytes(text[: len(text) // 2])
    with pytest.raises(WrongLineError):
        verify(io.BytesIO(month.read_bytes()), ())
    status, said = run("resume", str(month), **sealed)
    assert (status, "no key seals this file" in said) == (2, True)
    assert run("resume", str(month))[0] == 0
    status, said = run("verify", str(month), "--noted")
    assert (status, "there is no note" in said) == (0, True)
    status, said = run("verify", str(month), "--noted", "--json")
    assert 0 < json.loads(said)["lines_without_note"] < len(lines)
    # a file of the same format that this bridge did not make: every line fits
    foreign = tmp_path / "foreign.csv"
    foreign.write_bytes(file_of(Form.CSV, []))
    assert run("verify", str(foreign))[0] == 0
    assert run("verify", str(foreign), "--noted")[0] == 1
    # nor does it make one whole that somebody else has begun
    header = {"export": "ab" * 16, "bodies": True, "subject": Period(0, 1).as_json()}
    foreign.write_bytes(file_of(Form.JSONL, [], header=header)[:-20])
    assert run("resume", str(foreign)) == (
        2,
        "this database has begun no such export; export anew.",
    )
    assert run("resume", str(month)) == (
        2,
        "this file is whole; there is nothing to go on with.",
    )

    whole(bridge.run("export", "lead", "(415) 555-0103", "--no-bodies").stdout.encode())
    assert run("lead", "(415) 555-9999")[0] == 1
    assert run("period", "--since", "1s")[0] == 2


def test_the_buttons_are_where_one_looks_for_them(page: Page, told: Story, tmp_path: Path) -> None:
    page.goto("/console/leads")
    page.get_by_role("searchbox").fill("(415) 555-0103")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("Export as evidence").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    path = tmp_path / "lead.csv"
    download.value.save_as(path)
    assert verify(io.BytesIO(path.read_bytes()), ()).header["subject"]["phones"] == [CONFIRMED]
    page.goto("/console/outcomes?source=crm")
    page.get_by_role("link", name="Export a period").click()
    assert page.get_by_label("Source").input_value() == "crm"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON Lines").click()
    path = tmp_path / "period.jsonl"
    download.value.save_as(path)
    assert verify(io.BytesIO(path.read_bytes()), ()).header["subject"]["source"] == "crm"
    page.goto("/console/campaigns")
    assert page.get_by_text("completed export").count() >= 2


def test_no_key_and_no_token_stands_in_a_log(bridge: Bridge, api: httpx.Client) -> None:
    said = bridge.log("web")
    assert TOKEN not in said
    assert "5550103" not in said
