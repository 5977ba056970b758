"""An edited folder is taken in whole, once it is valid and nobody is at work on it any more."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridge_process import wait_until

from bridge import live
from bridge.live import LiveMappings, secrets_of
from bridge.settings import Environment, Settings

CAMPAIGNS = "campaigns:\n  main: {id: camp_1}\n"
HEAD = 'source: crm\nreceive:\n  verify:\n    - bearer: {token: "${CRM_TOKEN}"}\nrules:\n'
DETAILS = "  - name: details\n    lead: {phone_number: phone, first_name: name}\n"
OPT_OUT = (
    "  - name: opt-out\n    channel: voice\n    lead: {phone_number: phone, do_not_call: stop}\n"
)
WHOLE = HEAD + DETAILS + OPT_OUT

Start = Callable[[Path], LiveMappings]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one source, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live, "LOOK_EVERY_S", 0.02)
    found = tmp_path / "mappings"
    found.mkdir()
    (found / "campaigns.yaml").write_text(CAMPAIGNS)
    (found / "crm.yaml").write_text(WHOLE)
    return found


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts to watch a folder."""

    def starting(folder: Path) -> LiveMappings:
        values = {"BRIDGE_MAPPINGS": str(folder), "CRM_TOKEN": "t", "BRIDGE_API_TOKEN": "a"}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return LiveMappings(Settings(Environment({**os.environ, **values})))

    return starting


def mapping_problem(watched: LiveMappings) -> str | None:
    watched.current()
    return watched.problem


def rules(watched: LiveMappings, source: str = "crm") -> list[str]:
    mapping = watched.current().mappings.get(source)
    return [rule.name for rule in mapping.rules] if mapping else []


def test_an_edit_is_taken_in_and_the_old_set_stays_whole(folder: Path, start: Start) -> None:
    watched = start(folder)
    before = watched.current()
    (folder / "crm.yaml").write_text(HEAD + OPT_OUT)
    wait_until(lambda: rules(watched) == ["opt-out"])
    assert watched.problem is None
    assert [rule.name for rule in before.mappings["crm"].rules] == ["details", "opt-out"]


def test_a_file_that_is_half_written_is_not_taken_in_though_it_is_valid(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = start(folder)
    monkeypatch.setattr(live, "STILL_S", 3.0)
    with (folder / "crm.yaml").open("w") as file:
        file.write(HEAD + DETAILS)
        file.flush()
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < 0.5:
            seen = rules(watched)
            assert seen == ["details", "opt-out"] or passed >= 2.5
            time.sleep(0.02)
        file.write(OPT_OUT.replace("opt-out", "stop"))
    wait_until(lambda: rules(watched) == ["details", "stop"])


def test_two_files_that_belong_together_are_taken_in_together(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = start(folder)
    monkeypatch.setattr(live, "STILL_S", 3.0)
    begun = time.monotonic()
    (folder / "campaigns.yaml").write_text(CAMPAIGNS.replace("main", "other"))
    while time.monotonic() - begun < 0.3:
        watched.current()
    named = DETAILS.replace("    lead", "    campaigns: other\n    lead")
    (folder / "crm.yaml").write_text(HEAD + named)
    wait_until(lambda: rules(watched) == ["details"])
    assert list(watched.current().campaigns) == ["other"]


def test_an_edit_with_the_size_and_the_time_of_the_old_file_is_seen(
    folder: Path, start: Start
) -> None:
    watched = start(folder)
    path = folder / "crm.yaml"
    old = path.stat()
    fresh = folder / "crm.yaml~"
    fresh.write_text(WHOLE.replace("details", "changed"))
    os.utime(fresh, ns=(old.st_atime_ns, old.st_mtime_ns))
    fresh.replace(path)
    wait_until(lambda: rules(watched) == ["changed", "opt-out"])


def test_a_mistake_leaves_the_last_good_set_until_it_is_mended(folder: Path, start: Start) -> None:
    watched = start(folder)
    (folder / "crm.yaml").write_text(WHOLE.replace("lead:", "laed:"))
    wait_until(lambda: watched.current() and watched.problem)
    assert watched.problem is not None
    assert "crm.yaml:7:5: unknown-key" in watched.problem
    assert rules(watched) == ["details", "opt-out"]
    (folder / "crm.yaml").write_text(WHOLE)
    wait_until(lambda: watched.current() and watched.problem is None)


def test_a_file_that_ends_wrongly_is_told_until_it_is_gone(folder: Path, start: Start) -> None:
    watched = start(folder)
    (folder / "other.yml").write_text(WHOLE)
    wait_until(lambda: watched.current() and "file-ending" in (watched.problem or ""))
    (folder / "other.yml").unlink()
    wait_until(lambda: watched.current() and watched.problem is None)


def test_a_deleted_file_is_no_source_any_more_and_a_deleted_folder_changes_nothing(
    folder: Path, start: Start
) -> None:
    (folder / "second.yaml").write_text(WHOLE.replace("source: crm", "source: second"))
    watched = start(folder)
    assert set(watched.current().mappings) == {"crm", "second"}
    (folder / "second.yaml").unlink()
    wait_until(lambda: set(watched.current().mappings) == {"crm"})
    shutil.rmtree(folder)
    wait_until(lambda: watched.current() and watched.problem)
    assert rules(watched) == ["details", "opt-out"]


def test_a_folder_in_the_place_of_a_file_is_a_mistake_and_its_source_stays(
    folder: Path, start: Start
) -> None:
    """Docker makes one where the file that is to be mounted does not exist."""
    (folder / "second.yaml").write_text(WHOLE.replace("source: crm", "source: second"))
    watched = start(folder)
    (folder / "second.yaml").unlink()
    (folder / "second.yaml").mkdir()
    wait_until(lambda: "unreadable-file" in (mapping_problem(watched) or ""))
    assert set(watched.current().mappings) == {"crm", "second"}


def test_a_folder_of_links_that_is_swapped_is_taken_in_whole(tmp_path: Path, start: Start) -> None:
    """As Kubernetes mounts a config map: ``..data`` is a link that is moved in one step."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def version(name: str, campaign: str) -> Path:
        made = folder / f"..{name}"
        made.mkdir()
        (made / "campaigns.yaml").write_text(CAMPAIGNS.replace("main", campaign))
        named = DETAILS.replace("    lead", f"    campaigns: {campaign}\n    lead")
        (made / "crm.yaml").write_text(HEAD + named + OPT_OUT)
        return made

    version("one", "first")
    (folder / "..data").symlink_to("..one")
    for name in ("campaigns.yaml", "crm.yaml"):
        (folder / name).symlink_to(f"..data/{name}")
    watched = start(folder)
    assert list(watched.current().campaigns) == ["first"]
    version("two", "second")
    (folder / "..new").symlink_to("..two")
    (folder / "..new").replace(folder / "..data")
    seen = wait_until(lambda: (now := watched.current()) and "second" in now.campaigns and now)
    assert watched.problem is None
    assert seen.mappings["crm"].rules[0].route.names == ("second",)


def test_a_file_that_no_mapping_asks_for_holds_up_no_edit(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``LOG_FILE`` is no secret, and where what this process says is written it changes whenever
    files are read."""
    monkeypatch.setattr(live, "RESTLESS_S", 0.5)
    log = folder.parent / "log"
    monkeypatch.setenv("LOG_FILE", str(log))
    reading = live.load

    def reading_aloud(*given: Any) -> Any:
        with log.open("a") as file:
            file.write("a line\n")
        return reading(*given)

    monkeypatch.setattr(live, "load", reading_aloud)
    watched = start(folder)
    (folder / "crm.yaml").write_text(HEAD + OPT_OUT)
    wait_until(lambda: rules(watched) == ["opt-out"], 10)


def test_a_file_with_a_secret_that_dotenv_names_later_is_watched_as_well(
    folder: Path, start: Start
) -> None:
    watched = start(folder)
    secret = folder.parent / "late"
    (folder / "crm.yaml").write_text(WHOLE.replace("CRM_TOKEN", "LATE_TOKEN"))
    wait_until(lambda: not watched.current().sources["crm"].configured)
    (folder.parent / ".env").write_text(f"LATE_TOKEN_FILE={secret}\n")
    wait_until(lambda: "LATE_TOKEN_FILE" in (mapping_problem(watched) or ""))
    secret.write_text("first")
    wait_until(lambda: watched.current().sources["crm"].configured)
    assert watched.problem is None
    secret.write_text("the second")
    wait_until(lambda: "the second" in secrets_of(watched.current()))
