"""The command line: what it lists is there, what documents name exists, how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import command_line
import pytest
from bridge_process import free_port
from click.testing import CliRunner
from http_receiver import HttpReceiver
from store.fresh import migrated_file
from store.rows import a_delivery, an_event, an_outcome, stored
from store.world import world

from bridge import __version__
from bridge.cli import COMMANDS, cli, main
from bridge.commands.alert import COMMANDS as ALERT_COMMANDS
from bridge.commands.export import COMMANDS as EXPORT_COMMANDS
from bridge.commands.mapping import COMMANDS as MAPPING_COMMANDS
from bridge.commands.send import post
from bridge.commands.web import check_port
from bridge.declared_settings import SETTINGS
from bridge.errors import BridgeError, MappingError, Mistake, SettingError
from bridge.model import ContactRef, Lane, Link
from bridge.receive.sign import Signed
from bridge.settings import Environment, Settings
from bridge.store import clues, contacts, erasures, events, outcomes
from bridge.store.clues import Clue
from bridge.store.database import Database
from bridge.store.digest import load

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Procfile")
    if path.exists()
]
SECRET = "s3cr3t-value-0123"
GROUPS = (COMMANDS, ALERT_COMMANDS, EXPORT_COMMANDS, MAPPING_COMMANDS)

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SET = {"PATH": os.environ["PATH"], "BRIDGE_MAPPINGS": str(ROOT / "mappings")}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command as a process of its own in an empty folder, with only these settings."""

    def run_it(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            cwd=tmp_path,
            env=SET | settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_it


@pytest.fixture
def call(tmp_path: Path) -> Run:
    """Does the same in this process."""

    def call_it(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return command_line.call(*arguments, settings=SET | settings, folder=tmp_path)

    return call_it


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """The database in that folder."""
    path = tmp_path / "bridge.db"
    path.write_bytes(migrated_file())
    return path


def subcommands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The command itself and every one beneath it."""
    found = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            beneath = command.get_command(context, name)
            assert beneath is not None
            found += subcommands(beneath, (*path, name))
    return found


ALL = subcommands(cli)


def test_help_lists_every_command_with_what_it_does() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text[:30])}", shown, re.MULTILINE), name


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.lower().startswith("usage:")


def test_every_module_of_commands_is_reached() -> None:
    modules = {path.stem for path in (ROOT / "bridge" / "commands").glob("*.py")} - {"__init__"}
    named = {module for group in GROUPS for module, _ in group.values()}
    assert named <= modules
    for module in modules - named:
        text = (ROOT / "bridge" / "commands" / f"{module}.py").read_text(encoding="utf-8")
        assert "@click.command" not in text, f"nothing leads to {module}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_commands_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for words in re.findall(r"crm-bridge ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", _code(text, path)):
        first, _, second = words.partition(" ")
        assert (first,) in ALL, f"{path.name} names crm-bridge {first}"
        if any(found[:1] == (first,) and len(found) == 2 for found in ALL) and second:
            assert (first, second) in ALL, f"{path.name} names crm-bridge {words}"


def _code(text: str, path: Path) -> str:
    """What a document marks as code; a Procfile is all code."""
    if path.suffix != ".md":
        return text
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text))])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_settings_that_exist(path: Path) -> None:
    mappings = [file.read_text(encoding="utf-8") for file in (ROOT / "mappings").glob("*.yaml")]
    names = {setting.name for setting in SETTINGS}
    names |= {name for text in mappings for name in re.findall(r"\$\{([A-Z_]+)", text)}
    for name in re.findall(r"\bBRIDGE_[A-Z_]+\b", path.read_text(encoding="utf-8")):
        plain = name.removesuffix("_FILE").removesuffix("_PREVIOUS")
        assert plain in names, f"{path.name} names {name}"


def test_the_version_is_printed(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"crm-bridge, version {__version__}\n")


def test_settings_as_json_hold_every_name_and_no_secret(run: Run) -> None:
    done = run(
        "settings",
        "--json",
        BRIDGE_API_TOKEN=SECRET,
        BRIDGE_CONSOLE_TOKEN=SECRET,
        DATABASE_URL=f"postgres://u:{SECRET}@db.example.com/bridge",
        PORT="9000",
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == [setting.name for setting in SETTINGS]
    assert rows["PORT"]["value"] == "9000"
    assert rows["BRIDGE_API_TOKEN"]["value"] == "(set)"
    assert rows["DATABASE_URL"]["value"] == "postgres://u:***@db.example.com/bridge"
    assert SECRET not in done.stdout + done.stderr


def test_settings_as_a_table_hold_no_secret(run: Run) -> None:
    done = run("settings", BRIDGE_API_TOKEN=SECRET)
    assert done.returncode == 0
    assert all(setting.name in done.stdout for setting in SETTINGS)
    assert SECRET not in done.stdout


def test_settings_warn_of_a_name_that_is_none_and_name_the_nearest(call: Run) -> None:
    done = call("settings", "--json", BRIDGE_BACH="5", BRIDGE_PORT="9000")
    assert done.returncode == 0
    assert json.loads(done.stdout)
    assert (
        "BRIDGE_BACH is no setting and changes nothing. Did you mean BRIDGE_BATCH?" in done.stderr
    )
    assert "BRIDGE_PORT is no setting and changes nothing. Did you mean PORT?" in done.stderr
    assert not call("settings").stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("settings",), {"PORT": "http"}, "crm-bridge: PORT: 'http' is not usable."),
        (("migrate",), {"DATABASE_URL": "mysql://u:pw@h/d"}, "crm-bridge: DATABASE_URL must be"),
        (("outcomes",), {}, "Run “crm-bridge migrate”"),
        (("nonsense",), {}, "No such command 'nonsense'"),
        (("outcomes", "--limit", "0"), {}, "--limit"),
        (("mapping", "check"), {"BRIDGE_MAPPINGS": "/nowhere"}, "mistake in the mapping files"),
    ],
)
def test_a_wrong_call_or_set_up_ends_with_2_and_no_traceback(
    call: Run, arguments: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    done = call(*arguments, **settings)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--source", "--campaign", "--error", "--version", "--receipt"])
def test_an_empty_choice_replays_nothing(call: Run, migrated: Path, option: str) -> None:
    done = call("replay", option, "", "--run", "--detach")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option} is empty" in done.stderr
    assert json.loads(call("replay", "list", "--json").stdout) == []


NO_UNICODE = "\udcff"
TOO_LARGE = str(2**63)
CRM = {"HUBSPOT_CLIENT_SECRET": "x", "HUBSPOT_ACCESS_TOKEN": "y"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("outcomes", "--before", TOO_LARGE), "a number is nothing that a database can hold"),
        (("deliveries", "--before", TOO_LARGE), "a number is nothing"),
        (("replay", "show", TOO_LARGE), "a number is nothing"),
        (("deliveries", "--source", NO_UNICODE), "a text is nothing that a database can hold"),
        (("deliveries", "--body", NO_UNICODE), "a text is nothing"),
        (("refusals", "--source", NO_UNICODE), "a text is nothing"),
        (("replay", "--receipt", NO_UNICODE), "a text is nothing"),
        (("erase", "--phone", "+١٢٣٤٥٦٧٨٩"), "is no phone number. Write +14155550123, or as"),
        (("erase", "--phone", "(415) 555-01"), "is no phone number. Write +14155550123, or as"),
        (("erase", "--phone", "4155550123, 4155550124"), "one phone number at a time"),
        (("send", "hubspot", "p.json", "--to", "http://[::1"), "http://[::1 is no address"),
        (("send", "hubspot", "p.json", "--to", "here and there"), "is no address"),
        (("send", "hubspot", "p.json", "--header", "X-A: ☃"), "HTTP has no header of that"),
    ],
)
def test_what_nothing_can_hold_is_refused_without_a_traceback(
    call: Run, migrated: Path, arguments: tuple[str, ...], said: str
) -> None:
    (migrated.parent / "p.json").write_text("{}")
    port = str(free_port())
    done = call(*arguments, PORT=port, **CRM)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_person_whose_id_the_shell_spoilt_is_asked_for_all_the_same(
    call: Run, migrated: Path
) -> None:
    done = call("erase", "--json", "--contact", NO_UNICODE, "--source", "hubspot")
    assert (done.returncode, json.loads(done.stdout)["request"]) == (0, 1)


@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_a_bridge_that_listens_by_ipv6_is_sent_to(call: Run, migrated: Path, host: str) -> None:
    (migrated.parent / "p.json").write_text("{}")
    port = str(free_port())
    done = call("send", "hubspot", "p.json", HOST=host, PORT=port, **CRM)
    assert done.returncode == 1
    assert f"no answer from http://[::1]:{port} (ConnectError)" in done.stderr


def test_a_sample_is_sent_whatever_is_wrong_with_other_files(
    call: Run, migrated: Path, tmp_path: Path
) -> None:
    """It is real to the bridge, so it may not look as if nothing had been sent."""
    for name in ("hubspot", "twilio"):
        shutil.copy(ROOT / "mappings" / f"{name}.yaml", tmp_path)
    with (tmp_path / "twilio.yaml").open("a") as file:
        file.write("rulez: []\n")
    (tmp_path / "campaigns.yaml").write_text("campaigns: {main: {id: camp_1}}\n")
    (tmp_path / "p.json").write_text("[]")
    with HttpReceiver() as bridge:
        done = call("send", "hubspot", "p.json", "--to", bridge.url, **CRM, BRIDGE_MAPPINGS=".")
    assert len(bridge.calls) == 1
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("HTTP 200  signed by hubspot_v3")


def test_a_key_that_a_sample_lacks_is_told_with_its_option(call: Run, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    done = call("send", "gohighlevel", "p.json")
    assert done.returncode == 2
    assert "give a test key in PEM form (--key)" in done.stderr


def test_a_problem_that_a_command_meets_ends_with_1(run: Run, migrated: Path) -> None:
    done = run("deliveries", "--body", "unknown")
    assert done.returncode == 1
    assert "there is no delivery with receipt unknown" in done.stderr


def test_a_schema_that_cannot_be_written_is_said_in_a_sentence(call: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("mapping", "schema", "--output", "file/folder")
    assert (done.returncode, done.stdout) == (1, "")
    assert "file/folder cannot be written" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_output_is_not_utf_8_tables_are_shown_and_json_says_the_same(
    run: Run, encoding: str
) -> None:
    name = {"BRIDGE_ALERT_NAME": "Łodź 😀", "PYTHONUTF8": "1"}
    shown = run("settings", PYTHONIOENCODING=encoding, **name)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert r"\u0141" in shown.stdout
    assert r"\U0001f600" in shown.stdout
    there, here = (
        run("settings", "--json", PYTHONIOENCODING=one, **name) for one in ("utf-8", encoding)
    )
    assert "Łodź 😀" in there.stdout
    assert json.loads(here.stdout) == json.loads(there.stdout)


def test_listings_of_an_empty_database_are_empty(run: Run) -> None:
    assert run("migrate").returncode == 0
    for name in ("outcomes", "deliveries", "refusals"):
        assert json.loads(run(name, "--json").stdout) == []
        assert "matches" in run(name).stdout
    names = [row["name"] for row in json.loads(run("campaigns", "--json").stdout)]
    assert "main" in names


def test_who_is_erased_is_told_on_standard_output_and_lines_go_beside_it(
    run: Run, call: Run, migrated: Path
) -> None:
    database = Database(f"sqlite:///{migrated}")
    with world(database) as w:
        for phone in ("+14155550123", "+14155550124", "+14155550125"):
            w.updated(phone, phone)
    database.close()
    as_process = run("erase", "--json", "--phone", "+14155550123")
    within = call("erase", "--json", "--phone", "+14155550124")
    for done in (as_process, within):
        told = json.loads(done.stdout)
        assert (done.returncode, told["waiting"], told["erased"].get("outcomes")) == (0, 0, 1)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert {(one["message"], one["log.logger"]) for one in lines} == {
            ("person erased", "erase")
        }
    plain = call("erase", "--phone", "+14155550125", BRIDGE_LOG="text", BRIDGE_LOG_LEVEL="warning")
    assert (plain.stderr, plain.stdout.count("\n")) == ("", 1)
    assert plain.stdout.startswith("Request 3: erased ")


def test_who_is_erased_is_told_whom_the_crm_named_as_the_same_person(
    call: Run, migrated: Path
) -> None:
    """They stay, but for the numbers, since an event may name several people."""
    database = Database(f"sqlite:///{migrated}")
    one, other = ContactRef("33", "42"), ContactRef("33", "43")
    said = dict.fromkeys((one, other), (("+14155550123",), None, 0))
    links = {one: (Link("43", 1, 1),), other: (Link("42", 1, 1),)}
    with world(database) as w:
        contacts.remember(w.connection, "hubspot", said, 1, links=links)
    database.close()
    wanted = ("erase", "--source", "hubspot", "--account", "33", "--contact")
    told = call(*wanted, "42").stdout
    assert told.splitlines()[1] == (
        "The CRM named 43 as the same person. Only the numbers were taken from there; if it is the "
        "same person, erase it too."
    )
    again = json.loads(call(*wanted, "43", "--json").stdout)
    assert (again["linked"], again["erased"]["contacts"]) == ([], 1)


def test_a_contact_of_another_account_than_was_named_is_not_taken_for_erased(
    call: Run, migrated: Path
) -> None:
    """An id says nothing without the account that it is of, and is often seen without."""
    database = Database(f"sqlite:///{migrated}")
    with world(database) as w:
        one = ContactRef("33", "42")
        contacts.remember(w.connection, "hubspot", {one: (("+14155550123",), None, 0)}, 1)
        # of this one nothing is remembered, but an event names it
        nameless = ContactRef("33", "43")
        event = w.event(w.delivery(), "a")
        erasures.note_contacts(w.connection, [(event, "hubspot", [nameless])])
        by_id = clues.of_contact(load(w.connection), "43")
        clues.add(w.connection, [Clue(by_id, event_id=event)])
    database.close()
    for contact, where in (("42", "It is known in 33;"), ("43", "Events name it in another one;")):
        for account, named in (((), "without an account"), (("--account", "34"), "in account 34")):
            done = call("erase", "--contact", contact, "--source", "hubspot", *account)
            assert (done.returncode, done.stdout) == (2, "")
            said = f"hubspot has no contact {contact} {named}. {where} name it by --account."
            assert said in " ".join(done.stderr.split())
    assert json.loads(call("erase", "--list", "--json").stdout) == []
    # somebody of whom nothing is known may stand in a backlog
    assert call("erase", "--contact", "44", "--source", "hubspot").returncode == 0
    for contact in ("42", "43"):
        wanted = ("--contact", contact, "--source", "hubspot", "--account", "33")
        assert call("erase", *wanted).returncode == 0
    # once more, as a script may
    assert call("erase", "--contact", "42", "--source", "hubspot").returncode == 0


def test_a_number_that_is_remembered_of_contacts_is_told_with_what_to_do(
    call: Run, migrated: Path
) -> None:
    """Their rows are theirs, and a deletion that names only an id needs the number."""
    phone = "+14155550123"
    refs = [ContactRef("33", "42"), ContactRef("", "43"), ContactRef("33", "44")]
    said = {ref: ((phone if ref.id != "44" else phone + "4",), None, 0) for ref in refs}
    database = Database(f"sqlite:///{migrated}")
    with world(database) as w:
        contacts.remember(w.connection, "hubspot", said, 1)
        w.updated(phone, phone)
    database.close()
    done = call("erase", "--phone", phone)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        "The number is still remembered of contacts. If they are this person, erase them too:",
        "  crm-bridge erase --contact 43 --source hubspot",
        "  crm-bridge erase --contact 42 --source hubspot --account 33",
    ]
    told = json.loads(call("erase", "--json", "--phone", phone).stdout)
    assert told["remembered"] == [
        {"source": "hubspot", "account": "", "contact": "43"},
        {"source": "hubspot", "account": "33", "contact": "42"},
    ]
    for account, one in (("33", "42"), ("", "43")):
        named = ("--contact", one, "--source", "hubspot", "--account", account)
        assert call("erase", *named).returncode == 0
    assert call("erase", "--phone", phone).returncode == 0


def test_a_person_is_erased_by_a_number_as_people_write_it(call: Run, migrated: Path) -> None:
    database = Database(f"sqlite:///{migrated}")
    with world(database) as w:
        for phone in ("+14155550123", "+493012345678"):
            w.updated(phone, phone)
    database.close()
    done = call("erase", "--json", "--phone", "(415) 555-0123")
    told = json.loads(done.stdout)
    assert (done.returncode, told["phones"]) == (0, ["+14155550123"])
    assert told["erased"]["outcomes"] == 1
    done = call("erase", "--phone", "030 12345678", BRIDGE_DEFAULT_REGION="DE")
    assert done.stdout.startswith("Request 2: erased ")
    assert "of +493012345678." in done.stdout
    assert "1 outcomes" in done.stdout


def test_campaigns_show_a_pause_and_what_waits_in_words(call: Run, migrated: Path) -> None:
    database = Database(f"sqlite:///{migrated}")
    with world(database) as w:
        w.lead("+14155550123")
        w.lead("+14155550124", Lane.OPT_OUT)
    database.close()
    paused = call("campaigns", "pause", "main", "--reason", "the script\n is rebuilt")
    assert paused.returncode == 0, paused.stderr
    shown = call("campaigns").stdout
    assert re.search(r"\S+@\S+ since \d{4}-\S+Z, but for opt-outs: the script is rebuilt", shown), (
        shown
    )
    assert "{" not in shown
    assert "1 opt_out, 1 first" in shown
    rows = {row["name"]: row for row in json.loads(call("campaigns", "--json").stdout)}
    assert rows["main"]["paused_by_hand"]["opt_outs"] == "go on"
    assert rows["main"]["waiting"] == {"opt_out": 1, "first": 1}
    call("campaigns", "pause", "main", "--hold-opt-outs")
    assert re.search(r"\S+@\S+ since \S+Z, with its opt-outs +\S", call("campaigns").stdout)


def test_outcomes_are_found_by_a_number_as_people_write_it(call: Run, migrated: Path) -> None:
    database = Database(f"sqlite:///{migrated}")
    (delivery,) = stored(database, a_delivery())
    with database.write() as connection:
        added = events.add(connection, [an_event(delivery.id, 0, "k")])
        outcomes.add(connection, [an_outcome(added[delivery.id, 0].id, None)])
    database.close()
    for text in ("+14155550123", "(415) 555-0123", "415.555.0123"):
        (row,) = json.loads(call("outcomes", "--json", "--phone", text).stdout)
        assert row["phone"] == "+14155550123"
    done = call("outcomes", "--phone", "(415) 555-0123", BRIDGE_DEFAULT_REGION="FR")
    assert (done.returncode, done.stdout) == (2, "")
    assert "(415) 555-0123 is no phone number." in done.stderr
    assert "in FR (BRIDGE_DEFAULT_REGION)" in done.stderr
    assert call("outcomes", "--phone", "+14155550199").stdout == "no outcome matches\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("outcomes", "--campaign", "mian"), "there is no campaign mian. Did you mean main?"),
        (("outcomes", "--source", "hubspt"), "there is no source hubspt. Did you mean hubspot?"),
        (("deliveries", "--source", "hubspt"), "Did you mean hubspot?"),
        (("refusals", "--source", "hubspt"), "Did you mean hubspot?"),
        (("refusals", "--source", "qqq"), "there is no source qqq. There are: activecampaign,"),
        (("erase", "--contact", "5", "--source", "hubspt"), "Did you mean hubspot?"),
    ],
)
def test_names_that_nothing_knows_are_refused(
    call: Run, migrated: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    broken = call(*arguments, BRIDGE_MAPPINGS="/nowhere")
    assert broken.returncode == 0, broken.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("refusals", "verify", "--source", "hubspt"), "Did you mean hubspot?"),
        (("replay", "--dead", "--source", "hubspt"), "Did you mean hubspot?"),
        (("replay", "--dead", "--source", "hubspt", "--run", "--detach"), "Did you mean hubspot?"),
        (("replay", "--failed", "--campaign", "mian"), "Did you mean main?"),
    ],
)
def test_a_second_try_of_a_name_that_nothing_knows_is_refused(
    call: Run, migrated: Path, arguments: tuple[str, ...], said: str
) -> None:
    """“Nothing matches” would sound as if nothing were to be made good."""
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_every_mistake_is_printed_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in (1, 2):
        (tmp_path / f"broken{number}.yaml").write_text("source: [", encoding="utf-8")
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["crm-bridge", "mapping", "check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert re.search(r"broken1\.yaml:\d+:\d+: ", printed)
    assert re.search(r"broken2\.yaml:\d+:\d+: ", printed)


def test_errors_meant_for_a_person_are_one_tree() -> None:
    mistake = Mistake("a.yaml", 3, 7, "unknown-key", "has no meaning", "Did you mean b?")
    error = MappingError([mistake])
    assert isinstance(error, BridgeError)
    assert str(error) == "a.yaml:3:7: unknown-key: has no meaning Did you mean b?"


def test_a_folder_in_place_of_the_database_file_is_named_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    ended = run("run", DATABASE_URL="sqlite:///kept")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "kept is a folder. Name a file in DATABASE_URL, such as kept/bridge.db." in ended.stderr


def test_a_file_of_something_else_is_named_and_left_as_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Jane, this is no database")
    ended = run("migrate", DATABASE_URL="sqlite:///letter.txt")
    assert ended.returncode == 2
    assert "letter.txt is a file of something else, and no SQLite database" in ended.stderr
    assert (tmp_path / "letter.txt").read_text() == "Dear Jane, this is no database"


def test_an_address_that_this_machine_does_not_have_is_named_before_anything_starts(
    run: Run,
) -> None:
    ended = run("run", HOST="192.0.2.1", PORT="8765")
    assert ended.returncode == 2
    assert "nobody can listen on 192.0.2.1, port 8765" in ended.stderr
    assert "worker started" not in ended.stderr


def of_port(number: int) -> Settings:
    return Settings(Environment({"PORT": str(number)}))


def test_a_port_on_which_somebody_listens_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingError, match=f"port {port} of 127.0.0.1 is taken.*set PORT"):
            check_port(of_port(port), patience_s=0)


def test_a_process_that_ends_makes_room_on_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = of_port(other.getsockname()[1])
        soon = threading.Timer(0.3, other.close)
        soon.start()
        check_port(settings)
        soon.join()


def test_a_socket_that_a_service_manager_has_opened_is_no_stranger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        monkeypatch.setenv("LISTEN_FDS", "1")
        check_port(of_port(given.getsockname()[1]), patience_s=0)


def test_a_sample_without_an_answer_may_have_come_in_all_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(click.ClickException) as said:
            post(base, Signed({}, f"{base}/hooks/crm", "none", b"{}"), patience_s=0.2)
    assert f"no answer from {base} (ReadTimeout). It may have come in" in said.value.message
    assert "crm-bridge deliveries" in said.value.message
