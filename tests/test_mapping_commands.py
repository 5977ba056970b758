"""The commands about mapping files: what they print, where they point, how they end."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from store.fresh import prepare

from bridge.cli import cli
from bridge.clock import now_ms
from bridge.record.ledger import Entry, write
from bridge.store import deliveries
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.schema import lead

MAPPINGS = Path(__file__).parents[1] / "mappings"
GOOD = """\
source: crm
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  event_id: [id]
  event_time: {from: at, format: unix_ms}
rules:
  - name: opt-out
    when: "kind == 'stop'"
    channel: voice
    lead: {phone_number: {from: phone, to: trim}, do_not_call: {value: true}}
  - name: details
    when: "kind == 'changed' && name"
    lead: {phone_number: phone, first_name: {from: name, to: [trim, upper]}}
"""
BAD = GOOD.replace("channel: voice", "channel: vioce").replace("to: trim}", "to: trimm}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a folder of mapping files."""
    found = tmp_path / "mappings"
    found.mkdir()
    (found / "campaigns.yaml").write_text("campaigns:\n  main: {id: camp_1}\n")
    (found / "crm.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    for name in ("CRM_TOKEN", "BRIDGE_API_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("BRIDGE_MAPPINGS", "mappings")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/bridge.db")
    return found


@pytest.fixture
def database(folder: Path) -> Database:
    """The database, migrated."""
    made = Database(f"sqlite:///{folder.parent}/bridge.db")
    prepare(made)
    return made


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["mapping", *arguments], input=given)


# --------------------------------------------------------------------------- check


def test_mistakes_are_shown_below_their_line_and_end_with_2(folder: Path) -> None:
    (folder / "crm.yaml").write_text(BAD)
    done = run("check")
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert lines[0].startswith("mappings/crm.yaml:10:14: error: unknown-word:")
    assert lines[1:3] == ["   10 |     channel: vioce", "      |              ^^^^^"]
    assert "2 mistakes" in lines[-1]


def test_the_same_as_json(folder: Path) -> None:
    (folder / "crm.yaml").write_text(BAD)
    done = run("check", "--json")
    assert done.exit_code == 2
    first, second = json.loads(done.stdout)["found"]
    assert (first["level"], first["path"]) == ("error", "mappings/crm.yaml")
    assert (first["line"], first["column"], first["end_column"]) == (10, 14, 19)
    assert (first["text"], first["code"]) == ("vioce", "unknown-word")
    assert (second["text"], second["hint"]) == ("trimm", "Write `trim`.")


def test_annotations_of_github(folder: Path) -> None:
    (folder / "crm.yaml").write_text(BAD)
    done = run("check", "--format", "github")
    assert done.exit_code == 2
    first = done.stdout.splitlines()[0]
    place = "file=mappings/crm.yaml,line=10,col=14,endColumn=19,title=unknown-word"
    assert first.startswith(f"::error {place}::`rules[0].channel` cannot be `vioce`.")


def test_a_report_in_sarif(folder: Path) -> None:
    (folder / "crm.yaml").write_text(BAD)
    log = json.loads(run("check", "--format", "sarif").stdout)
    result = log["runs"][0]["results"][0]
    assert (log["version"], result["ruleId"], result["level"]) == ("2.1.0", "unknown-word", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "mappings/crm.yaml"}
    assert place["region"] == {"startLine": 10, "startColumn": 14, "endColumn": 19}


def test_warnings_fail_only_where_that_is_asked_for(folder: Path) -> None:
    assert run("check").exit_code == 0
    assert run("check", "--strict").exit_code == 0
    (folder / "crm.yaml").write_text(GOOD.replace("'stop'", "'a' && kind == 'b'"))
    done = run("check")
    assert done.exit_code == 0
    assert "warning: never-fires" in done.stderr
    assert "crm.yaml  crm  ready" in done.stdout
    assert run("check", "--strict").exit_code == 1


def test_a_missing_secret_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_TOKEN")
    done = run("check")
    assert done.exit_code == 0
    assert "crm.yaml  crm  not configured: set CRM_TOKEN" in done.stdout


def test_a_secret_in_a_file_is_shown_nowhere(folder: Path) -> None:
    (folder / "crm.yaml").write_text(BAD.replace('"${CRM_TOKEN}"', "hunter2"))
    for way in ("text", "json", "github", "sarif"):
        done = run("check", "--format", way)
        assert done.exit_code == 2
        assert "literal-secret" in done.output
        assert "hunter2" not in done.output


# --------------------------------------------------------------------------- try


def test_a_mistake_in_the_file_of_another_source_stops_no_trial(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "other.yaml").write_text("source: [")
    (tmp_path / "one.json").write_text('{"id": "1", "kind": "stop", "phone": "+14155550123"}')
    done = run("try", "crm", "one.json")
    assert done.exit_code == 0, done.output
    assert "would send" in done.stdout
    assert "other.yaml" in str(run("try", "crn", "one.json").exception)
    (folder / "other.yaml").unlink()
    assert "crm" in run("try", "crn", "one.json").stderr


@pytest.mark.parametrize("with_database", [False, True])
def test_a_trial_loads_nothing_that_it_does_not_need(
    folder: Path, tmp_path: Path, with_database: bool
) -> None:
    """They take longer to load than all the rest, and a trial is to answer in half a second."""
    (tmp_path / "one.json").write_text('{"id": "1", "kind": "stop", "phone": "+14155550123"}')
    slow = {"httpx", "alembic", "flask", "gevent", "structlog", "rich", "cryptography", "jwt"}
    slow |= {"psycopg", "sqlalchemy.dialects.postgresql", "urllib.request", "sqlalchemy"}
    if with_database:
        database = Database(f"sqlite:///{tmp_path}/bridge.db")
        prepare(database)
        database.close()
        slow -= {"sqlalchemy"}
    program = (
        "import sys\nfrom bridge.cli import cli\n"
        "cli(['mapping', 'try', 'crm', 'one.json'], standalone_mode=False)\n"
        f"print({slow!r} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "would send" in done.stdout
    assert ("no database" in done.stderr) is not with_database
    assert done.stdout.splitlines()[-1] == "set()"


EVENT = {"id": "7", "at": 1782371969536, "kind": "stop", "phone": " +14155550123 "}


def test_a_payload_is_followed_step_by_step(folder: Path) -> None:
    done = run("try", "crm", "-", given=json.dumps(EVENT))
    assert done.exit_code == 0, done.output
    assert "✓ opt-out: sets do_not_call" in done.stdout
    assert "holds: kind == 'stop'   (kind is \"stop\")" in done.stdout
    assert "– details: when is false" in done.stdout
    assert "fails: kind == 'changed'   (kind is \"stop\")" in done.stdout
    assert 'would send {"phone_number": "+14155550123", "do_not_call": true}' in done.stdout
    assert "no database" in done.stderr
    assert not (folder.parent / "bridge.db").exists()


def test_the_trace_as_json_has_every_step(folder: Path) -> None:
    event = {**EVENT, "kind": "changed", "name": " jane "}
    path = folder.parent / "payload.json"
    path.write_text(json.dumps(event))
    (shown,) = json.loads(run("try", "crm", str(path), "--json").stdout)
    details = shown["rules"][1]
    assert details["fired"]
    steps = {one["field"]: one["steps"] for one in details["fields"]}
    assert [(step["what"], step["value"]) for step in steps["first_name"]] == [
        ("name", " jane "),
        ("trim", "jane"),
        ("upper", "JANE"),
    ]
    (update,) = shown["updates"]
    assert (update["state"], update["first_name"]) == ("waiting", "JANE")


def ledger(database: Database, campaign: str, phone: str, **entries: tuple[Any, int]) -> None:
    stored = {name: Entry(value, at, "f" * 32) for name, (value, at) in entries.items()}
    with database.write() as connection:
        connection.execute(
            lead.insert().values(
                campaign=campaign,
                phone=phone,
                ledger=json.dumps(write(stored)),
                opted_out=False,
                lane=9,
                due_at=0,
                fence=0,
                lease_owner="",
                lease_until=0,
                tries=0,
                standing_tries=0,
                bare=False,
                reassert=False,
            )
        )


def test_what_the_ledger_knows_better_is_superseded(folder: Path, database: Database) -> None:
    newer = EVENT["at"] + 1  # type: ignore[operator]
    ledger(database, "main", "+14155550123", first_name=("Ann", newer))
    event = {**EVENT, "kind": "changed", "name": "Jane", "phone": "+14155550123"}
    done = run("try", "crm", "-", given=json.dumps(event))
    assert "superseded: a newer event has set the same fields" in done.stdout
    assert "would send" not in done.stdout


def stored(database: Database, event: dict[str, Any]) -> str:
    receipt = "0123456789abcdef0123456789abcdef"
    row = NewDelivery(
        receipt=receipt,
        source="crm",
        received_at=now_ms(),
        method="POST",
        path="/hooks/crm",
        query={},
        headers={},
        body=json.dumps(event).encode(),
        address="127.0.0.1",
        scheme="bearer",
    )
    with database.write() as connection:
        deliveries.add(connection, [row])
    return receipt


def test_a_receipt_stands_for_its_stored_delivery(folder: Path, database: Database) -> None:
    receipt = stored(database, EVENT)
    assert "✓ opt-out" in run("try", "crm", receipt).stdout
    done = run("try", "crm", "f" * 32)
    assert done.exit_code == 1
    assert "no stored delivery has that receipt" in done.stderr
    assert "Write `crm`" in run("try", "crn", receipt).stderr


def test_records_come_from_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = folder.parent / "records.yaml"
    records.write_text('contact: {"123": {phone: "+14155550123", firstname: Jane}}\n')
    payload = MAPPINGS / "payloads" / "hubspot-app-creation.json"
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(MAPPINGS))
    monkeypatch.setenv("BRIDGE_CAMPAIGN_ID", "camp_1")
    done = run("try", "hubspot", str(payload), "--lookup", str(records))
    assert 'found {"phone": "+14155550123", "firstname": "Jane"}' in done.stdout
    assert '"first_name": "Jane"' in done.stdout


def test_a_look_up_that_was_not_asked_is_not_said_to_know_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = str(MAPPINGS / "payloads" / "hubspot-app-creation.json")
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(MAPPINGS))
    monkeypatch.delenv("BRIDGE_CAMPAIGN_ID", raising=False)
    bare = run("try", "hubspot", payload)
    assert "not asked; --ask asks the CRM, --found or --lookup stands in for it" in bare.stdout
    assert "not known there" not in bare.stdout
    assert bare.stdout.endswith("the CRM was not asked, and what it says may change this\n")
    assert "campaign main is not configured (set BRIDGE_CAMPAIGN_ID)" in bare.stderr
    other = run("try", "hubspot", payload, "--found", '{"contact": {"7": {"phone": "1"}}}')
    assert "not in what was given: 123" in other.stdout
    assert "no event asks the look-up contact for 7; asked for: 123" in other.stderr
    misspelt = run("try", "hubspot", payload, "--found", '{"contcat": {}}')
    assert misspelt.exit_code == 2
    assert "hubspot has no look-up contcat. Write `contact`." in misspelt.stderr


def test_a_skip_beside_a_rule_that_applies_is_said_not_to_count(folder: Path) -> None:
    (folder / "crm.yaml").write_text(
        GOOD + "  - name: switched off\n    when: kind == 'stop'\n    skip: it does not count\n"
    )
    done = run("try", "crm", "-", given=json.dumps(EVENT))
    told = "its skip does not count, since another rule applies: it does not count"
    assert f"✓ switched off: {told}" in done.stdout
    assert "would send" in done.stdout


def test_a_body_that_cannot_be_read_is_dead_and_no_traceback(folder: Path) -> None:
    done = run("try", "crm", "-", given="{")
    assert done.exit_code == 0
    assert "dead: the body cannot be read" in done.stdout


def test_a_payload_is_followed_in_less_than_half_a_second(folder: Path) -> None:
    run("try", "crm", "-", given=json.dumps(EVENT))
    begun = time.process_time()
    run("try", "crm", "-", given=json.dumps(EVENT))
    assert time.process_time() - begun < 0.5


# --------------------------------------------------------------------------- test and case


def test_a_case_that_fails_shows_both_values_and_what_is_left_out(folder: Path) -> None:
    (folder / "crm.cases.yaml").write_text(
        "- name: an opt-out\n"
        '  payload: {kind: changed, name: jane, phone: "+14155550123"}\n'
        '  expect: [{updates: [{phone_number: "+14155550123", first_name: Jane}]}]\n'
    )
    done = run("test")
    assert done.exit_code == 1
    assert "mappings/crm.cases.yaml:1: +14155550123 in main" in done.stdout
    assert '- expected first_name "Jane"' in done.stdout
    assert '+ found    "JANE"' in done.stdout
    assert "mappings/crm.yaml:8:11: in no case the rule `opt-out` fires." in done.stdout
    (shown,) = json.loads(run("test", "--json").stdout)
    assert shown["cases"][0]["passed"] is False
    assert shown["reached"] < shown["branches"]


def test_the_cases_of_one_source_need_no_file_of_another(folder: Path) -> None:
    (folder / "other.yaml").write_text("source: [")
    (folder / "crm.cases.yaml").write_text(
        "- {name: nothing, payload: {kind: other}, expect: [{skipped: no rule}]}\n"
    )
    done = run("test", "crm")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("1 of 1 cases pass\n")
    assert "other.yaml" in str(run("test").exception)


def test_cases_do_not_depend_on_what_is_set_where_they_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own settings neither fail the shipped cases nor take from what they reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(MAPPINGS))
    (tmp_path / ".env").write_text("HUBSPOT_OPT_OUT_PROPERTY=dnc\nBRIDGE_MAX_DEPTH=2\n")
    monkeypatch.setenv("BRIDGE_DEFAULT_REGION", "DE")
    done = run("test", "hubspot", "--strict")
    assert done.exit_code == 0, done.output
    checked = run("check", "--strict")
    assert checked.exit_code == 0, checked.output
    assert checked.stderr == ""


REGIONAL = """\
- name: {name}
  payload: {{kind: stop, phone: "030 901820"}}
  settings: {settings}
  expect: [{{updates: [{{phone_number: "+4930901820", do_not_call: true}}]}}]
"""


def test_a_case_brings_the_country_of_its_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "crm.cases.yaml").write_text(
        REGIONAL.format(name="of its own", settings="{BRIDGE_DEFAULT_REGION: DE}")
        + REGIONAL.format(name="of nobody", settings="{}")
    )
    monkeypatch.setenv("BRIDGE_DEFAULT_REGION", "DE")
    (shown,) = json.loads(run("test", "--json").stdout)
    assert [case["passed"] for case in shown["cases"]] == [True, False]


def test_a_new_case_brings_what_was_set_where_it_was_made(
    folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "crm.yaml").write_text(
        GOOD.replace("kind == 'stop'", "kind == '${STOP_WORD:-stop}'").replace(
            "event_id: [id]", "event_id: [id]\n  events: ${EVENTS:-rows}"
        )
    )
    monkeypatch.setenv("STOP_WORD", "changed")
    monkeypatch.setenv("EVENTS", "events")
    monkeypatch.setenv("BRIDGE_DEFAULT_REGION", "DE")
    receipt = stored(database, {"events": [{**EVENT, "kind": "changed", "phone": "030 901820"}]})
    assert run("case", receipt, "--write").exit_code == 0
    text = (folder / "crm.cases.yaml").read_text()
    brought = '{"BRIDGE_DEFAULT_REGION": "DE", "EVENTS": "events", "STOP_WORD": "changed"}'
    assert f"settings: {brought}" in text
    assert '"do_not_call": true' in text
    assert "s3cret" not in text
    for name in ("STOP_WORD", "EVENTS", "BRIDGE_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    done = run("test", "crm")
    assert done.exit_code == 0, done.output


def test_a_stored_delivery_becomes_a_case_without_its_person(
    folder: Path, database: Database
) -> None:
    event = {**EVENT, "kind": "changed", "name": "Wilhelmine", "phone": "+4930901820"}
    receipt = stored(database, event)
    done = run("case", receipt, "--name", "a name", "--write")
    assert done.exit_code == 0, done.output
    text = (folder / "crm.cases.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schema/cases.json\n- name: ")
    assert "Wilhelmine" not in text
    assert "901820" not in text
    assert run("test", "crm").exit_code == 0
    assert run("case", receipt, "--name", "another", "--write").exit_code == 0
    assert "2 of 2 cases pass" in run("test", "crm").stdout


def test_schemas_are_written_into_a_folder(folder: Path) -> None:
    done = run("schema", "--output", "out")
    assert done.exit_code == 0
    for name in ("source", "campaigns", "cases"):
        committed = (MAPPINGS / "schema" / f"{name}.json").read_text()
        assert Path(f"out/{name}.json").read_text() == committed
        assert run("schema", name).stdout == committed


def test_no_transaction_is_open_while_the_crm_is_asked(
    folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stays open for as long as a CRM takes keeps the database's log from shrinking."""
    stored(database, EVENT)  # something stands in the log, which a reader holds
    busy: list[int] = []
    record = {"id": "123", "properties": {"phone": "+14155550123", "firstname": "Jane"}}

    class Crm(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with closing(sqlite3.connect(folder.parent / "bridge.db", timeout=0)) as connection:
                busy.append(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
            body = json.dumps({"status": "COMPLETE", "results": [record]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    monkeypatch.setenv("BRIDGE_MAPPINGS", str(MAPPINGS))
    monkeypatch.setenv("BRIDGE_CAMPAIGN_ID", "camp_1")
    monkeypatch.setenv("HUBSPOT_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "s3cret")
    with ThreadingHTTPServer(("127.0.0.1", 0), Crm) as server:
        monkeypatch.setenv("HUBSPOT_API_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        payload = str(MAPPINGS / "payloads" / "hubspot-app-creation.json")
        done = run("try", "hubspot", payload, "--ask")
        server.shutdown()
        thread.join()
    assert '"first_name": "Jane"' in done.stdout, done.output
    assert busy == [0]
