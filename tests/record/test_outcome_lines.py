"""Which outcomes get a log line, and how loud it is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from command_line import logs_as_before

from bridge import logs
from bridge.model import State
from bridge.record.outcome_lines import Line, log_outcomes


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with logs_as_before():
        yield


def line(state: State, *, opts_out: bool) -> Line:
    return Line(state, "r", "s", "main", "+14155550123", ("rule",), "told", opts_out, 5)


@pytest.mark.parametrize(
    ("state", "of_opt_out", "of_others"),
    [
        (State.UPDATED, "info", "info"),
        (State.SUPERSEDED, "info", "info"),
        (State.STANDING, "warning", "warning"),
        (State.DEAD, "error", "warning"),
        (State.NOT_FOUND, "error", "info"),
        (State.UNCONFIRMED, "error", "info"),
        (State.WAITING, None, None),
        (State.IN_FLIGHT, None, None),
    ],
)
def test_an_opt_out_that_ends_unconfirmed_is_an_error_and_one_that_stands_a_warning(
    state: State,
    of_opt_out: str | None,
    of_others: str | None,
) -> None:
    out = io.StringIO()
    logs.configure(style="json", out=out)
    log_outcomes([line(state, opts_out=True), line(state, opts_out=False)])
    told = [json.loads(one)["log.level"] for one in out.getvalue().splitlines()]
    assert told == [level for level in (of_opt_out, of_others) if level]
