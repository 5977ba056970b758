"""Compiled expressions mean what the JMESPath library says they mean, and never raise."""

from __future__ import annotations

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.map.expression import Expression, ExpressionError

EXPRESSIONS = [
    "a",
    "a.b",
    "a.b.c",
    "@",
    "a || b",
    "a && b",
    "!a",
    "!(a && b)",
    "a == 'x'",
    "a != 'x'",
    "a == b",
    "a == `1`",
    "a == `true`",
    "a != `false`",
    "a > `1`",
    "a <= b",
    "a.b == 'x' || !b",
    "[a, b]",
    "[a, b][]",
    "{x: a, y: b}",
    "a[0]",
    "a[-1]",
    "a[1:]",
    "a[*].b",
    "a[].b",
    "a[?b == 'x'].c",
    "a[?b].c | [0]",
    "*.b",
    "a | b",
    "not_null(a, b)",
    "contains(a, 'x')",
    "contains(a, b)",
    "starts_with(a, 'x')",
    "ends_with(a, 'x')",
    "length(a)",
    "keys(@)",
    "sort_by(a, &b)",
    "max_by(a, &b).b",
    "to_string(a)",
    '"a"."b"',
    "a && [a, b]",
    "a && b && c",
    "a && (b && c)",
    "a || b || c",
    "a && b || !c",
    "a == `null`",
    "a != `null` && b",
    "`false` == a",
    "a == `0`",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(-2, 2)
    | st.sampled_from(["", "x", "xx", "y"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(
    source=st.sampled_from(EXPRESSIONS),
    document=st.dictionaries(st.sampled_from("abc"), DOCUMENTS, max_size=3) | DOCUMENTS,
)
def test_compiled_and_library_agree(source: str, document: object) -> None:
    notes: list[str] = []
    try:
        expected = jmespath.search(source, document)
    except (ValueError, TypeError):
        assert Expression(source).get(document, notes) is None
        assert notes
        return
    found = Expression(source).get(document, notes)
    assert repr(found) == repr(expected)
    assert not notes


@pytest.mark.parametrize(
    ("source", "view"),
    [
        ("contains(tags, 'x')", {}),
        ("length(a)", {"a": 5}),
        ("a > b", {"a": "5", "b": 3}),
        ("join(',', a)", {"a": [1]}),
        ("sort(a)", {"a": [1, "x"]}),
        ("max(a)", {"a": [1, "x"]}),
        ("abs(a)", {"a": None}),
        ("sum(a)", {"a": ["x"]}),
        ("map(&length(@), a)", {"a": [1]}),
    ],
)
def test_a_failing_expression_is_absent_with_a_note(source: str, view: object) -> None:
    notes: list[str] = []
    assert Expression(source).get(view, notes) is None
    assert not Expression(source).holds(view, [])
    assert len(notes) == 1
    assert source in notes[0]


@pytest.mark.parametrize(
    "source",
    ["", "  ", "a.", "a ==", "(", "a b", "f(", "nope(a)", "length()", "length(a, b)", "'x", "`1"],
)
def test_what_does_not_compile_says_what_to_write(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(source)
    assert caught.value.hint


def test_length_and_depth_are_bounded() -> None:
    with pytest.raises(ExpressionError, match="500"):
        Expression("a" * 501)
    deep = "(" * 249 + "a" + ")" * 249
    assert Expression(deep).get({"a": 1}, []) == 1
    with pytest.raises(ExpressionError):
        Expression("!" * 499 + "a")


@settings(max_examples=300, deadline=None)
@given(source=st.text(alphabet="ab.[]()|&!?*@`'\"{}:,=<> 0", max_size=40))
def test_no_text_makes_the_compiler_raise_anything_else(source: str) -> None:
    try:
        expression = Expression(source)
    except ExpressionError:
        return
    expression.get({"a": [{"b": 1}], "b": "x"}, [])
