"""A part of an expression, written again for people, means the same as before."""

from __future__ import annotations

import pytest

from bridge.map.document import read_document
from bridge.map.expression import ExpressionError, parse
from bridge.map.expression_text import text_of
from bridge.model import Json

from .conftest import SHIPPED

WRITTEN = (
    "a",
    "a.b",
    "a.b.c.d",
    "_body.a[0].b.c",
    "a[0][1].b",
    'a."odd name".c',
    "a[*].b.c",
    "a.*.b",
    "a[].b.c[].d",
    "a[?b == 'x' && c.d.e].f.g",
    "a.b.c || d.e.f",
    "(a || b) && c",
    "!(a || b.c.d)",
    "!a.b.c && d != `null`",
    "(a | b) || c",
    "a | b.c.d | [0]",
    "[a.b.c, d]",
    "{x: a.b.c, y: `1`}",
    "not_null(a.b.c, d, '')",
    "sort_by(a, &b.c.d)[0].e.f",
    "contains(['a', 'b'], c.d.e)",
    "a[1:3].b",
    "a[::2]",
    "@",
    "@.a.b",
    "a == 'it\\'s'",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_the_text_means_the_same(written: str) -> None:
    text = text_of(parse(written))
    assert "…" not in text
    assert text_of(parse(text)) == text
    assert _alike(parse(text)) == _alike(parse(written)), text


def test_every_expression_of_the_shipped_files_can_be_told() -> None:
    seen = 0
    for path in SHIPPED.glob("*.yaml"):
        for text in _texts(read_document(path).data):
            try:
                tree = parse(text)
            except ExpressionError:
                continue
            seen += 1
            assert text_of(parse(text_of(tree))) == text_of(tree)
    assert seen > 100


def _texts(value: Json) -> list[str]:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [text for item in items for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _alike(tree: Json) -> Json:
    """A tree without what makes no difference: ``@`` in front of a path."""
    if not isinstance(tree, dict):
        return tree
    children = [_alike(child) for child in tree.get("children", ())]
    kind = tree["type"]
    if kind == "subexpression":
        children = [c for c in children if not isinstance(c, dict) or c["type"] != "current"]
        if len(children) == 1:
            return children[0]
    kind = "current" if kind == "identity" else kind
    return {**tree, "type": kind, "children": children}
