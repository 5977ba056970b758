"""Files that would eat memory or time are refused, each with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.map.document import LARGEST, read_document
from bridge.map.expression import LONGEST_LIST, Expression, ExpressionError

from .conftest import HEAD, Refuse

RULES = "rules:\n  - name: r\n    lead: {phone_number: phone, first_name: name}\n"


@pytest.mark.parametrize(
    "source",
    [
        " | ".join(["[@, @][]"] * 40),
        ".".join(["[a, a]"] * 40),
        "[" + ", ".join(["@"] * 40) + "] | [" + ", ".join(["@"] * 40) + "]",
        " | ".join(["{a: @, b: @}"] * 30),
        "map(&[@, @], @)" + " | map(&[@, @], @)" * 20,
    ],
)
def test_an_expression_that_multiplies_itself_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionError, match="repeats"):
        Expression(source)


@pytest.mark.parametrize(
    "source",
    [
        "not_null(a, b, c, d, e)",
        "[objectId, primaryObjectId, newObjectId, mergedObjectIds][]",
        "a == 'x' && b == 'y' || c == 'z' && contains(d, 'e')",
        "InputParameters[?key=='Target'].value | [0].Attributes[?key=='donotphone'].value | [0]",
        "items[?type=='a' && (b || c)].{id: id, name: name, phone: phone}",
    ],
)
def test_what_mappings_say_compiles(source: str) -> None:
    Expression(source)


def test_definitions_that_multiply_one_another_are_refused_with_their_place(refuse: Refuse) -> None:
    defined = "define:\n  d0: _event\n" + "".join(
        f'  d{n}: "[d{n - 1}, d{n - 1}]"\n' for n in range(1, 60)
    )
    (mistake,) = refuse(HEAD + defined + RULES)
    assert (mistake.code, mistake.line, mistake.column) == ("grows-too-large", 16, 8)


def test_a_list_that_grows_too_long_is_absent() -> None:
    notes: list[str] = []
    assert Expression("[@, @][]").get([0] * LONGEST_LIST, notes) is None
    assert "too long" in notes[0] or "fails" in notes[0]


@pytest.mark.parametrize("pattern", ["%d " * 50, "%Y" * 40])
def test_a_long_time_pattern_is_refused(pattern: str, refuse: Refuse) -> None:
    time = f'  event_time: {{from: at, format: "{pattern}", zone: UTC}}\n'
    (mistake,) = refuse(HEAD + time + RULES)
    assert mistake.code == "bad-time-format"
    assert mistake.line == 5


def test_thousands_of_unknown_keys_are_told_in_no_time(refuse: Refuse) -> None:
    many = "".join(f"unknown_key_of_the_file_{n}: 1\n" for n in range(20_000))
    mistakes = refuse(HEAD + RULES + many)
    assert len(mistakes) == 20_000
    assert mistakes[0].line == 8


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "crm.yaml")
    (mistake,) = read_document(tmp_path / "crm.yaml").mistakes
    assert mistake.code == "unreadable-file"


def test_a_device_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "crm.yaml").symlink_to("/dev/zero")
    (mistake,) = read_document(tmp_path / "crm.yaml").mistakes
    assert mistake.code == "unreadable-file"


def test_no_more_of_a_file_is_read_than_may_be_in_it(tmp_path: Path) -> None:
    path = tmp_path / "crm.yaml"
    with path.open("wb") as file:
        file.truncate(LARGEST * 5000)
    (mistake,) = read_document(path).mistakes
    assert mistake.code == "too-large"


LOOKUP = """\
enrich:
  c:
    url: https://crm.example.com/p/{id}
    ids: id
"""


@pytest.mark.parametrize(
    ("lines", "code", "line"),
    [
        ("", "no-credentials", 6),
        ('    token: "${CRM_TOKEN}"\n    basic: {user: a}\n', "two-logins", 10),
        ("    headers: {X-Api-Key: abc}\n", "literal-secret", 9),
        ('    headers: {X-Api-Key: "${A} and more"}\n', "bad-reference", 9),
        ('    headers: {Host: "${A}"}\n', "bad-header", 9),
        ('    token: "${CRM_TOKEN}"\n    headers: {Authorization: "${A}"}\n', "two-logins", 10),
        ("    token: abc\n", "literal-secret", 9),
        ('    token: "${CRM_TOKEN}"\n    query: {a: "{name}"}\n', "template-mark", 10),
        ('    token: "${CRM_TOKEN}"\n    query: {a: "{account}"}\n', "account-missing", 6),
        ('    token: "${CRM_TOKEN}"\n    result: a\n    results: b\n', "two-results", 10),
        ('    token: "${CRM_TOKEN}"\n    size: 5\n', "size-of-one", 10),
        ('    token: "${CRM_TOKEN}"\n    at_once: 9\n', "bad-number", 10),
        ('    token: "${CRM_TOKEN}"\n    pages: {next: a}\n', "missing-key", 10),
        ('    token: "${CRM_TOKEN}"\n    method: GET\n    body: {a: 1}\n', "body-of-get", 11),
        ('    token: "${CRM_TOKEN}"\n    not_found: [700]\n', "bad-number", 10),
        ("    oauth: {url: https://a.example.com, client_id: a}\n", "no-credentials", 9),
        (
            (
                "    oauth: {url: https://a.example.com, client_id: a, rotates: true,\n"
                '      client_secret: "${A}"}\n'
            ),
            "rotates-what",
            9,
        ),
        ("    basic: {user: a, password: b}\n", "literal-secret", 9),
        ('    token: "${CRM_TOKEN}"\n    tokn: 1\n', "unknown-key", 10),
    ],
)
def test_a_mistake_in_a_look_up_is_told_with_its_place(
    lines: str, code: str, line: int, refuse: Refuse
) -> None:
    mistakes = refuse(HEAD + LOOKUP + lines + RULES)
    assert [(mistake.code, mistake.line) for mistake in mistakes] == [(code, line)]
    assert all(mistake.hint for mistake in mistakes)


def test_a_batch_says_where_its_rows_are(refuse: Refuse) -> None:
    batch = LOOKUP.replace("/{id}", "?ids={ids}") + '    token: "${CRM_TOKEN}"\n'
    assert [mistake.code for mistake in refuse(HEAD + batch + RULES)] == ["missing-key"] * 2
