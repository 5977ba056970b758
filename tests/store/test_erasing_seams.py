"""Where an erasure meets other parts: clues, contacts with long ids, texts that the API quotes."""

from __future__ import annotations

import json

from bridge.model import ContactRef, Known
from bridge.record import ledger as ledgers
from bridge.steps.erase import erase_now
from bridge.store import clues, contacts, digest, leads, outcomes
from bridge.store.clues import Clue
from bridge.store.database import Database
from bridge.store.erasures import Wanted

from .rows import NOW, a_lead, cell, released
from .world import world

NUMBER, OTHER = "+14155550101", "+14155550102"


def test_a_number_without_a_lead_is_taken_out_of_the_clues(database: Database) -> None:
    with database.write() as connection:
        made = digest.load(connection)
        mail = clues.of_email(made, "jane@example.com")
        clues.add(connection, [Clue(mail, phone=NUMBER), Clue(mail, phone=OTHER)])
    erase_now(database, Wanted("", phones=(NUMBER,)))
    with database.read() as connection:
        assert clues.phones(connection, mail) == [OTHER]


LONG = (ContactRef("1", "9" * 500), ContactRef("x" * 300, "5"), ContactRef("ä" * 201, "ü" * 201))


def test_contacts_with_very_long_ids_are_erased(database: Database) -> None:
    near = [ContactRef(ref.account + "y", ref.id + "8") for ref in LONG]
    with world(database) as w:
        seen = {one: ((NUMBER,), one is LONG[0] or None, NOW) for one in (*LONG, *near)}
        contacts.remember(w.connection, "hubspot", seen, NOW)
        w.updated("a", NUMBER)
    number, count, waiting = erase_now(database, Wanted("hubspot", LONG))
    assert (count["contacts"], count["outcomes"], count["leads"], waiting) == (3, 1, 1, 0)
    assert cell(database, "done_at", "erasure", number) is not None
    with database.read() as connection:
        left = contacts.recall(connection, "hubspot", [*LONG, *near])
    # whoever is opted out stays so, without numbers
    assert left == {LONG[0]: Known((), opted_out=True)} | dict.fromkeys(near, Known((NUMBER,)))


def test_which_replay_said_what_outlives_the_values(database: Database) -> None:
    """Else what an event said on its first way would count as newer than its own correction."""
    entry = ["Jane", NOW, "k", False, 7]
    with database.write() as connection:
        lead = released(a_lead(connection, NUMBER), ledger={"first_name": entry})
        leads.release(connection, [lead])
    erase_now(database, Wanted("", phones=(NUMBER,)))
    stored = json.loads(cell(database, "ledger", "lead", 1))
    assert ledgers.read(stored)["first_name"] == ledgers.Entry(None, NOW, "k", True, 7)


def test_what_the_api_quotes_of_a_lead_is_masked_since_batches_are_never_erased(
    database: Database,
) -> None:
    with database.write() as connection:
        number = outcomes.add_batch(
            connection,
            campaign="main",
            started_at=NOW,
            elapsed_ms=1,
            leads=1,
            calls=1,
            status=422,
            trouble=None,
            detail=f'HTTP 422: {{"phone_number": "{NUMBER}", "email": "jane@example.com"}}\x00',
        )
    detail = cell(database, "detail", "batch", number)
    assert detail.startswith("HTTP 422")
    assert NUMBER.removeprefix("+") not in detail
    assert "jane@" not in detail
