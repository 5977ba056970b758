"""Where an erasure meets other parts: clues, contacts with long ids, texts that the API quotes."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import ContactRef, Known, Lane
from bridge.record import ledger as ledgers
from bridge.steps.erase import erase_now, erase_people
from bridge.store import clues, contacts, digest, erasures, leads, outcomes
from bridge.store.clues import Clue
from bridge.store.database import Database
from bridge.store.erasures import Wanted

from .replaying import World as Bridge
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


def test_whoever_is_erased_by_number_does_not_come_back_with_what_stood_before(
    database: Database, tmp_path: Path
) -> None:
    """A request that names no contact speaks of no source either: it waits for all of them."""
    bridge = Bridge(database, tmp_path)
    mine = {"id": "1", "phone": NUMBER, "name": "Jane", "at": NOW}
    bridge.receive(mine)
    bridge.receive({**mine, "id": "2"}, source="other")
    number, _, waiting = erase_now(database, Wanted("", phones=(NUMBER,)))
    assert (waiting, cell(database, "done_at", "erasure", number)) == (1, None)
    bridge.take_in()
    with database.write() as connection:
        connection.execute(text("UPDATE outcome SET state = 'updated', decided_at = 1"))
        connection.execute(text(f"UPDATE lead SET lane = {int(Lane.IDLE)}"))
        connection.execute(text("UPDATE erasure SET due_at = 0"))
    while erase_people(database, {"crm", "other"}):
        pass
    assert cell(database, "done_at", "erasure", number) is not None
    with database.read() as connection:
        for table in ("lead", "outcome", "delivery"):
            left = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            assert NUMBER not in left
            assert "Jane" not in left


def test_a_number_waits_a_week_for_what_nobody_takes_in(database: Database, tmp_path: Path) -> None:
    bridge = Bridge(database, tmp_path)
    for source in ("crm", "away"):
        bridge.receive({"id": source, "phone": NUMBER, "name": "Jane", "at": NOW}, source=source)
    number, _, waiting = erase_now(database, Wanted("", phones=(NUMBER,)))

    def done(days: float, taken_in: set[str]) -> bool:
        with database.write() as connection:
            at = now_ms() + round(days * 86_400_000)
            while erasures.purge(connection, number, at, taken_in=taken_in).more:
                pass
            return connection.execute(text("SELECT done_at FROM erasure")).scalar() is not None

    assert waiting == 1
    assert [done(days, {"crm"}) for days in (0, 30)] == [False, False]
    bridge.take_in()
    with database.write() as connection:
        connection.execute(text("UPDATE outcome SET state = 'updated', decided_at = 1"))
        connection.execute(text(f"UPDATE lead SET lane = {int(Lane.IDLE)}"))
    assert [done(days, {"crm"}) for days in (30, 36.9, 37.1)] == [False, False, True]


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
