"""An export tells every row, in parts of any size, and goes on where it broke off."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.commands.export import command
from bridge.errors import ExportError
from bridge.model import Lane, State
from bridge.operate.export import make, resume
from bridge.operate.export.chain import Seal
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Job, Tip
from bridge.operate.export.subject import SETTLE_MS, Period
from bridge.operate.export.verify import verify
from bridge.operate.export.walk import Seen, Size
from bridge.operate.finding import By, Found
from bridge.operate.reading import whole_found
from bridge.steps.erase import erase_now
from bridge.store import attempts, clues, operator_actions, pauses, replays
from bridge.store.attempts import Attempt
from bridge.store.clues import Clue
from bridge.store.database import Connection, Database, clock_ms
from bridge.store.digest import load
from bridge.store.erasures import Wanted
from bridge.store.pauses import Pause

from .world import World, world

JANE, STANDS, OTHER = "+14155550102", "+14155550103", "+14155550104"
ONE_BY_ONE = Size(1, 1, 1)
SIZES = (ONE_BY_ONE, Size(2, 100, 3), Size())
KEY = "a-long-random-text-of-the-tests"


class _Later(World):
    """Deliveries come one after the other, so that they have an order."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.now -= 60_000

    def delivery(self, *, done: bool = True) -> int:
        self.now += 1
        return super().delivery(done=done)

    def outcome(self, event: int, delivery: int, lead: int | None, **changes: Any) -> int:
        query = text("SELECT receipt FROM delivery WHERE id = :id")
        receipt = self.connection.execute(query, {"id": delivery}).scalar()
        return super().outcome(event, delivery, lead, receipt=receipt, **changes)


@pytest.fixture
def filled(database: Database) -> Database:
    """Confirmed, opted out, standing, a copy, dead, a delivery of many outcomes, one not read."""
    with world(database) as plain:
        w = _Later(plain.connection)
        w.updated("a", OTHER)  # delivery 1
        w.opted_out("b", JANE)
        w.opted_out("c", STANDS, State.STANDING)
        _without_lead(w, "d", State.DEAD, message="no number")
        many = w.delivery()  # 5
        lead = w.lead(OTHER)
        for number in range(7):
            event = w.event(many, f"many{number}", number)
            outcome = w.outcome(event, many, lead, phone=OTHER, key=f"many{number}")
            w.decide(outcome, State.UPDATED)
        w.release(lead)
        copy = _without_lead(w, "e", State.DUPLICATE)  # 6
        digest = load(w.connection)
        clues.add(w.connection, [Clue(clues.of_phone(digest, JANE), event_id=copy)])
        clues.add(w.connection, [Clue(clues.of_email(digest, "jane@example.com"), JANE)])
        w.delivery(done=False)  # 7
        attempts.add(
            w.connection,
            [Attempt(2, 1, w.now, tries, State.WAITING, f"try {tries}") for tries in range(1, 4)],
        )
    return database


def _without_lead(w: World, key: str, state: State, **more: Any) -> int:
    delivery = w.delivery()
    event = w.event(delivery, key)
    values = {"campaign": "", "phone": "", "state": state, "decided_at": w.now, **more}
    w.outcome(event, delivery, None, key=key, **values)
    return event


def period(**changes: Any) -> Period:
    now = now_ms()
    return Period(**{"since": now - 3_600_000, "until": now + 1000, **changes})


def exported(database: Database, subject: Any, size: Size = ONE_BY_ONE, **changes: Any) -> bytes:
    job = Job(subject, **{"form": Form.JSONL, "seal": Seal(), "actor": "Ada", **changes})
    with database.write() as connection:
        make.begin(connection, job)
    return b"".join(make.whole(database, job, Tip(), size=size, told=lambda *_: None))


def records(file: bytes) -> list[dict[str, Any]]:
    verify(io.BytesIO(file), (KEY,))
    return [json.loads(line) for line in file.splitlines()]


def of_kind(file: bytes, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(file) if record["kind"] == kind]


def person(database: Database, sought: str) -> Any:
    with database.read() as connection:
        found = whole_found(connection, sought, lambda one: (one,) if "+" in one else ())
        return make.person(connection, found, None)


def ids(database: Database, table: str) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(text(f"SELECT id FROM {table} ORDER BY id")))


@pytest.mark.parametrize("size", SIZES)
def test_a_period_tells_every_row_once_whatever_the_size_of_its_parts(
    filled: Database, size: Size
) -> None:
    file = exported(filled, period(), size)
    assert [row["event"] for row in of_kind(file, "event")] == ids(filled, "event")
    assert sorted(row["outcome"] for row in of_kind(file, "outcome")) == ids(filled, "outcome")
    deliveries = of_kind(file, "delivery")
    assert len({row["receipt"] for row in deliveries}) == len(deliveries) == 7
    assert [row["state"] for row in deliveries].count("stored") == 1
    order = [(row["kind"], row.get("receipt")) for row in records(file)]
    for kind, receipt in order:
        if kind in ("event", "outcome"):
            assert order.index(("delivery", receipt)) < order.index((kind, receipt))


def test_the_size_of_parts_makes_no_difference_to_the_lines(filled: Database) -> None:
    def told(size: Size) -> list[str]:
        file = exported(filled, wanted, size)
        beside = ("export", "action", "end")
        left = [row for row in records(file) if row["kind"] not in beside]
        return sorted(json.dumps({**row, "line": 0, "hash": 0}, sort_keys=True) for row in left)

    wanted = period()
    assert told(SIZES[0]) == told(SIZES[1]) == told(SIZES[2])


def test_an_outcome_has_all_that_proves_it(filled: Database) -> None:
    file = exported(filled, period())
    [mine] = [row for row in of_kind(file, "outcome") if row["phone"] == JANE]
    assert mine["opts_out"]
    assert mine["update"]["do_not_call"] is True
    assert (mine["state"], mine["mapping"], mine["campaign"]) == ("updated", "v1", "main")
    assert [call["message"] for call in mine["calls"]] == ["try 1", "try 2", "try 3", "m"]
    assert mine["calls"][-1]["status"] == 200
    assert mine["lead_now"] == {"opted_out": True, "lane": "idle", "due_at": None}
    [stands] = [row for row in of_kind(file, "outcome") if row["state"] == "standing"]
    assert stands["lead_now"]["lane"] == "standing"
    assert stands["lead_now"]["due_at"]
    first = of_kind(file, "delivery")[0]
    assert first["body_base64"] == "eyJyYXciOiAiAP8gYnl0ZXMifQ=="  # it is no UTF-8
    assert first["verified_by"] == "hubspot_v3"
    bare = of_kind(exported(filled, period(), bodies=False), "delivery")[0]
    assert (bare["body"], bare["body_base64"]) == (None, None)
    assert bare["body_sha256"] == first["body_sha256"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sought", [JANE, "jane@example.com"])
def test_a_lead_tells_its_own_rows_and_nobody_else_s(
    filled: Database, size: Size, sought: str
) -> None:
    file = exported(filled, person(filled, sought), size)
    assert [row["phone"] for row in of_kind(file, "outcome")] == [JANE, ""]
    assert [row["state"] for row in of_kind(file, "outcome")] == ["updated", "duplicate"]
    assert [row["event"] for row in of_kind(file, "event")] == [2, 11 + 1]
    assert len(of_kind(file, "delivery")) == 2
    [lead] = of_kind(file, "lead")
    assert (lead["phone"], lead["verdict"]) == (JANE, "confirmed")
    assert OTHER not in file.decode()


def test_a_lead_of_more_outcomes_than_a_part_holds_is_told_whole(filled: Database) -> None:
    for size in SIZES:
        file = exported(filled, person(filled, OTHER), size)
        assert Counter(row["kind"] for row in records(file))["outcome"] == 8


def test_of_an_erased_person_the_proof_is_found_by_the_number(filled: Database) -> None:
    erase_now(filled, Wanted("", phones=(OTHER,)))
    wanted = person(filled, OTHER)
    assert wanted is not None
    file = exported(filled, wanted)
    rows = of_kind(file, "outcome")
    assert len(rows) == 8
    assert all(row["phone"].startswith("#") and row["erased_at"] for row in rows)
    deliveries = of_kind(file, "delivery")
    assert {row["receipt"] for row in deliveries} == {row["receipt"] for row in rows}
    for row in deliveries:
        assert (row["body"], row["body_sha256"], row["bytes"]) == (None, None, None)
        assert len(row["body_keyed_hash"]) == 64


def test_of_whom_nothing_is_known_there_is_no_file(filled: Database) -> None:
    for sought in ("+14155550999", "nobody@example.com", "4711", ""):
        assert person(filled, sought) is None


def test_who_paused_and_replayed_is_told(filled: Database) -> None:
    now = now_ms()
    with world(filled) as w:
        pauses.pause(w.connection, "main", Pause(now, "Ada", "holidays", False))
        for action, subject in (
            ("campaign.pause", "main"),
            ("campaign.pause", "another"),
            ("replay.run", "replay 1"),
        ):
            operator_actions.note(
                w.connection, actor="Ada", action=action, subject=subject, details={}, now=now
            )
        number = replays.create(
            w.connection, selection={}, scan={}, mapping="current", marks=False, rate=1, now=now
        )
        lead = w.lead(JANE, Lane.OPT_OUT)
        again = w.outcome(2, 2, lead, phone=JANE, key="b", replay_id=number)
        w.decide(again, State.SUPERSEDED)
    mine = exported(filled, person(filled, JANE))
    assert [row["subject"] for row in of_kind(mine, "action")] == ["main", "replay 1"]
    assert [row["replay"] for row in of_kind(mine, "replay")] == [1]
    assert [row["replay"] for row in of_kind(mine, "outcome")] == [None, 1, None]
    whole = exported(filled, period(until=now_ms() + 60_000))
    subjects = [row["subject"] for row in of_kind(whole, "action")]
    assert subjects[:3] == ["main", "another", "replay 1"]
    assert [row["action"] for row in of_kind(whole, "action")][3:] == [
        "export.begin",
        "export.end",
        "export.begin",
    ]


def test_a_period_of_one_source_or_campaign_keeps_to_it(filled: Database) -> None:
    nothing = exported(filled, period(source="another"))
    assert of_kind(nothing, "delivery") == []
    assert len(of_kind(exported(filled, period(source="hubspot")), "delivery")) == 7
    other = exported(filled, period(campaign="another"))
    # what led to no lead update may have been about any campaign
    assert [row["state"] for row in of_kind(other, "outcome")] == ["dead", "duplicate"]
    assert len(of_kind(other, "delivery")) == 2
    earlier = exported(filled, period(until=now_ms() - 600_000))
    assert of_kind(earlier, "delivery") == []


def test_who_exports_is_noted_without_naming_the_person(filled: Database) -> None:
    file = exported(filled, person(filled, JANE), seal=Seal.by(KEY))
    [header] = of_kind(file, "export")
    with filled.read() as connection:
        lines = operator_actions.listing(connection, subject=f"export {header['export']}")
    assert [line["action"] for line in lines] == ["export.end", "export.begin"]
    last = records(file)[-1]
    assert lines[0]["details"] == {"lines": last["line"], "hash": last["hash"]}
    assert lines[1]["details"] == {
        "of": "lead",
        "leads": [2],
        "events": 1,
        "as": "jsonl",
        "bodies": True,
    }
    assert JANE not in json.dumps(lines)


def _broken(torn: bytes) -> resume.Broken:
    return resume.look(io.BytesIO(torn), (KEY,))


def _rest(database: Database, broken: resume.Broken) -> bytes:
    job = Job(broken.period, broken.form, broken.seal, "Bea", True, broken.header["export"])
    pieces = make.rest(
        database, job, broken.tip, seen=broken.seen, size=Size(), told=lambda *_: None
    )
    return b"".join(pieces)


@pytest.mark.parametrize("form", Form)
def test_an_export_that_broke_off_anywhere_goes_on_to_the_same_lines(
    filled: Database, form: Form
) -> None:
    file = exported(filled, period(), Size(), form=form, seal=Seal.by(KEY))
    lines = file.splitlines(keepends=True)
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    begun = 1 + (form is Form.CSV)
    body = ends[begun - 1 :]
    last = file.rindex(b"action")
    begins = verify(io.BytesIO(file), (KEY,)).header["export"]
    gone_on_with: list[resume.Broken] = []
    for at in (*body[:-1], *(end - 7 for end in body[1:]), *range(body[4], body[5], 40)):
        broken = _broken(file[:at])
        if broken in gone_on_with:  # it is all that is known of a torn file
            continue
        gone_on_with.append(_broken(file[:at]))  # the other one goes along with what is told
        again = file[: broken.at] + _rest(filled, broken)
        found = verify(io.BytesIO(again), (KEY,))
        assert found.header["export"] == begins
        # the actions that follow are more by now
        cut = file[:last].rfind(b"\n") + 1
        assert again[:cut] == file[:cut], at
    assert len({broken.at for broken in gone_on_with}) == 7, "before each delivery"


def test_only_what_broke_off_is_gone_on_with(filled: Database) -> None:
    file = exported(filled, period())
    lead = exported(filled, person(filled, JANE))

    def said(text: bytes) -> str:
        with pytest.raises(ExportError) as caught:
            resume.look(io.BytesIO(text), ())
        return str(caught.value)

    assert "nothing to go on with" in said(file)
    assert "export the lead anew" in said(lead[: len(lead) // 2])
    assert "delete it" in said(b"")
    assert "delete it" in said(file[:20])
    changed = file.replace(b'"kind":"delivery"', b'"kind":"delivory"', 1)
    assert "Only a file that broke off" in said(changed[:-30])


def reading(database: Database) -> bool:
    """Whether a transaction of somebody else is open."""
    if database.path is not None:
        with closing(sqlite3.connect(database.path, timeout=0)) as other:
            (version,) = other.execute("PRAGMA user_version").fetchone()
            other.execute(f"PRAGMA user_version = {version + 1}")
            # SQLite's log cannot be emptied while somebody reads what was there before
            return bool(other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    with database.engine.connect() as connection:
        idle = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        return bool(connection.execute(idle).scalar())


def test_an_open_transaction_is_seen(filled: Database) -> None:
    assert not reading(filled)
    with filled.read() as connection:
        connection.execute(text("SELECT count(*) FROM outcome")).scalar()
        assert reading(filled)
    assert not reading(filled)


def test_reading_holds_no_transaction_open_between_parts(filled: Database) -> None:
    job = Job(period(), Form.JSONL, Seal(), "Ada")

    def pieces() -> Iterator[bytes]:
        yield from make.whole(filled, job, Tip(), size=ONE_BY_ONE, told=lambda *_: None)

    for _ in pieces():
        assert not reading(filled)


def test_progress_is_told(filled: Database) -> None:
    told: list[tuple[float, int]] = []
    job = Job(period(), Form.JSONL, Seal(), "Ada")
    for _ in make.whole(filled, job, Tip(), size=ONE_BY_ONE, told=lambda *s: told.append(s)):
        pass
    assert [count for _, count in told] == [1, 2, 3, 4, 5, 6, 7]
    assert all(0 < share <= 1 for share, _ in told)
    assert Seen().deliveries == 0


def test_a_text_is_understood_as_on_the_console(filled: Database) -> None:
    assert person(filled, JANE).found == Found(By.PHONE, JANE, (JANE,), (12,))
    assert person(filled, "Jane@Example.com").found.by is By.EMAIL


@pytest.mark.parametrize("engine", ["postgresql"])  # on SQLite there is one machine
def test_a_period_is_settled_by_the_clock_that_receipts_are_made_by(
    filled: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = tmp_path / "all.jsonl", time.time_ns
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000)
    wanted = ["period", "--since", "2026-01-01", "--output", str(file)]
    done = CliRunner().invoke(command, wanted)
    monkeypatch.undo()
    assert done.exit_code == 0, done.output
    with filled.read() as connection:
        now = clock_ms(connection)
    until = verify(io.BytesIO(file.read_bytes()), ()).header["subject"]["until_ms"]
    assert until <= now - SETTLE_MS
