"""The judge tells marks apart, also where a newer event has set the field that names them."""

from __future__ import annotations

import pytest

from .marks import Marks

LEAD = ("one", "+14155550123")


def marks(*, withheld: bool) -> Marks:
    """Three events that ask for a mark; of the newest it may have been withheld."""
    made = Marks()
    made.asked(LEAD, "first", (1, False, "b"))
    made.asked(LEAD, "second", (1, False, "c"))
    made.asked(LEAD, "third", (2, False, "a"), withheld=withheld)
    return made


@pytest.mark.parametrize(
    ("withheld", "sent"),
    [
        (False, ["first"]),
        (False, ["first", "second", "third"]),
        (True, [None]),
        (True, ["third"]),
        (True, ["first", None]),
        (True, [None, "third"]),
        (True, [None, "second"]),
    ],
)
def test_each_mark_once_is_well(withheld: bool, sent: list[str | None]) -> None:
    made = marks(withheld=withheld)
    for again_id in sent:
        made.sent(LEAD, again_id)


@pytest.mark.parametrize(
    ("withheld", "sent"),
    [
        (False, ["first", "first"]),
        (False, ["third", "third"]),
        (False, ["second", "first"]),
        (False, [None]),
        (False, ["nobody"]),
        (True, ["second", None]),
        (True, ["second", "third"]),
        (True, [None, None, None]),
        (True, ["first", "third", "second"]),
    ],
)
def test_a_mark_that_is_sent_again_is_seen(withheld: bool, sent: list[str | None]) -> None:
    made = marks(withheld=withheld)
    for again_id in sent[:-1]:
        made.sent(LEAD, again_id)
    with pytest.raises(AssertionError, match="sent again"):
        made.sent(LEAD, sent[-1])


def test_leads_are_told_apart() -> None:
    made = marks(withheld=False)
    made.sent(LEAD, "first")
    with pytest.raises(AssertionError):
        made.sent(("two", LEAD[1]), "first")
