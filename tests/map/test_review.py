"""Warnings: what is in a mapping file that can be used, and has no effect."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from bridge.errors import Mistake
from bridge.map.check import Report, check_folder
from bridge.map.load import read_folder
from bridge.receive.decode import decode
from bridge.settings import Environment

from .conftest import CAMPAIGNS, HEAD, SHIPPED

ENVIRONMENT = Environment({"CRM_TOKEN": "t", "BRIDGE_API_TOKEN": "a"})
LEAD = "    lead: {phone_number: phone, "


def checked(folder: Path, environment: Environment = ENVIRONMENT) -> Report:
    def read(placeholders: bool) -> object:
        return read_folder(
            folder,
            environment,
            api_url="https://api.example.com",
            api_token=environment.secret("BRIDGE_API_TOKEN"),
            default_region="US",
            placeholders=placeholders,
        )

    return check_folder(
        folder,
        read,  # type: ignore[arg-type]
        environment,
        decode=partial(decode, max_depth=50),
    )


def warnings(folder: Path, text: str, cases: str = "") -> list[Mistake]:
    (folder / "campaigns.yaml").write_text(CAMPAIGNS)
    (folder / "crm.yaml").write_text(HEAD + text)
    if cases:
        (folder / "crm.cases.yaml").write_text(cases)
    report = checked(folder)
    assert report.mistakes == ()
    return list(report.warnings)


def rule(name: str, when: str, rest: str) -> str:
    return f'  - name: {name}\n    when: "{when}"\n{rest}'


@pytest.mark.parametrize(
    "when",
    [
        "kind == 'a' && kind == 'b'",
        "kind == 'a' && contains(['b', 'c'], kind)",
        "kind == 'a' && kind != 'a'",
        "paid && !paid",
        "'a' == 'b'",
        "x && (`false` || 'a' == 'b')",
        "(kind == 'a' && kind == 'b') || 'a' == 'b'",
    ],
)
def test_a_rule_that_can_never_fire(tmp_path: Path, when: str) -> None:
    (found,) = warnings(
        tmp_path,
        "rules:\n"
        + rule("never", when, LEAD.replace("phone_number", "phone_number"))
        .rstrip(", ")
        .replace("{phone_number: phone", "{phone_number: phone, email: mail}\n"),
    )
    assert (found.code, found.line, found.column) == ("never-fires", 7, 11)
    assert "`never`" in found.message


@pytest.mark.parametrize(
    "when", ["'${MODE:-no}' == 'yes'", "kind == '${A:-a}' && kind == '${B:-b}'", "a == 'x' || b"]
)
def test_what_a_setting_may_switch_on_may_fire(tmp_path: Path, when: str) -> None:
    assert warnings(tmp_path, "rules:\n" + rule("r", when, LEAD + "email: mail}\n")) == []


SAME = rule("one", "kind == 'a'", LEAD + "email: mail}\n")


def test_a_rule_that_another_one_makes_superfluous(tmp_path: Path) -> None:
    again = rule("two", "kind == 'a' && paid", LEAD + "email: mail}\n")
    (found,) = warnings(tmp_path, "rules:\n" + SAME + again)
    assert (found.code, found.line, found.text) == ("rule-shadowed", 9, "two")
    assert "`one` (line 6)" in found.message


def test_a_field_that_another_rule_sets_first(tmp_path: Path) -> None:
    again = rule("two", "kind == 'a' && paid", LEAD + "email: other, last_name: name}\n")
    (found,) = warnings(tmp_path, "rules:\n" + SAME + again)
    assert (found.code, found.line, found.text) == ("set-twice", 11, "email")


def test_the_special_rule_before_the_general_one_is_as_it_should_be(tmp_path: Path) -> None:
    special = rule("two", "kind == 'a' && paid", LEAD + "email: other}\n")
    assert warnings(tmp_path, "rules:\n" + special + SAME) == []


def test_a_skip_whose_reason_is_never_given(tmp_path: Path) -> None:
    skip = rule("two", "kind == 'a'", "    skip: not now\n")
    (found,) = warnings(tmp_path, "rules:\n" + SAME + skip)
    assert (found.code, found.line, found.text) == ("skip-without-effect", 11, "not now")


def test_names_that_nothing_uses_and_names_that_look_misspelt(tmp_path: Path) -> None:
    text = "define:\n  kind: type\n  unused: x\nrules:\n"
    text += rule("one", "kimd == 'a'", LEAD + "email: mail, last_name: _knwon.phones}\n")
    found = {(one.code, one.text) for one in warnings(tmp_path, text)}
    assert found == {
        ("unused-name", "kind"),
        ("unused-name", "unused"),
        ("perhaps-misspelt", "kimd"),
        ("perhaps-misspelt", "_knwon"),
    }


def test_a_field_named_like_what_is_always_there_needs_a_case_that_lacks_it(
    tmp_path: Path,
) -> None:
    text = "rules:\n" + rule("one", "event == 'a'", LEAD + "email: mail}\n")
    assert warnings(tmp_path, text) == []
    case = "- {name: c, payload: {kind: a}, expect: [{skipped: no rule}]}\n"
    codes = {(one.code, one.text) for one in warnings(tmp_path, text, case)}
    assert ("perhaps-misspelt", "event") in codes


def test_a_text_without_quotes(tmp_path: Path) -> None:
    text = "rules:\n" + rule("one", "kind == stop", LEAD + "email: mail}\n")
    (found,) = warnings(tmp_path, text)
    assert (found.code, found.text) == ("perhaps-text", "stop")
    assert "'stop'" in found.hint
    case = "- name: c\n  payload: {kind: a, stop: a, phone: '+14155550123', mail: a@b.co}\n"
    case += "  expect:\n    - updates: [{phone_number: '+14155550123', email: a@b.co}]\n"
    assert warnings(tmp_path, text, case) == []


CASE = """\
- name: an opt-out
  payload: {kind: stop, phone: "+14155550123"}
  expect:
    - updates: [{phone_number: "+14155550123", do_not_call: true}]
"""
COVERED = """\
rules:
  - name: opt-out
    when: "kind == 'stop' || kind == 'end'"
    channel: voice
    lead: {phone_number: {first: [phone, mobile]}, do_not_call: {value: true}}
  - name: details
    when: "'${DETAILS:-no}' == 'yes'"
    lead: {phone_number: phone, email: mail}
"""


def test_what_no_case_reaches(tmp_path: Path) -> None:
    found = [(one.line, one.text) for one in warnings(tmp_path, COVERED, CASE)]
    assert found == [(7, "kind == 'end'"), (9, "mobile"), (10, "details")]


def test_a_case_with_settings_reaches_what_they_switch_on(tmp_path: Path) -> None:
    case = """\
- name: details
  settings: {DETAILS: yes}
  payload: {kind: end, mobile: "+14155550123", phone: "+14155550124", mail: a@b.co}
  expect:
    - updates: [{phone_number: "+14155550124", do_not_call: true, email: a@b.co}]
"""
    found = [(one.line, one.text) for one in warnings(tmp_path, COVERED, CASE + case)]
    assert found == [(9, "mobile")]


def test_mistakes_in_cases_and_cases_without_a_source_are_told(tmp_path: Path) -> None:
    (tmp_path / "other.cases.yaml").write_text(CASE.replace("expect", "expects"))
    (tmp_path / "campaigns.yaml").write_text(CAMPAIGNS)
    (tmp_path / "crm.yaml").write_text(HEAD + COVERED)
    report = checked(tmp_path)
    assert ("other.cases.yaml", "unknown-key", "expects") in {
        (one.file, one.code, one.text) for one in report.mistakes
    }
    assert [one.code for one in report.warnings] == ["no-source"]


def test_definitions_that_read_one_another_are_told_and_bounded(tmp_path: Path) -> None:
    """Each is evaluated once, in order; one that reads itself reads the event's field."""
    defined = 'define:\n  name: {from: name, to: trim}\n  a: "b || name"\n  b: "a || b"\n'
    rules = f"rules:\n{rule('r', 'a && b', LEAD + 'first_name: name}' + chr(10))}"
    case = (
        "- {name: x, payload: {phone: '+14155550123', name: ' Ann '}, "
        "expect: [{updates: [{phone_number: '+14155550123', first_name: Ann}]}]}\n"
    )
    (told,) = [w for w in warnings(tmp_path, defined + rules, case) if w.code != "not-covered"]
    assert (told.code, told.text) == ("defined-later", "a")
    assert "reads `b`" in told.message
    assert "Put `b` above it" in told.hint


DAY = "{from: day, format: '%Y-%m-%d', zone: UTC}"
HALF = "{from: day, format: '%Y-%m-%d %I:%M', zone: UTC}"


@pytest.mark.parametrize(
    ("event_time", "told"),
    [
        (DAY, ["%Y-%m-%d"]),
        (f"[{{from: at, format: unix_ms}}, {DAY}, {HALF}]", ["%Y-%m-%d", "%Y-%m-%d %I:%M"]),
        (HALF.replace("%M", "%M %p"), []),
        ("{from: at, format: iso}", []),
    ],
)
def test_an_event_time_that_says_no_hour_can_never_be_read(
    tmp_path: Path, event_time: str, told: list[str]
) -> None:
    text = HEAD.replace("receive:", f"receive:\n  event_time: {event_time}")
    rules = f"rules:\n  - name: r\n{LEAD}first_name: name}}\n"
    (tmp_path / "campaigns.yaml").write_text(CAMPAIGNS)
    (tmp_path / "crm.yaml").write_text(text + rules)
    report = checked(tmp_path)
    assert report.mistakes == ()
    assert [(one.code, one.text) for one in report.warnings] == [
        ("time-never-read", f"'{pattern}'") for pattern in told
    ]


def test_nothing_in_the_shipped_files_is_without_effect() -> None:
    report = checked(SHIPPED, Environment({}))
    assert report.mistakes == ()
    assert [str(one) for one in report.warnings] == []


FALLBACK = """\
define:
  word: "kind == 'a' && name || ''"
rules:
  - name: details
    lead: {phone_number: phone, first_name: word}
"""


def test_an_empty_constant_is_reached_where_nothing_before_it_holds(tmp_path: Path) -> None:
    one = "- {name: %s, payload: {kind: %s, phone: '+14155550123', name: Ann}, expect: [%s]}\n"
    named = one % ("a", "a", "{updates: [{phone_number: '+14155550123', first_name: Ann}]}")
    other = one % ("b", "b", "{skipped: nothing to send}")
    (told,) = warnings(tmp_path, FALLBACK, named)
    assert (told.code, told.text) == ("not-covered", "''")
    assert "is all that remains" in told.message
    assert warnings(tmp_path, FALLBACK, named + other) == []


def test_the_shipped_files_are_checked_within_the_time_of_a_breath() -> None:
    begun = time.process_time()
    checked(SHIPPED, Environment({}))
    # under a second of work; a loaded machine may take its time over it
    assert time.process_time() - begun < 2.0


OUT = """\
rules:
  - name: out
    when: dnc
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
"""
AGAIN = """\
  - name: again
    when: _known.opted_out
    channel: voice
    yields_to_opt_in: true
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
"""


def test_an_opt_out_of_remembered_numbers_that_nobody_repeats(tmp_path: Path) -> None:
    contacts = "  contacts: {ids: [contact]}\n"
    (found,) = warnings(tmp_path, contacts + OUT)
    assert (found.code, found.line) == ("opt-out-not-repeated", HEAD.count("\n") + 3)
    assert "`when: _known.opted_out`" in found.hint
    assert warnings(tmp_path, contacts + OUT + AGAIN) == []
    assert warnings(tmp_path, contacts + OUT.replace("[phone, _known.phones]", "[phone]")) == []
