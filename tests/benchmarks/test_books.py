"""Books that do not balance are told: a benchmark whose run lost something has failed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bench import books, filling
from bench.report import Report
from bench.rig import Rig, rig

COUNT = 40


@pytest.fixture(scope="module")
def bridge() -> Iterator[Rig]:
    """A bridge behind which events lie that all were confirmed; the sink has seen none."""
    with rig("sqlite") as made:
        filling.fill(made, COUNT, filling.Rows.DONE)
        yield made


def missed(bridge: Rig, *, deliveries: int = 0, events: int = 0) -> set[str]:
    report = Report("books", "sqlite")
    books.check_counts(report, bridge, deliveries=deliveries, events=events, filled=COUNT)
    return {row.name for row in report.rows if row.met is False}


def test_what_was_filled_balances(bridge: Rig) -> None:
    report = Report("books", "sqlite")
    books.audit(report, bridge)
    assert report.met
    assert missed(bridge) == set()


def test_a_delivery_too_few_and_one_too_many(bridge: Rig) -> None:
    name = "deliveries accepted and not stored"
    assert missed(bridge, deliveries=1) == {name}
    assert missed(bridge, deliveries=-1) == {name}


def test_an_event_that_was_accepted_and_went_nowhere(bridge: Rig) -> None:
    assert missed(bridge, deliveries=1, events=1) == {
        "deliveries accepted and not stored",
        "events not taken in",
        "updates not confirmed",
        "events never sent",
    }


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        (
            "UPDATE outcome SET state = 'waiting', decided_at = NULL WHERE id = 7",
            {"updates not confirmed", "outcomes of another kind", "rows that break a promise"},
        ),
        (
            "DELETE FROM outcome WHERE id = 8",
            {"updates not confirmed", "rows that break a promise"},
        ),
    ],
)
def test_what_a_worker_did_not_record(statement: str, names: set[str]) -> None:
    with rig("sqlite") as made:
        filling.fill(made, COUNT, filling.Rows.DONE)
        with made.database.write() as connection:
            connection.exec_driver_sql(statement)
        report = Report("books", "sqlite")
        books.check_counts(report, made, deliveries=0, events=0, filled=COUNT)
        books.audit(report, made)
        assert {row.name for row in report.rows if row.met is False} == names


def test_an_update_that_the_sink_had_twice(bridge: Rig) -> None:
    lead = [{"phone_number": "+14155550123", "first_name": "Jane 5"}]
    for _ in range(2):
        httpx.patch(f"{bridge.sink}/bulk", json=lead, trust_env=False).raise_for_status()
    assert missed(bridge) == {"events never sent", "updates sent twice, or without an event"}
    bridge.reset()
    assert missed(bridge) == set()
