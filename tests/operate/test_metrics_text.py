"""What we write is what Prometheus reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bridge.operate.metrics.families import BY_NAME, FAMILIES, Kind
from bridge.operate.metrics.reading import Curve, Samples, curve_of
from bridge.operate.metrics.text import written
from bridge.store.counters import ABOVE, BUCKETS, Counted, Histogram

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)
numbers = st.one_of(st.integers(0, 2**53), st.floats(0, 1e15, allow_nan=False))


def read(samples: Samples) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(written(samples).decode())
        for sample in family.samples
    }


@given(st.dictionaries(st.tuples(names, names), numbers, min_size=1, max_size=5))
def test_any_name_and_number_is_read_back_as_it_was(found: dict[tuple[str, str], float]) -> None:
    name = "crmbridge_outcomes_total"
    samples: Samples = {name: dict(found.items())}
    assert read(samples) == {(name, labels): value for labels, value in found.items()}


def test_a_histogram_is_cumulated_and_in_base_units() -> None:
    family = BY_NAME["crmbridge_api_call_seconds"]
    # 75 was a bound of another version; it counts into the next larger one
    curve = curve_of(family, Histogram({50: 2, 75: 1, 1_000: 1, ABOVE: 3}, 4_321))
    found = read({family.name: {("main",): curve}})
    assert found[f"{family.name}_bucket", ("main", "0.05")] == 2
    assert found[f"{family.name}_bucket", ("main", "0.1")] == 3
    assert found[f"{family.name}_bucket", ("main", "1")] == 4
    assert found[f"{family.name}_bucket", ("main", "30")] == 4
    assert found[f"{family.name}_bucket", ("main", "+Inf")] == 7
    assert found[f"{family.name}_count", ("main",)] == 7
    assert found[f"{family.name}_sum", ("main",)] == 4.321


@pytest.mark.parametrize("what", list(BUCKETS))
def test_every_bucket_is_shown_and_fits_into_its_column(what: Counted) -> None:
    (family,) = [one for one in FAMILIES if one.counted is what]
    assert family.kind is Kind.HISTOGRAM
    assert sorted(set(family.bounds)) == list(family.bounds)
    assert [bound * family.unit for bound in family.bounds] == list(BUCKETS[what])


def test_what_is_declared_is_named_as_prometheus_wants_it() -> None:
    assert len(BY_NAME) == len(FAMILIES)
    assert all(len(what.value) <= 16 for what in Counted)
    for family in FAMILIES:
        assert family.name.startswith("crmbridge_")
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert not any(word in family.labels for word in ("phone", "lead", "email", "receipt"))
        assert family.help


def test_an_empty_histogram_is_shown_empty() -> None:
    family = BY_NAME["crmbridge_webhook_answer_seconds"]
    curve = curve_of(family, Histogram({}, 0))
    assert isinstance(curve, Curve)
    assert read({family.name: {(): curve}})[f"{family.name}_count", ()] == 0
