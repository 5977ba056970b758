"""What one way of finding numbers gives does not depend on what other ways have read before."""

from __future__ import annotations

from itertools import chain
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bridge.map.expression import Expression
from bridge.map.numbers import Numbers, ways_of
from bridge.map.phone import every_e164
from bridge.map.transforms import ToE164, of_text
from bridge.map.unusable import Unusable
from bridge.map.value import Value
from bridge.model import Json

TRIM = of_text(str.strip)
SOURCES = st.lists(
    st.sampled_from(["a", "b", "c.d", "known"]).map(Expression), max_size=4, unique_by=str
)
VALUES = st.builds(
    Value,
    sources=SOURCES,
    constant=st.sampled_from([None, "+14155550100"]),
    every=st.booleans(),
    steps=st.sampled_from([(), (TRIM,), (ToE164(None, "US"),), (TRIM, ToE164("DE", "US"))]),
    default=st.sampled_from([None, "+14155550199"]),
    region=st.sampled_from(["US", "DE"]),
    region_from=st.none() | st.just(Value((Expression("country"),))),
)
TEXTS = st.sampled_from(
    ["+14155550123", " 4155550124 ", "030 901820", "+14155550123; 4155550125", "12", "", " ", "x"]
)
PLACES = st.none() | TEXTS | st.lists(st.none() | TEXTS, max_size=3) | st.sampled_from([7, True])
VIEWS = st.fixed_dictionaries(
    {},
    optional={
        "a": PLACES,
        "b": PLACES,
        "c": st.none() | st.fixed_dictionaries({"d": PLACES}),
        "known": st.lists(st.just("+442071838750"), max_size=2),
        "country": st.sampled_from(["GB", "nowhere", "", None]),
    },
)


@given(values=st.lists(VALUES, min_size=1, max_size=4), view=VIEWS, order=st.randoms())
def test_ways_together_give_what_each_gives_alone(
    values: list[Value], view: dict[str, Json], order: Random
) -> None:
    numbers = Numbers(ways_of(values), view)
    alone = [Numbers(ways_of([value]), view).of(0) for value in values]
    asked = list(range(len(values)))
    order.shuffle(asked)
    for way in asked:
        assert numbers.of(way) == alone[way]
    assert numbers.all(()) == tuple(dict.fromkeys(chain(*(one.numbers for one in alone))))


@given(sources=SOURCES, view=VIEWS)
def test_all_of_several_fields_gives_every_number_in_any_of_them(
    sources: list[Expression], view: dict[str, Json]
) -> None:
    expected: list[str] = []
    problems: list[str] = []
    for source in sources:
        raw = source.get(view, [])
        for one in raw if isinstance(raw, list) else [raw]:
            try:
                read = every_e164(one, "US")
            except Unusable as problem:
                problems.append(str(problem))
            else:
                expected += read.numbers
                problems += read.problems
    value = Value(tuple(sources), every=True)
    found = Numbers(ways_of([value]), view).of(0)
    assert found.numbers == tuple(dict.fromkeys(expected))
    assert found.problems == tuple(problems)
