"""Words of which one stands in every body with an opt-out, read off a mapping file's rules."""

from __future__ import annotations

import codecs
import json
import tracemalloc
from dataclasses import replace

import pytest

from bridge.map import SourceMapping
from bridge.map.expression import Expression
from bridge.map.opt_out_words import MOST_WORDS, opt_out_words
from bridge.map.value import Value
from bridge.model import NOBODY, Decoder, Event

from .conftest import ENVIRONMENT, One, looked_at

LOOKUP = """\
enrich:
  person: {url: "https://crm.example.com/{id}", token: "${CRM_TOKEN}", ids: x}
"""
RULE = "{name: NAME, when: WHEN, channel: voice, lead: {phone_number: phone, do_not_call: SETS}}"
SETS = "{value: true}"
EVENT = Event(0, "k", 0, True, {})


def rules(*given: str, sets: str = SETS) -> str:
    """Rules that opt out, by their conditions."""
    text = "rules:\n"
    for place, when in enumerate(given):
        rule = RULE.replace("NAME", f"rule {place}").replace("SETS", sets)
        text += f"  - {rule.replace('WHEN', json.dumps(when, ensure_ascii=False))}\n"
    return text


def words(mapping: SourceMapping) -> set[str] | None:
    fixed = mapping.view(EVENT, {}, NOBODY)
    found = opt_out_words(mapping.plan, mapping.rules, fixed)
    return None if found is None else set(found)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("dnc", {"dnc"}),
        ("dnc == `true`", {"dnc"}),
        ("dnc != `null`", {"dnc"}),
        ("`null` != dnc", {"dnc"}),
        ("dnc >= `1`", {"dnc"}),
        ("dnc == 'do not call'", {"do not call"}),
        ("'do not call' == dnc", {"do not call"}),
        ("a == 'né'", {"né"}),
        ("a || b.c == 'stop' || !(a || x) && d", {"a", "stop", "d"}),
        ("a && b == 'stop' && c", {"stop"}),
        ("contact.consent.voice", {"contact"}),
        ("_event.voice", {"voice"}),
        ("_body.a.voice", {"voice"}),
        ("contains(tags, 'stop')", {"stop"}),
        ("contains(a || b, 'stop')", {"stop"}),
        ("contains(['stop', 'stopall'], word)", {"stop", "stopall"}),
        ("contains(`[\"stop\"]`, not_null(word, ''))", {"stop"}),
        ("contains(`[]`, word)", set()),
        ("starts_with(kind, 'opt') && ends_with(kind, 'out.given')", {"out.given"}),
        ("not_null(dnc, '')", {"dnc"}),
        ("not_null(kind, '') == 'stop'", {"stop"}),
        ("consents[?voice == `false`].kind", {"consents"}),
        ("consents[0].voice", {"consents"}),
        ("consents[].voice", {"consents"}),
        ("consents[*].[voice]", {"consents"}),
        ("(consents[0] || other) == 'stop'", {"stop"}),
        ("_known.opted_out", set()),
        ("_known.opted_out || dnc", {"dnc"}),
        ("person", set()),
        ("person.dnc == `true` && dnc", set()),
        ("person_all[?dnc]", set()),
        ("(person || other).dnc", {"other"}),
        ("(a && other) != `null`", {"a"}),
        ("'no' == 'yes' && dnc", set()),
        ("'yes' == 'yes' && dnc", {"dnc"}),
        ('"a\\"b"', {'a"b'}),
    ],
)
def test_a_condition_that_needs_words(one: One, when: str, expected: set[str]) -> None:
    assert words(one(LOOKUP + rules(when))) == expected


@pytest.mark.parametrize(
    "when",
    [
        "!(dnc || a)",
        "dnc == `null`",
        "dnc != 'no'",
        "dnc != `true`",
        "'yes' == 'yes'",
        "@",
        "@.dnc",
        "_event",
        "_item",
        "_headers.stop",
        "_headers.stop == 'stop'",
        "_query.stop == 'stop'",
        "contains(_query.stop, 'stop')",
        "@.stop == 'stop'",
        "not_null(word, 'stop') == 'stop'",
        "(word || 'stop') == 'stop'",
        "(!(a || b) && 'stop') == 'stop'",
        "contains(word || ['stop'], 'stop')",
        "contains(not_null(word, 'unstopped'), 'stop')",
        "contains(['stop', ''], not_null(word, ''))",
        "contains(['stop', `null`], word)",
        "contains(['stop', other], word)",
        "contains('non-stop', word)",
        "(word | 'stop') == 'stop'",
        "(_known || a).opted_out == `false`",
        '(a || `{"voice": true}`).voice',
        "to_string(dnc) == 'true'",
        "join('', [a, b]) == 'stop'",
        "reverse(dnc) == 'pots'",
        "keys(_headers)[0] == 'stop'",
        "{a: a}.a",
        "*",
        "a | !(@)",
        "a || length(tags) == `0`",
    ],
)
def test_a_condition_of_which_there_is_no_telling(one: One, when: str) -> None:
    assert words(one(LOOKUP + rules(when))) is None


@pytest.mark.parametrize(
    ("receive", "define", "when", "expected"),
    [
        ("", "d: kind", "d", {"kind"}),
        ("", "dnc: other", "dnc", {"other"}),
        ("", "dnc: dnc", "dnc", {"dnc"}),
        ("", "d: kind\n  e: d == 'stopall'", "e", {"stopall"}),
        ("", "e: d == 'stop'\n  d: '`1`'", "e", {"stop"}),
        ("", "d: {first: [a, b]}", "d", {"a", "b"}),
        ("", "d: {first: [a, \"'stop'\"]}", "d == 'stop'", None),
        ("", "d: not_null(a, 'stop')", "d == 'stop'", None),
        ("", "d: not_null(a, 'stop')", "d == 'other'", {"other"}),
        ("", "d: {from: a, default: stop}", "d == 'stop'", None),
        ("", "d: {value: stop}", "d == 'stop'", None),
        ("", "d: {from: a, to: {table: {x: stop}}}", "d == 'stop'", None),
        ("", "d: {from: a, to: trim}", "d && b", {"b"}),
        ("", "d: _headers.stop", "d == 'stop'", None),
        # look-ups and memory come after definitions, which see what the event has by these names
        ("", "d: person", "d", {"person"}),
        ("", "d: _known.opted_out", "d", {"opted_out"}),
        ("", "person_all: a", "person_all", set()),
        ("  events: 'events || data || @'\n", "d: a", "dnc", {"dnc"}),
        ("  events: 'events || `[]`'\n", "d: a", "dnc", {"dnc"}),
        ("  events: '[{dnc: a}]'\n", "d: a", "dnc", None),
        ("  events: '`[{\"dnc\": true}]`'\n", "d: a", "dnc", None),
        ("  events: '*'\n", "d: a", "dnc", None),
        ("  each: 'contacts[]'\n", "d: a", "_item.dnc", {"dnc"}),
        ("  each: \"contacts || ['stop']\"\n", "d: a", "_item == 'stop'", None),
        ("  each: '[_headers]'\n", "d: a", "_item.stop", None),
        ("  each: '[@]'\n", "d: a", "_item._headers.stop", None),
        ("  decode: form\n", "d: a", "dnc", None),
    ],
)
def test_what_a_file_defines_and_how_it_splits(
    one: One, receive: str, define: str, when: str, expected: set[str] | None
) -> None:
    mapping = one(f"{receive}define:\n  {define}\n{LOOKUP}{rules(when)}")
    if mapping.source.decode.decoder is Decoder.JSON:
        assert words(mapping) == expected
    assert mapping.silent(b"[]") == (expected is not None)


def test_every_rule_that_may_opt_out_counts(one: One) -> None:
    assert words(one(rules("a", "b == 'stop'"))) == {"a", "stop"}
    assert words(one(rules("a", "!(b || c)"))) is None
    assert words(one(rules("a", sets="consent"))) == {"a"}
    assert words(one(rules("a").replace('when: "a", ', ""))) is None
    lifts = rules("!(b || c)", sets="{value: false}").replace(
        "channel", "allow_opt_in: true, channel"
    )
    assert words(one(lifts)) == set()
    both = rules("a").replace("rule 0", "out") + lifts.removeprefix("rules:\n")
    assert words(one(both)) == {"a"}
    many = [f"name{place}" for place in range(MOST_WORDS + 1)]
    assert words(one(rules(*many[1:]))) == set(many[1:])
    assert words(one(rules(*many))) is None


def test_definitions_made_of_one_another_take_little_memory(one: One) -> None:
    mapping = one(rules("d5"))
    chain = [(f"d{n}", Value((Expression(f"d{n - 1} || a{n}"),))) for n in range(1, 2000)]
    plan = replace(mapping.plan, defined=tuple(chain))
    tracemalloc.start()
    try:
        found = opt_out_words(plan, mapping.rules, {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == frozenset({"d0", "a1", "a2", "a3", "a4", "a5"})
    assert peak < 5_000_000


def test_a_body_is_silent_without_the_words_and_without_a_backslash(one: One) -> None:
    mapping = one(rules("dnc == 'désinscrit'"))
    assert mapping.silent('{"dnc": "desinscrit", "d": "é"}'.encode())
    assert not mapping.silent('{"dnc": "désinscrit"}'.encode())
    assert not mapping.silent('{"other": "redésinscrite"}'.encode())
    assert not mapping.silent(b'{"dnc": "d\\u00e9sinscrit"}')
    marked = codecs.BOM_UTF8 + '{"dnc": "désinscrit", "n": 36893488147419103232}'.encode()
    assert looked_at(mapping, marked) == (False, True)
    # nor is there any in a body that cannot be read
    assert mapping.silent('{"dnc": "désinscrit"}'.encode("utf-16"))
    assert mapping.silent('{"dnc": "désinscrit"}'.encode("latin-1"))


@pytest.mark.parametrize("when", ["dnc == '${WORD}'", '"${WORD}"', "contains(dnc, '${WORD}')"])
def test_a_word_that_no_body_can_hold(one: One, when: str) -> None:
    """A setting whose bytes are not UTF-8 holds halves of pairs of surrogates."""
    mapping = one(rules(when), {**ENVIRONMENT, "WORD": b"n\xe9".decode("utf-8", "surrogateescape")})
    assert looked_at(mapping, b'{"other": "n\xc3\xa9"}') == (True, False)
    assert not mapping.silent(b'{"dnc": "n\\udce9"}')
