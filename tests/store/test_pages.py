"""Pages, clues and tries: what the console reads is found, bounded and in order."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from bridge.model import ContactRef, Lane, State
from bridge.operate.story import standings
from bridge.store import attempts, clues, contacts, deliveries, erasing, outcomes, pages, refusals
from bridge.store.attempts import Attempt
from bridge.store.clues import Clue
from bridge.store.database import Database
from bridge.store.digest import load
from bridge.store.pages import Page, Wanted
from bridge.store.schema import lead, outcome

from .rows import NOW, a_delivery, a_lead, an_outcome


def put(database: Database, *rows: dict[str, Any]) -> list[int]:
    with database.write() as connection:
        first = connection.scalar(select(func.max(outcome.c.event_id))) or 0
        made = [
            an_outcome(
                first + n,
                a_lead(connection, row.get("phone", "+14155550123")),
                **{"key": f"{first + n:032x}", **row},
            )
            for n, row in enumerate(rows, 1)
        ]
        outcomes.add(connection, made)
        query = select(outcome.c.id).where(outcome.c.event_id > first).order_by(outcome.c.id)
        return list(connection.scalars(query))


def page(database: Database, limit: int = 50, before: int | None = None, **wanted: Any) -> Page:
    with database.read() as connection:
        return pages.outcomes(connection, Wanted(**wanted), before=before, limit=limit)


def ids(found: Page) -> list[int]:
    return [row["id"] for row in found.rows]


def test_pages_go_on_where_the_one_before_ended(database: Database) -> None:
    made = put(database, *({} for _ in range(5)))
    first = page(database, 2)
    assert ids(first) == made[:2:-1]
    second = page(database, 2, first.cursor)
    assert ids(second) == [made[2], made[1]]
    last = page(database, 2, second.cursor)
    assert (ids(last), last.cursor, last.looked_through) == ([made[0]], None, False)
    exact = page(database, 5)
    assert (len(exact.rows), exact.cursor) == (5, None)


def test_every_filter_alone_and_with_others(database: Database) -> None:
    made = put(
        database,
        {"source": "a", "campaign": "x"},
        {"source": "b", "campaign": "x", "state": State.DEAD},
        {"source": "b", "campaign": "y", "phone": "+14155550199"},
    )
    assert ids(page(database, source="b")) == [made[2], made[1]]
    assert ids(page(database, campaign="x", source="b")) == [made[1]]
    assert ids(page(database, state="dead")) == [made[1]]
    assert ids(page(database, state="dead", campaign="y")) == []
    assert ids(page(database, phone="+14155550199", state="waiting")) == [made[2]]
    assert ids(page(database, receipt="0" * 32)) == []


def test_a_filter_without_an_index_looks_through_a_window_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "WINDOW", 4)
    made = put(database, {"source": "rare"}, *({} for _ in range(9)))
    seen: list[int] = []
    found = page(database, source="rare")
    looks = 1
    while found.cursor is not None:
        assert found.looked_through
        seen += ids(found)
        found = page(database, source="rare", before=found.cursor)
        looks += 1
    assert seen + ids(found) == [made[0]]
    assert looks == 3


def test_deliveries_and_refusals_are_paged_and_filtered(database: Database) -> None:
    with database.write() as connection:
        deliveries.add(connection, [a_delivery(source=name) for name in ("a", "b", "a")])
        taken = [row.id for row in deliveries.next_stored(connection, ["a"], 1)]
        deliveries.take(connection, taken, {})
        rows = [
            refusals.NewRefusal(
                f"{n:032x}", "a", NOW + n, "192.0.2.1", "why", "POST", "/x", {"x": ["y"]}, b"body"
            )
            for n in range(3)
        ]
        refusals.add(connection, rows, refusals.Bounds(100, 10**6, 100, 10**6))
    with database.read() as connection:

        def received(**options: Any) -> list[str]:
            found = pages.deliveries(
                connection,
                **{"source": None, "waiting": False, "before": None, "limit": 9} | options,
            )
            return [row["source"] for row in found.rows]

        assert received() == ["a", "b", "a"]
        assert received(source="a") == ["a", "a"]
        assert received(waiting=True) == ["a", "b"]
        assert received(waiting=True, source="a") == ["a"]
        first = pages.refusals(connection, source="a", before=None, limit=2)
        assert first.cursor is not None
        rest = pages.refusals(connection, source="a", before=first.cursor, limit=2)
        receipts = [row["receipt"] for row in (*first.rows, *rest.rows)]
        assert receipts == [row.receipt for row in rows[::-1]]
        assert pages.refusals_since(connection, NOW + 1) == {"a": (2, NOW + 2)}
        whole = pages.refusal_by_receipt(connection, rows[0].receipt)
        assert whole is not None
        assert (whole["headers"], bytes(whole["body"])) == ({"x": ["y"]}, b"body")


def test_clues_lead_to_numbers_and_to_events(database: Database) -> None:
    with database.write() as connection:
        digest = load(connection)
        mail = clues.of_email(digest, " Jane@Example.com")
        contact = clues.of_contact(digest, "77")
        assert mail == clues.of_email(digest, "jane@example.COM")
        for _ in range(2):
            found = [Clue(mail, phone="+1"), Clue(mail, event_id=5), Clue(contact, event_id=6)]
            clues.add(connection, found)
        seen = {ContactRef("portal", "77"): (("+2", "+3"), None, NOW)}
        contacts.remember(connection, "hubspot", seen, NOW)
    with database.read() as connection:
        assert clues.phones(connection, mail) == ["+1"]
        assert clues.events(connection, mail) == [5]
        assert clues.events(connection, contact) == [6]
        assert clues.phones_of_contact(connection, "77") == ["+2", "+3"]
        assert clues.phones_of_contact(connection, "7") == []


def test_the_first_tries_are_kept_and_then_every_tenth(database: Database) -> None:
    with database.write() as connection:
        batch = outcomes.add_batch(
            connection,
            campaign="main",
            started_at=NOW,
            elapsed_ms=5,
            leads=1,
            calls=1,
            status=503,
            trouble="server",
            detail="down",
        )
        rows = [Attempt(1, batch, NOW + n, n, State.WAITING, f"try {n}") for n in range(1, 51)]
        attempts.add(connection, rows)
    with database.read() as connection:
        kept = attempts.of_outcomes(connection, [1, 2])
    assert [row["tries"] for row in kept[1]] == [*range(1, 21), 30, 40, 50]
    assert {(row["status"], row["detail"]) for row in kept[1]} == {(503, "down")}


def test_a_try_that_ends_nothing_is_kept_with_its_outcome(database: Database) -> None:
    [number] = put(database, {})
    with database.write() as connection:
        for tries, state in enumerate((State.WAITING, State.STANDING, State.UPDATED), 1):
            row = outcomes.Decision(number, state, f"said {tries}", False, tries, tries)
            outcomes.decide(connection, [row], NOW)
    with database.read() as connection:
        kept = attempts.of_outcomes(connection, [number])[number]
    assert [(row["state"], row["message"]) for row in kept] == [
        ("waiting", "said 1"),
        ("standing", "said 2"),
    ]


def test_erasing_a_person_takes_the_clues_along_and_masks_the_tries(database: Database) -> None:
    kept, gone = "+14155550101", "+14155550102"
    numbers = put(database, {"phone": gone, "state": State.UPDATED, "decided_at": NOW})
    with database.write() as connection:
        leads = [a_lead(connection, phone, lane=Lane.IDLE, due_at=2**62) for phone in (kept, gone)]
        connection.execute(update(lead).where(lead.c.id == leads[0]).values(opted_out=True))
        connection.execute(update(lead).values(lane=int(Lane.IDLE)))
        event_id = pages.outcomes_by_id(connection, numbers)[0]["event_id"]
        clues.add(
            connection,
            [Clue("#mail", phone=kept), Clue("#mail", phone=gone), Clue("#id", event_id=event_id)],
        )
        said = f"refused {gone} of jane@example.com"
        attempts.add(connection, [Attempt(numbers[0], 1, NOW, 1, State.WAITING, said)])
    with database.write() as connection:
        digest = load(connection)
        assert erasing.outcomes(connection, digest, numbers, NOW) == numbers
        erasing.leads(connection, digest, leads)
    with database.read() as connection:
        assert clues.phones(connection, "#mail") == [kept]
        assert clues.events(connection, "#id") == []
        [one] = attempts.of_outcomes(connection, numbers)[numbers[0]]
        assert one["message"] == "refused +1********02 of j***@***"
        page_of = pages.outcomes(connection, Wanted(phone=gone), before=None, limit=9)
        assert ids(page_of) == numbers


def test_an_opt_out_behind_all_that_is_looked_through_is_found_where_the_ledger_has_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = "+14155550123"
    put(database, {"opts_out": True, "fields": {"do_not_call": True}}, *({} for _ in range(5)))
    with database.write() as connection:
        ledger = '{"do_not_call":[true,1,"k",false]}'
        connection.execute(update(lead).values(opted_out=True, ledger=ledger))
    with database.read() as connection:
        assert len(pages.opt_outs(connection, phone)) == 1
        monkeypatch.setattr(pages, "WINDOW", 5)
        assert pages.opt_outs(connection, phone) == []
        [found] = standings(connection, [phone], None)
    assert found["verdict"] == "on_its_way"


@pytest.mark.parametrize("reassert", [True, False])
def test_what_was_confirmed_of_an_older_opt_out_says_nothing_of_one_taken_over_since(
    database: Database, *, reassert: bool
) -> None:
    """Between the two the lead may have opted in."""
    phone = "+14155550123"
    [made] = put(database, {"opts_out": True, "fields": {"do_not_call": True}})
    with database.write() as connection:
        connection.execute(update(outcome).values(state="updated", decided_at=NOW))
        query = select(outcome.c.event_time).where(outcome.c.id == made)
        time = connection.execute(query).scalar_one()
    found = []
    for said in (time, time + 1):
        ledger = f'{{"do_not_call":[true,{said},"k",false]}}'
        with database.write() as connection:
            values = {"opted_out": True, "ledger": ledger, "reassert": reassert}
            connection.execute(update(lead).values(**values))
        with database.read() as connection:
            found += standings(connection, [phone], None)
    assert [one["verdict"] for one in found] == [
        "sent_again" if reassert else "confirmed",
        "taken_over",
    ]
    assert [one["confirmed_at"] for one in found] == [NOW, None]


def test_a_page_of_a_number_has_what_was_erased_in_its_order(database: Database) -> None:
    made = put(database, *({} for _ in range(6)))
    with database.write() as connection:
        erased = load(connection).of("+14155550123")
        connection.execute(update(outcome).where(outcome.c.id.in_(made[1:4])).values(phone=erased))
    first = page(database, 4, phone="+14155550123")
    assert ids(first) == made[:1:-1]
    assert ids(page(database, 4, first.cursor, phone="+14155550123")) == made[1::-1]
    assert ids(page(database, 9, phone="+14155550123", campaign="main")) == made[::-1]
