"""What waits is known by its front, in a time that does not grow with it."""

from __future__ import annotations

from sqlalchemy import insert, update

from bridge.model import Lane, State
from bridge.store import deliveries, events, leads, outcomes, pages, queues
from bridge.store.database import Database
from bridge.store.queues import MOST, MOST_IN_ALL, Depth
from bridge.store.schema import lead

from .rows import NOW, a_delivery, a_lead, an_event, an_outcome


def test_deliveries_that_nobody_worked_on_are_counted_by_source(database: Database) -> None:
    rows = [
        a_delivery(received_at=NOW - 5_000),
        a_delivery(received_at=NOW),
        a_delivery(source="generic", received_at=NOW - 1),
    ]
    with database.write() as connection:
        assert queues.deliveries_by_source(connection) == {}
        deliveries.add(connection, rows)
        taken = deliveries.by_receipt(connection, rows[1].receipt)
        assert taken is not None
        deliveries.take(connection, [taken.id], {})
        assert queues.deliveries_by_source(connection) == {
            "hubspot": Depth(1, NOW - 5_000),
            "generic": Depth(1, NOW - 1),
        }


def test_of_a_great_backlog_no_more_than_its_front_is_counted(database: Database) -> None:
    with database.write() as connection:
        deliveries.add(connection, [a_delivery(received_at=NOW + n) for n in range(MOST + 7)])
        assert queues.deliveries_by_source(connection) == {"hubspot": Depth(MOST, NOW)}


def test_what_waits_for_look_ups_is_known_by_lane_with_its_age_and_trouble(
    database: Database,
) -> None:
    with database.write() as connection:
        deliveries.add(connection, [a_delivery(received_at=NOW - 5_000)])
        (delivery,) = deliveries.next_stored(connection, ["hubspot"], 1)
        added = events.add(
            connection,
            [
                an_event(delivery.id, 0, "k", pending=True, urgent=True),
                an_event(delivery.id, 1, "l", pending=True),
                an_event(delivery.id, 2, "m", pending=True),
                an_event(delivery.id, 3, "n"),
            ],
        )
        events.postpone(connection, [(added[delivery.id, 0].id, NOW + 1, "HTTP 401")])
        found = queues.look_ups(connection)
    assert found == [
        queues.LookUps("hubspot", Lane.OPT_OUT, Depth(1, NOW - 5_000), "HTTP 401"),
        queues.LookUps("hubspot", Lane.FIRST, Depth(2, NOW - 5_000), ""),
    ]


def test_open_opt_outs_are_known_by_state_with_the_oldest(database: Database) -> None:
    with database.write() as connection:
        for event_id, state, when in (
            (1, State.WAITING, NOW),
            (2, State.STANDING, NOW - 9),
            (3, State.STANDING, NOW - 5),
            (4, State.UPDATED, NOW - 99),
        ):
            row = an_outcome(event_id, 1, state=state, opts_out=True, accepted_at=when)
            outcomes.add(connection, [row])
        outcomes.add(connection, [an_outcome(5, 1, accepted_at=NOW - 500)])
        assert queues.opt_outs(connection) == {
            State.WAITING: Depth(1, NOW),
            State.STANDING: Depth(2, NOW - 9),
        }


def test_lanes_are_known_with_their_depth_and_age(database: Database) -> None:
    with database.write() as connection:
        a_lead(connection, "+1", lane=Lane.OPT_OUT, waiting_since=NOW - 3)
        a_lead(connection, "+2", waiting_since=NOW - 9)
        a_lead(connection, "+3", waiting_since=NOW - 5)
        a_lead(connection, "+4", campaign="other", lane=Lane.STANDING)
        a_lead(connection, "+5", campaign="unseen")
        held = a_lead(connection, "+6", lane=Lane.RETRY)
        leads.claim(connection, [(held, {}, False)], owner="w", until=NOW)
        found = queues.lanes(connection, ["main", "other", "nobody"])
        assert queues.in_flight(connection) == 1
    assert found.most == MOST_IN_ALL // 10  # two campaigns of five lanes each
    assert found.depths == {
        ("main", Lane.OPT_OUT): Depth(1, NOW - 3),
        ("main", Lane.FIRST): Depth(2, NOW - 9),
        ("other", Lane.STANDING): Depth(1, NOW),
    }


def test_many_busy_campaigns_share_what_is_counted(database: Database) -> None:
    names = [f"campaign {n}" for n in range(40)]
    with database.write() as connection:
        for name in names:
            a_lead(connection, campaign=name)
        row = connection.execute(lead.select().limit(1)).one()._mapping
        many = [{**row, "id": 1000 + n, "phone": f"+{n}"} for n in range(200)]
        connection.execute(insert(lead), many)
        connection.execute(update(lead).where(lead.c.id == row["id"]).values(lane=int(Lane.IDLE)))
        found = queues.lanes(connection, names)
    assert found.most == 125
    assert found.depths[row["campaign"], Lane.FIRST].count == 125
    assert len(found.depths) == 40


def test_a_dead_letter_counts_by_its_newest_outcome(database: Database) -> None:
    whole = {"campaign": "", "phone": "", "state": State.DEAD, "decided_at": NOW}
    replayed = {"replay_id": 1, "decided_at": NOW + 5}
    with database.write() as connection:
        lead_ = a_lead(connection)
        outcomes.add(connection, [an_outcome(n, None, **whole) for n in range(1, 5)])
        assert queues.dead(connection, NOW) == Depth(4, NOW)
        again = [
            an_outcome(1, None, **(whole | replayed)),
            an_outcome(2, lead_, state=State.UPDATED, **replayed),
        ]
        outcomes.add(connection, again)
        assert queues.dead(connection, NOW) == Depth(3, NOW)
        outcomes.add(connection, [an_outcome(3, lead_, state=State.DEAD, **replayed)])
        assert queues.dead(connection, NOW) == Depth(3, NOW)
        assert queues.dead(connection, NOW + 1) == Depth(2, NOW + 5)
        page = pages.outcomes(connection, pages.Wanted("dead", newest=True), before=None, limit=50)
    assert [(row["event_id"], row["replay_id"]) for row in page.rows] == [(3, 1), (1, 1), (4, 0)]
