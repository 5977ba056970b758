"""A body that is taken for silent holds no opt-out, whatever the file says.

Files and bodies are made of the same few names and texts, so that they often meet.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.map import SourceMapping
from bridge.map.expression import Expression, ExpressionError
from bridge.map.transforms import default_of
from bridge.map.value import Value
from bridge.model import Json

from .conftest import One, looked_at

FILES = 300
BODIES = 20
"""For each file."""

NAMES = ["kay", "bee", "sea", "sea_all", "stop", "dé", 'q"q', "", "_known", "_headers", "_event"]
NAMES += ["_item"]
DEFINED = ["kay", "stop", "kay", "stop", "sea", "sea_all"]
TEXTS = ["", "one", "oneself", "two", "kay", "stop", "dé", "phones", 'q"q', "back\\slash", "l\nf"]
FILE = """\
enrich:
  sea: {url: "https://crm.example.com/{id}", token: "${CRM_TOKEN}", ids: x}
rules:
  - {name: out, when: dnc, channel: voice, lead: {phone_number: phone, do_not_call: {value: true}}}
"""
LITERALS = ["`0`", "`1`", "`true`", "`false`", "`null`", "`[]`", "`{}`", '`["one", "two"]`']
LITERALS += ['`{"kay": "one"}`', "['one', 'stop']", "['one', `null`]", '`"one"`', '`"\\ud800"`']
FORMS = ["({0} || {1})", "({0} && {1})", "not_null({0}, {1})", "({0}).{2}", "!({0})"]
MORE_FORMS = [
    *[
        "({0} | {1})",
        "({0} || {1}) == {0}",
        "({0})[0]",
        "({0})[-1]",
        "({0})[1:]",
        "({0})[*]",
        "({0})[]",
        "@",
    ],
    *["({0})[*].{2}", "({0})[?{1}]", "({0})[?{1}].{2}", "({0}).*", "*.{2}", "[{0}, {1}]", "[0]"],
    *["{{kay: {0}, bee: {1}}}", "({0} == {1})", "({0} != {1})", "({0} < {1})", "@.{2}"],
    *["contains({0}, {1})", "starts_with({0}, {1})", "ends_with({0}, {1})", "length({0})"],
    *["keys({0})", "values({0})", "to_string({0})", "to_array({0})", "type({0})", "max({0})"],
    *["join('', {0})", "reverse({0})", "sort_by({0}, &{1})", "map(&{1}, {0})", "sort({0})"],
    *["merge({0}, {1})", "({0})[*].[{1}]", "({0}).[{1}]", "{2}[].{2}", "{2}[0].{2}", "*"],
]


def compiles(source: str) -> bool:
    try:
        Expression(source)
    except ExpressionError:
        return False
    return True


def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    forms = st.sampled_from(FORMS) | st.sampled_from(MORE_FORMS)
    return st.builds(str.format, forms, inner, inner, names)


def conditions_of(
    names: st.SearchStrategy[str],
    texts: st.SearchStrategy[str],
    constants: st.SearchStrategy[str],
) -> st.SearchStrategy[str]:
    paths = names | names | st.builds("{}.{}".format, names, names)
    comparators = st.sampled_from(["==", "==", "!=", "<", ">="])
    eithers = st.sampled_from(["||", "&&", "|"])
    return st.one_of(
        paths,
        st.builds("{} {} {}".format, paths, comparators, constants),
        st.builds("{} {} {}".format, constants, comparators, paths),
        st.builds("contains({}, {})".format, paths, texts),
        st.builds("contains({}, {})".format, constants, paths),
        st.builds("starts_with({}, {})".format, paths, texts),
        st.builds("ends_with(not_null({}, {}), {})".format, paths, constants, texts),
        st.builds("not_null({}, {}) {} {}".format, paths, constants, comparators, constants),
        st.builds("({} {} {}).{} == {}".format, paths, eithers, constants, names, constants),
        st.builds("({} {} {}) {} {}".format, paths, eithers, constants, comparators, constants),
    )


names = st.sampled_from([json.dumps(name, ensure_ascii=False) for name in NAMES])
texts = st.sampled_from(["'" + text.replace("\\", "\\\\") + "'" for text in TEXTS])
constants = texts | st.sampled_from(LITERALS)
conditions = conditions_of(names, texts, constants)
few_names, few_texts = (
    st.sampled_from(["kay", "stop", "_item"]),
    st.sampled_from(["'one'", "'stop'"]),
)
simple = conditions_of(few_names, few_texts, few_texts | st.just("`null`"))
written = st.recursive(simple | conditions | names | constants, wider, max_leaves=4)
found = written.filter(compiles).map(Expression)
whens = st.one_of(
    simple.map(Expression),
    st.builds("({}) && ({})".format, simple | conditions, conditions).map(Expression),
    st.recursive(simple | conditions, wider, max_leaves=4).filter(compiles).map(Expression),
)
values = st.one_of(
    st.builds(Value, st.tuples((few_names | few_texts | names).map(Expression))),
    st.builds(Value, st.tuples((simple | conditions).map(Expression))),
    st.builds(Value, st.tuples(found)),
    st.builds(Value, st.tuples(found, found)),
    st.builds(Value, st.tuples(found), default=st.sampled_from(TEXTS)),
    st.builds(Value, st.just(()), constant=st.sampled_from([True, False, *TEXTS])),
    st.builds(Value, st.tuples(found), steps=st.just((default_of("one"),))),
)
EVENTS = ["@", "@", "@", "@", "kay || @", "[kay, bee][]", "sea[?kay]", "[@, 'one']"]
EACH = ["kay", "[kay, stop]", "['one', kay]", "[_headers]", "[_event]"]
EVENTS += ['`[{"kay": "one", "stop": true}]`']


@st.composite
def files(draw: st.DrawFn, plain: SourceMapping) -> SourceMapping:
    """A file with definitions, events and rules of its own, and with a look-up or without."""
    events = found if draw(st.integers(0, 9)) > 8 else st.sampled_from(EVENTS).map(Expression)
    each = found | st.sampled_from(EACH).map(Expression) if draw(st.booleans()) else st.none()
    defined = st.lists(st.tuples(st.sampled_from(DEFINED), values), max_size=3).map(tuple)
    plan = replace(plain.plan, events=draw(events), each=draw(each), defined=draw(defined))
    rule = plain.rules[0]
    flags = [rule.do_not_call, rule.do_not_call, Value((), constant=False), None]
    rules = st.builds(
        replace, st.just(rule), when=whens, do_not_call=st.sampled_from(flags) | values
    )
    return replace(
        plain,
        plan=plan,
        rules=tuple(draw(st.lists(rules, min_size=1, max_size=2))),
        lookup_plans=draw(st.sampled_from([(), plain.lookup_plans])),
    )


class Bodies:
    """Documents by chance, more of the names that a file asks for than of others."""

    def __init__(self, mapping: SourceMapping, seed: int) -> None:
        asked = [name for rule in mapping.rules if rule.when for name in rule.when.names]
        self.names: list[str] = [*NAMES, *sorted(asked) * 4]
        self.chance = Random(seed)

    def document(self) -> Json:
        events = [self._event() for _ in range(self.chance.choice([1, 1, 2]))]
        return self.chance.choice([events, events[0], events[0], self._value(3)])

    def _event(self) -> Json:
        return {self._name(): self._value(2) for _ in range(self.chance.randint(1, 5))}

    def _name(self) -> str:
        return self.chance.choice(self.names)

    def _value(self, depth: int) -> Json:
        match self.chance.choice("tttttbnldd" if depth else "tttttbn"):
            case "t":
                return self.chance.choice(TEXTS)
            case "b":
                return self.chance.choice([True, True, False, None])
            case "n":
                return self.chance.choice([0, 1, 2.5])
            case "l":
                return [self._value(depth - 1) for _ in range(self.chance.randrange(3))]
        return {self._name(): self._value(depth - 1) for _ in range(self.chance.randrange(4))}


def plainly(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


WRITERS: list[Callable[[Json], bytes]] = [
    plainly,
    lambda document: json.dumps(document).encode(),
    lambda document: codecs.BOM_UTF8 + plainly(document),
    lambda document: plainly([document, 10**20]),
    lambda document: plainly(document).replace(b"\\n", b"\n"),
]


def test_a_silent_body_holds_no_opt_out(one: One) -> None:
    plain = one(FILE)
    seen: Counter[str] = Counter()

    @settings(max_examples=FILES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mapping=files(plain), seed=st.integers(0, 2**32))
    def holds(mapping: SourceMapping, seed: int) -> None:
        bodies = Bodies(mapping, seed)
        knows = mapping.silent(b"[]")
        seen["files"] += 1
        seen["knowing"] += knows
        for _ in range(BODIES):
            silent, urgent = looked_at(mapping, bodies.chance.choice(WRITERS)(bodies.document()))
            if knows:
                seen["silent"] += silent
                seen["urgent"] += urgent

    holds()
    assert seen["knowing"] > FILES // 6
    assert seen["silent"] > FILES // 3
    assert seen["urgent"] > FILES // 30
