"""Every mistake in a mapping file is told with its line and what to write instead."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import MappingError, Mistake
from bridge.map import load_mappings
from bridge.settings import Environment

from .conftest import HEAD, SHIPPED, Load, Refuse

GOOD = """\
source: crm
title: A CRM
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  event_time: {from: at, format: iso}
enrich:
  contact:
    url: https://crm.example.com/read
    ids: id
    body: {inputs: "@ids"}
    results: results
    result_id: id
    token: "${CRM_TOKEN}"
rules:
  - name: opt-out
    when: "kind == 'stop'"
    channel: voice
    campaigns: all
    lead:
      phone_number: {first: [phone, contact.phone]}
      do_not_call: {from: stop, to: boolean}
      first_name: name
"""

TABLE = [
    ("title: A CRM", "titel: A CRM", 2, "unknown-key", "`title`"),
    ("when: \"kind == 'stop'\"", "wehn: x", 17, "unknown-key", "`when`"),
    ("  - name: opt-out\n    when", "  - when", 16, "missing-key", "name: opt-out"),
    (
        "      phone_number: {first: [phone, contact.phone]}\n",
        "",
        20,
        "missing-key",
        "phone_number",
    ),
    ("    channel: voice\n", "", 16, "channel-missing", "channel: voice"),
    ("channel: voice", "channel: email", 18, "channel-is-not-voice", "counts_as: voice"),
    ("channel: voice", "channel: sms", 18, "channel-is-not-voice", "counts_as: voice"),
    ("channel: voice", "channel: vioce", 18, "unknown-word", "`voice`"),
    ("campaigns: all", "campaigns: mian", 19, "unknown-campaign", "`main`"),
    ("campaigns: all", "campaigns: [us, secnd]", 19, "unknown-campaign", "`second`"),
    (
        "campaigns: all",
        "campaigns: {from: a, table: {x: nope}}",
        19,
        "unknown-campaign",
        "main",
    ),
    ("to: boolean}", "to: bolean}", 22, "unknown-transform", "`boolean`"),
    ("to: boolean}", "to: {trunc: 3}}", 22, "unknown-transform", "`truncate`"),
    ("{from: stop, to: boolean}", "true", 22, "wrong-type", "{value: true}"),
    ("{from: stop, to: boolean}", "stop || other", 22, "or-swallows-false", "first: [a, b]"),
    ("{from: stop, to: boolean}", '"!opted_in"', 22, "not-of-missing", "opted_in == `false`"),
    ("{from: stop, to: boolean}", "{value: false}", 20, "opt-in-not-allowed", "allow_opt_in: true"),
    ("\"kind == 'stop'\"", '"!consent"', 17, "not-of-missing", "consent == `false`"),
    ("\"kind == 'stop'\"", "kind == true", 17, "bare-constant", "`true`"),
    ("\"kind == 'stop'\"", "'kind == \"stop\"'", 17, "double-quotes", "'stop'"),
    ("\"kind == 'stop'\"", "'contains(tags, \"stop\")'", 17, "double-quotes", "'stop'"),
    ("\"kind == 'stop'\"", '"kind == \'stop"', 17, "bad-expression", "Close the text"),
    ("\"kind == 'stop'\"", '"lower(kind)"', 17, "bad-expression", "transforms"),
    ("\"kind == 'stop'\"", "\"start_with(kind, 'a')\"", 17, "bad-expression", "`starts_with`"),
    ("\"kind == 'stop'\"", "true", 17, "wrong-type", "Leave `when` out"),
    ("\"kind == 'stop'\"", "!x", 17, "yaml-tag", "quotes"),
    ("\"kind == 'stop'\"", "`x`", 17, "yaml-syntax", "quotes"),
    ("\"kind == 'stop'\"", "*x", 17, "anchor", "quotes"),
    ("    channel: voice\n", "\tchannel: voice\n", 18, "yaml-syntax", "tabs"),
    ("title: A CRM", "source: crm", 2, "duplicate-key", "Keep one"),
    ("source: crm", "source: mrc", 1, "source-and-file", "source: crm"),
    ('{token: "${CRM_TOKEN}"}', "{token: abc}", 5, "literal-secret", "${NAME_OF_THE_SETTING}"),
    ('{token: "${CRM_TOKEN}"}', '{token: "Bearer ${A}"}', 5, "literal-secret", "${NAME"),
    ("bearer:", "baerer:", 5, "unknown-scheme", "`bearer`"),
    ('    - bearer: {token: "${CRM_TOKEN}"}', "    []", 5, "empty-list", "bearer"),
    ("https://crm", "http://crm", 9, "url-in-the-clear", "https://"),
    ("https://crm", "https://me:pw@crm", 9, "literal-secret", "token"),
    ('{inputs: "@ids"}', "{inputs: ids}", 11, "template-mark", "@ids"),
    ("format: iso", "format: unix", 6, "bad-time-format", "`unix_s`"),
    ("format: iso", 'format: "%d.%m.%Y"', 6, "bad-time-format", "zone: UTC"),
    ("format: iso", "format: iso, zone: Berlin", 6, "bad-time-format", "America/New_York"),
    ("      first_name: name", "    skip: why", 23, "lead-and-skip", "Keep one"),
    ("title: A CRM", "title: ${CRM", 2, "bad-reference", "${NAME:-default}"),
    ("first_name: name", "first_name: {all: [a, b]}", 23, "only-for-phones", "first:"),
    ("first_name: name", "first_name: {from: a, value: b}", 23, "two-sources", "Keep one"),
    ("first_name: name", "mark_as_unanswered: 1", 23, "wrong-type", "{value: 1}"),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[3]}: {row[1][:40]}" for row in TABLE])
def test_a_typical_mistake_is_told_with_line_and_hint(
    refuse: Refuse, row: tuple[str, str, int, str, str]
) -> None:
    good, bad, line, code, hint = row
    assert good in GOOD
    mistakes = refuse(GOOD.replace(good, bad, 1))
    found = [m for m in mistakes if m.code == code]
    assert found, [str(m) for m in mistakes]
    assert (found[0].file, found[0].line) == ("crm.yaml", line)
    assert hint in found[0].hint


def test_the_good_file_of_these_tests_loads(load: Load) -> None:
    mapping = load({"crm.yaml": GOOD}).mappings["crm"]
    assert mapping.source.configured
    assert set(mapping.lookups) == {"contact"}


def test_every_mistake_is_told_at_once(refuse: Refuse) -> None:
    text = GOOD.replace("title:", "titel:").replace("to: boolean", "to: bolean")
    text = text.replace("channel: voice", "channel: loud").replace("source: crm", "source: x")
    codes = {m.code for m in refuse(text)}
    assert codes == {"unknown-key", "unknown-transform", "unknown-word", "source-and-file"}


def test_rules_have_names_of_their_own(refuse: Refuse) -> None:
    text = GOOD + GOOD[GOOD.index("  - name") :]
    (mistake,) = refuse(text)
    assert (mistake.code, mistake.line) == ("duplicate-rule", 24)
    assert "line 16" in mistake.message


def test_a_literal_secret_is_not_repeated(refuse: Refuse) -> None:
    mistakes = refuse(GOOD.replace("${CRM_TOKEN}", "hunter2hunter2"))
    assert "hunter2" not in "".join(str(m) for m in mistakes)


def test_a_setting_cannot_rewrite_an_expression(refuse: Refuse) -> None:
    text = GOOD.replace("kind == 'stop'", "kind == '${KIND}'")
    (mistake,) = refuse(text, {"CRM_TOKEN": "x", "BRIDGE_API_TOKEN": "y", "KIND": "a' || 'b"})
    assert (mistake.code, mistake.line) == ("unsafe-setting", 17)
    assert "||" not in mistake.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"# only words\n", "empty-file"),
        (b"- a\n- b\n", "wrong-type"),
        (b"just text", "not-a-mapping"),
        (b"source: \xff\n", "not-utf8"),
        (b"source: a\x00b\n", "control-character"),
        (b"? [a, b]\n: c\n", "bad-key"),
        (b"a: &x 1\nb: *x\n", "anchor"),
        (b"<<: {a: b}\n", "bad-key"),
        (b"a: " + b"[" * 500, "too-deep"),
        (b"[" * 100_000, "too-deep"),
        (b"{a: " * 100_000, "too-deep"),
        (b"a: 1\n---\nb: 2\n", "second-document"),
        (b"x: '" + b"y" * 1_100_000 + b"'", "too-large"),
        (b"a: !!python/object/apply:os.system [ls]\n", "yaml-tag"),
        (b"a: [1, 2\n", "yaml-syntax"),
    ],
)
def test_no_content_makes_the_reader_fail(refuse: Refuse, content: bytes, code: str) -> None:
    mistakes = refuse(content)
    assert code in {m.code for m in mistakes}


def test_missing_folder_and_files_are_mistakes(tmp_path: Path) -> None:
    def codes(folder: Path) -> set[str]:
        with pytest.raises(MappingError) as caught:
            load_mappings(
                folder, Environment({}), api_url="https://a", api_token=None, default_region="US"
            )
        assert all(m.hint for m in caught.value.mistakes)
        return {m.code for m in caught.value.mistakes}

    assert codes(tmp_path / "nowhere") == {"no-folder"}
    assert codes(tmp_path) == {"no-campaigns", "no-mapping"}
    (tmp_path / "crm.yml").write_text(GOOD)
    assert "file-ending" in codes(tmp_path)


def test_an_unreadable_secret_file_is_a_mistake(refuse: Refuse) -> None:
    mistakes = refuse(GOOD, {"CRM_TOKEN_FILE": "/nowhere/at/all", "BRIDGE_API_TOKEN": "t"})
    assert {m.code for m in mistakes} == {"unreadable-setting"}


SHIPPED_FILES = {
    path.name: path.read_bytes()
    for path in sorted(SHIPPED.glob("*.yaml"))
    if not path.name.endswith(".cases.yaml")
}
COMMON = "campaigns.yaml"
WORDS = [
    "",
    "null",
    "[]",
    "{}",
    "7",
    "true",
    "'",
    '"',
    "!x",
    "*a",
    "&a b",
    "- x",
    "{a: b",
    "@",
    "%",
]


def _spoiled(content: bytes, chance: random.Random) -> bytes:
    """One random mistake in a valid file."""
    kind = chance.randrange(7)
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    if kind == 0:
        place = chance.randrange(len(content))
        return content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    if kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(at, lines[chance.randrange(len(lines))])
    elif kind == 3:
        lines[at] = b" " * chance.randrange(6) + lines[at].lstrip()
    elif kind == 4 and b":" in lines[at]:
        key = lines[at].partition(b":")[0]
        lines[at] = key + b": " + chance.choice(WORDS).encode()
    elif kind == 5 and b":" in lines[at]:
        key, colon, rest = lines[at].partition(b":")
        lines[at] = key[:-1] + colon + rest
    else:
        place = chance.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:place] + chance.choice(WORDS).encode() + lines[at][place:]
    return b"\n".join(lines)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(sorted(SHIPPED_FILES)), seed=st.integers(0, 2**32))
def test_one_random_mistake_never_gives_a_traceback(
    load: Load, tmp_path: Path, name: str, seed: int
) -> None:
    """Each file of a source is read by itself, so all of them are there only beside the other."""
    spoiled = _spoiled(SHIPPED_FILES[name], random.Random(seed))
    beside = SHIPPED_FILES if name == COMMON else {COMMON: SHIPPED_FILES[COMMON]}
    for path in tmp_path.iterdir():
        path.unlink()
    mistakes: list[Mistake] | None = None
    try:
        load({**beside, name: spoiled})
    except MappingError as error:
        mistakes = error.mistakes
    assert mistakes != []
    for mistake in mistakes or []:
        assert mistake.file
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert mistake.message.strip()


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=300))
def test_no_bytes_give_a_traceback(load: Load, content: bytes) -> None:
    with pytest.raises(MappingError):
        load({"crm.yaml": content})


def test_a_rule_that_never_opts_out_has_nothing_to_take_back(refuse: Refuse) -> None:
    lead = "    lead: {phone_number: p, first_name: f}\n"
    text = HEAD + "rules:\n  - name: n\n    yields_to_opt_in: true\n" + lead
    assert [mistake.code for mistake in refuse(text)] == ["opt-out-of-nothing"]
