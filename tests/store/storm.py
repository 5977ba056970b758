"""Consent in a storm: a worker's own steps in random order, and who must not be called at its end.

Events come late, contacts share numbers, campaigns come, go and get other ids, deliveries are
replayed, workers die between claim and result, and the campaign API answers as it likes. At the
end everything is sent once more to an API that is well, and whoever opted out last is out there.

``PYTHONPATH=tests python -m store.storm --seed 1 --runs 200`` prints every seed that fails.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sqlalchemy import text

from bridge.clock import now_ms
from bridge.forward.client import CampaignClient
from bridge.model import Answered, Campaign, Lane, Result, Sent, Trouble, Verdict
from bridge.record.decide import Policy
from bridge.record.gate import Gate, GatePolicy
from bridge.steps.claim import claim
from bridge.steps.conditions import monotonic_ms
from bridge.steps.greet import adopt_again, greet
from bridge.steps.send import Way, send
from bridge.store import arrivals, campaigns
from bridge.store.database import Connection, Database
from bridge.store.migrate import migrate
from bridge.store.schema import NEVER

from .replaying import CONSENT, HEAD, World

RULES = (
    CONSENT
    + """
  - name: again
    when: again
    lead: {phone_number: phone, mark_as_unanswered: {value: true}}
"""
)
FILE = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id") + RULES
PHONES = [f"+1415555010{number}" for number in range(6)]
LANES = (Lane.OPT_OUT, Lane.FIRST, Lane.RETRY, Lane.REPLAY, Lane.STANDING)
POLICY = Policy(3, 10_000, (1_000,), 10**12, 1_000, 1_000)

ANSWERS: dict[str, tuple[Verdict, int | None, Trouble | None, bool]] = {
    "server": (Verdict.UNKNOWN, 500, Trouble.SERVER, False),
    "server, done": (Verdict.UNKNOWN, 500, Trouble.SERVER, True),
    "lost": (Verdict.UNKNOWN, None, Trouble.TRANSPORT, False),
    "lost, done": (Verdict.UNKNOWN, None, Trouble.TRANSPORT, True),
    "garbage": (Verdict.UNKNOWN, 200, None, False),
    "garbage, done": (Verdict.UNKNOWN, 200, None, True),
    "busy": (Verdict.NOT_SENT, 429, Trouble.BUSY, False),
    "refused": (Verdict.NOT_SENT, 401, Trouble.REFUSED, False),
    "rejected": (Verdict.REJECTED, 422, None, False),
}
"""Verdict, status, trouble, and whether it was done all the same."""


class Api:
    """Leads by campaign id: phone → whether opted out."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.well = False
        self.leads: dict[str, dict[str, bool]] = {}

    def do(self, campaign_id: str, sent: Sent) -> Result:
        there = self.leads.setdefault(campaign_id, {})
        if sent.phone not in there:
            return Result(Verdict.NOT_FOUND, "not found")
        there[sent.phone] = sent.payload.get("do_not_call", there[sent.phone])
        marked = sent.payload.get("mark_as_unanswered", False)
        assert not (marked and there[sent.phone]), "who is opted out is put into the queue again"
        return Result(Verdict.CONFIRMED)

    def update_leads(
        self, campaign: Campaign, batch: Sequence[Sent], heard: Callable[[Answered], None]
    ) -> Answered:
        """One call, as the client gives it."""
        answer = self._answer(campaign, batch)
        heard(answer)
        return answer

    def _answer(self, campaign: Campaign, batch: Sequence[Sent]) -> Answered:
        name = None if self.well or self.draw.random() < 0.4 else self.draw.choice([*ANSWERS])
        if name is None:
            return Answered(tuple(self.do(campaign.id, sent) for sent in batch), 200)
        verdict, status, trouble, done = ANSWERS[name]
        for sent in batch if done else ():
            self.do(campaign.id, sent)
        return Answered(tuple(Result(verdict, name) for _ in batch), status, trouble, name)


class Storm:
    """One run. ``step`` does something at random; ``lost``: who may be called in spite of all."""

    def __init__(self, database: Database, folder: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.database = database
        self.world = World(database, folder, policy=POLICY)
        self.api = Api(self.draw)
        self.ids = {"one": "id of one"}
        self.away: set[str] = set()
        self.owed: dict[str, list[str]] = {}
        self.began = now_ms() - 3_600_000
        self.events: list[dict[str, Any]] = []
        self.way = Way(
            cast(CampaignClient, self.api),
            Gate(GatePolicy(1, 1, 1), 1e6, self.draw.random),
            lambda _lane, _deadline: True,
            lambda *_: None,
            lambda: self.go_on,
        )
        self.edit()

    @property
    def campaigns(self) -> dict[str, Campaign]:
        return dict(self.world.mappings.campaigns)

    def edit(self) -> None:
        """Put the files in place, and greet as a worker does."""
        there = tuple(name for name in self.ids if name not in self.away)
        self.world.write(FILE, there)
        # so small that one batch often follows another
        named = {n: replace(c, id=self.ids[n], batch_size=2) for n, c in self.campaigns.items()}
        self.world.mappings = replace(self.world.mappings, campaigns=named)
        with self.database.write() as connection:
            now = self.database.now_ms()
            campaigns.note_away(connection, there, now)
            came = arrivals.note(connection, there, there, now)
        for one in named.values():
            noted = arrivals.earlier(came, one.name)
            took = greet(self.database, one, named.values(), noted, lambda: False)
            self.owed |= {one.name: took} if took else {}

    def settle(self) -> None:
        """Take over once more, as a worker does after two minutes."""
        for name, sisters in list(self.owed.items()):
            one = self.campaigns.get(name)
            if one is not None and adopt_again(self.database, one, sisters, lambda: False):
                del self.owed[name]

    def event(self) -> None:
        number, contact = len(self.events) + 1, self.draw.randrange(3)
        own = PHONES[2 * contact : 2 * contact + 2]
        phone = self.draw.choice(PHONES if self.draw.random() < 0.1 else own)
        words: list[dict[str, Any]] = [{"dnc": True}, {"dnc": False}, {"name": f"n{number}"}]
        words.append({"name": f"n{number}", "again": True})
        at = self.began + 1_000 * self.draw.randrange(3_000)
        who = {"id": number, "contact": f"c{contact}", "phone": phone, "at": at}
        self.events.append({**who, **self.draw.choice(words)})
        self.world.receive(self.events[-1], received_at=self.began + 3_000_000 + number)

    def send(self, *, all_lanes: bool = False) -> None:
        if all_lanes or self.draw.random() < 0.5:
            with self.database.write() as connection:
                connection.execute(text(f"UPDATE lead SET due_at = 0 WHERE due_at < {NEVER}"))
        for one in self.campaigns.values():
            for lane in LANES:
                if all_lanes or self.draw.random() < 0.5:
                    send(self.world.worker()._equipment, one, lane, self.way)

    def go_on(self, _connection: Connection) -> Lane | None:
        """What is claimed with the record of a batch: the same or another lane, or nothing."""
        lane = self.draw.choice([*LANES, None])
        assert lane is None or not self.way.gate.try_pass(monotonic_ms())
        return lane

    def die(self) -> None:
        """A worker dies with leads in its hands; the API may have heard of them."""
        one, lane = self.draw.choice([*self.campaigns.values()]), self.draw.choice(LANES)
        claimed = claim(self.world.worker()._equipment, one, lane).claimed
        for item in claimed if self.draw.random() < 0.5 else ():
            self.api.do(one.id, item.sent)
        self.world.worker().recover(all_of_them=True)
        self.edit()

    def add_leads(self) -> None:
        for one in self.campaigns.values():
            for phone in PHONES:
                if self.draw.random() < 0.4:
                    self.api.leads.setdefault(one.id, {}).setdefault(phone, False)

    def change_campaigns(self) -> None:
        what = self.draw.randrange(4)
        here = [name for name in self.ids if name not in self.away]
        if what == 0 and len(self.ids) < 3:
            name = ("two", "three")[len(self.ids) - 1]
            self.ids[name] = f"id of {name}"
        elif what == 1:
            self.ids[self.draw.choice(here)] = f"another id {len(self.events)} {self.draw.random()}"
        elif what == 2 and len(here) > 1:
            self.away.add(self.draw.choice(here))
        elif self.away:
            self.away.remove(self.draw.choice(sorted(self.away)))
        self.edit()

    def step(self) -> None:
        """Something at random."""
        doings: dict[Callable[[], object], int] = {
            self.event: 60,
            self.world.take_in: 20,
            self.send: 20,
            self.add_leads: 5,
            self.change_campaigns: 9,
            self.settle: 3,
            self.die: 4,
        }
        (doing,) = self.draw.choices([*doings], [*doings.values()])
        doing()
        if self.events and self.draw.random() < 0.03:
            self.world.replay(source="crm", marks=self.draw.random() < 0.5)

    def finish(self) -> None:
        """Everybody is there and well, and whatever is due is sent."""
        self.away.clear()
        self.edit()
        self.world.take_in()
        self.settle()
        self.api.well = True
        for one in self.campaigns.values():
            there = self.api.leads.setdefault(one.id, {})
            for phone in PHONES:
                there.setdefault(phone, False)
        for _ in range(12):
            self.send(all_lanes=True)

    def lost(self) -> list[str]:
        """Opt-outs that are not in force, by what the outcomes say, and by what contacts said."""
        newest: dict[str, tuple[Any, ...]] = {}
        for row in self.world.outcomes():
            consent = row["fields"].get("do_not_call")
            if consent is not None:
                received = row["received_at"] or row["accepted_at"]
                when = row["event_time"] if consent else min(row["event_time"], received)
                rank = (when, consent, row["key"], row["replay_id"])
                newest[row["phone"]] = max(rank, newest.get(row["phone"], (0,)))
        out = {phone for phone, (_, consent, *_) in newest.items() if consent}
        return [
            f"{phone} may be called by {one.name}"
            for one in self.campaigns.values()
            for phone in sorted(out | self.out_by_contact())
            if not self.api.leads[one.id][phone]
        ]

    def out_by_contact(self) -> set[str]:
        """Every number of contacts whose newest word is an opt-out, if nobody who shares it said
        otherwise since."""
        numbers: dict[str, set[str]] = {}
        words: dict[str, tuple[int, bool]] = {}
        for event in self.events:
            numbers.setdefault(event["contact"], set()).add(event["phone"])
            if "dnc" in event:
                word = (event["at"], event["dnc"])
                words[event["contact"]] = max(word, words.get(event["contact"], (0, False)))
        opt_ins = [event for event in self.events if event.get("dnc") is False]
        return {
            phone
            for contact, (when, out) in words.items()
            for phone in numbers[contact]
            if out and not any(e["at"] > when and phone in numbers[e["contact"]] for e in opt_ins)
        }


def run(database: Database, folder: Path, seed: int, steps: int = 100) -> list[str]:
    """One run: what was lost, which should be nothing."""
    storm = Storm(database, folder, seed)
    for _ in range(steps):
        storm.step()
    storm.finish()
    return storm.lost()


def main() -> None:
    """Many runs over SQLite; exit code 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=100)
    wanted = parser.parse_args()
    failed = 0
    for seed in range(wanted.seed, wanted.seed + wanted.runs):
        with tempfile.TemporaryDirectory() as name:
            database = Database(f"sqlite:///{name}/bridge.db")
            migrate(database)
            folder = Path(name) / "mappings"
            folder.mkdir()
            lost = run(database, folder, seed)
            database.close()
        failed += bool(lost)
        print(json.dumps({"seed": seed, "lost": lost}), flush=True)  # noqa: T201
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
