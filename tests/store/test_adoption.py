"""A new campaign hears of the opt-outs that its sisters know."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model import Lane
from bridge.store import adoption, leads
from bridge.store.database import Database

from .rows import NOW, due, released

OUT, FREE = "+14155550101", "+14155550102"
ENTRY = [True, NOW - 5, "k", False]


def test_confirmed_opt_outs_are_taken_over_once_and_are_due_at_once(database: Database) -> None:
    with database.write() as connection:
        ids = leads.schedule(connection, [due(OUT), due(FREE)])
        leads.release(
            connection,
            [
                released(ids["main", OUT], ledger={"do_not_call": ENTRY}, opted_out=True),
                released(ids["main", FREE]),
            ],
        )
        last = adoption.adopt(connection, "new", ["main"], NOW, after=0)
        assert last == ids["main", OUT]
        assert adoption.adopt(connection, "new", ["main"], NOW, after=last) is None
        adoption.adopt(connection, "new", ["main"], NOW, after=0)
        (row,) = leads.claimable(connection, "new", Lane.OPT_OUT, NOW, 10)
    assert (row.phone, row.reassert) == (OUT, True)
    assert row.ledger == {"do_not_call": ENTRY}


@pytest.mark.parametrize("own", [{}, {"do_not_call": [False, NOW, "z", False]}])
def test_a_lead_that_is_there_already_is_opted_out_unless_it_has_a_word_of_its_own(
    database: Database, own: dict[str, Any]
) -> None:
    with database.write() as connection:
        ids = leads.schedule(connection, [due(OUT), due(OUT, campaign="new")])
        leads.release(
            connection,
            [
                released(ids["main", OUT], ledger={"do_not_call": ENTRY}, opted_out=True),
                released(ids["new", OUT], ledger={"first_name": ["Ann", 1, "a", False], **own}),
            ],
        )
        adoption.adopt(connection, "new", ["main"], NOW, after=0)
        found = leads.claimable(connection, "new", Lane.OPT_OUT, NOW, 10)
    assert [row.reassert for row in found] == ([] if own else [True])
    for row in found:
        assert row.ledger == {"first_name": ["Ann", 1, "a", False], "do_not_call": ENTRY}
