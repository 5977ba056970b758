"""Each of the mistakes that people make is told where it stands and with what to change."""

from __future__ import annotations

import pytest

from bridge.errors import Mistake
from bridge.map.document import shown_line

from .conftest import Load, Refuse
from .fifty_mistakes import GOOD, MISTAKES, Slip


def test_the_file_of_these_tests_is_right(load: Load) -> None:
    assert load({"crm.yaml": GOOD}).mappings["crm"].source.configured


def test_there_are_fifty_of_them_and_more() -> None:
    assert len({slip.name for slip in MISTAKES}) == len(MISTAKES) >= 50


@pytest.mark.parametrize("slip", MISTAKES, ids=lambda slip: slip.name)
def test_the_message_alone_tells_what_to_change(refuse: Refuse, slip: Slip) -> None:
    told = refuse(slip.text_of(GOOD))
    found = [one for one in told if one.code == slip.code]
    assert found, [str(one) for one in told]
    assert place(found[0]) == ("crm.yaml", slip.line, slip.column, slip.text)
    assert slip.advice in found[0].hint
    assert found[0].message


def place(one: Mistake) -> tuple[str, int, int, str]:
    return one.file, one.line, one.column, one.text


def test_no_message_and_no_excerpt_repeats_a_secret(refuse: Refuse) -> None:
    for written in ("hunter2hunter2", '"hunter2hunter2"', "'Bearer hunter2hunter2'"):
        bad = GOOD.replace('"${CRM_TOKEN}"', written, 1)
        for file in (bad, bad.replace("- bearer:", "- beraer:"), bad.replace("title", "\ttitle")):
            for one in refuse(file):
                assert "hunter2" not in f"{one} {one.line_text} {one.text}"


@pytest.mark.parametrize(
    "line",
    [
        "    - bearer: {token: hunter2, x: 1}",
        "  - token: hunter2",
        "secret: hunter2 # with a comment",
        "secret: hun, hunter2",
        "- bearer: hunter2",
        "  TOKEN: 'hunter2'",
        'tokens: {a: hunter2, b: "${B}"}',
        'token: [hunter2, "${B}"]',
        "password: &a hunter2",
        "url: https://me:hunter2@example.com/",
        '    - bearer: {token: "Bearer hunter2 ${CRM_TOKEN}"}',
        '{"token": "hunter2", "secret": "hunter2"}',
    ],
)
def test_a_line_is_shown_without_the_secret_in_it(line: str) -> None:
    shown = shown_line(line)
    assert "hunter2" not in shown
    assert len(shown) == len(line)


@pytest.mark.parametrize(
    "line",
    [
        '    - bearer: {token: "${CRM_TOKEN}"}',
        '    - hmac: {secret: "${A}", header: X-A, algorithm: sha256}',
        'tokens: {a: "${A}"}',
        "rules:",
    ],
)
def test_a_line_that_names_its_settings_is_shown_as_it_is(line: str) -> None:
    assert shown_line(line) == line
