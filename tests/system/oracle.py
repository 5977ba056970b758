"""What must have become of a story, worked out from the rules and not by the bridge's code.

The rules are those of the documents: event time decides; at equal times a set opt-out beats a
cleared one, otherwise the greater event key wins; each event ends once per campaign and lead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge_process import Bridge
from sandbox_client import Call, Lead, Sandbox

from bridge.operate.audit import Audit

from .marks import Marks, Rank
from .story import CAMPAIGNS, Story, Told

PERIOD_MS = 1826 * 86_400_000
"""How long opt-outs are asserted by default."""

FINAL = {
    "updated",
    "not_found",
    "superseded",
    "duplicate",
    "skipped",
    "unconfirmed",
    "dead",
    "standing",
}
UNTOUCHED = (400, 401, 404, 413, 429)
"""Answers after which everybody knows that the API did nothing; a mark may be sent again."""


class Oracle:
    """Compares a bridge and a sandbox with the story they were told."""

    def __init__(self, story: Story, bridge: Bridge, receipts: Sequence[str]) -> None:
        self.story = story
        self.bridge = bridge
        self.rows = bridge.final_outcomes()
        self.at_place = {
            (receipt, ordinal): told
            for receipt, delivery in zip(receipts, story.deliveries, strict=True)
            for ordinal, told in enumerate(delivery)
        }
        self.keys = {
            self.at_place[row["receipt"], row["ordinal"]].id: row["key"]
            for row in self.rows
            if (row["receipt"], row["ordinal"]) in self.at_place
        }
        self.of_lead: dict[tuple[str, str], list[Told]] = defaultdict(list)
        for told in {one.id: one for one in story.told}.values():
            if told.fields:
                for campaign in told.campaigns:
                    self.of_lead[campaign, told.phone].append(told)

    # ------------------------------------------------------------------ accounts

    def check_accounts(self, *, sent_again: bool = False) -> None:
        """Every event that was received ends in exactly one outcome per campaign and lead.

        ``sent_again``: deliveries may have come twice, since the first answer was lost.
        """
        self.check_audit()
        places: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            assert row["state"] in FINAL, row
            places[row["receipt"], row["ordinal"]].append(row)
        if sent_again:
            assert set(places) >= set(self.at_place)
        else:
            assert set(places) == set(self.at_place)
        firsts: Counter[str] = Counter()
        for place, told in self.at_place.items():
            rows = places[place]
            if [row["state"] for row in rows] == ["duplicate"]:
                continue
            firsts[told.id] += 1
            if told.end:
                assert [row["state"] for row in rows] == [told.end], (told, rows)
                assert rows[0]["message"], told
                continue
            ends = Counter((row["campaign"], row["phone"]) for row in rows)
            assert ends == Counter((name, told.phone) for name in told.campaigns), told
            assert not {row["state"] for row in rows} & {"dead", "duplicate"}, rows
        if not sent_again:
            with_identity = {one.id for one in self.story.told if isinstance(one.body, dict)}
            assert {name: firsts[name] for name in with_identity} == dict.fromkeys(with_identity, 1)

    def check_audit(self) -> None:
        """The audit, which looks at all that the oracle cannot see, finds no broken promise."""
        for full in (False, True):
            report = Audit(self.bridge.database, standing_period=PERIOD_MS, full=full).run()
            assert report.clean, sorted(report.breaches.values())

    # ------------------------------------------------------------------ final state

    def rank(self, told: Told, field: str) -> Rank:
        """What decides between two events that set the same field."""
        opts_out = field == "do_not_call" and told.fields[field] is True
        return (told.at, opts_out, self.keys[told.id])

    def wanted(self, campaign: str, phone: str) -> dict[str, Any]:
        """The newest value of every field that any event has set; custom fields by full name."""
        best: dict[str, Told] = {}
        for told in self.of_lead[campaign, phone]:
            for name in told.fields:
                if name not in best or self.rank(told, name) > self.rank(best[name], name):
                    best[name] = told
        return {
            name: told.fields[name] for name, told in best.items() if name != "mark_as_unanswered"
        }

    def check_final_state(self, sandbox: Sandbox) -> None:
        """Every lead that a campaign has stands there as the newest events want it."""
        for name, campaign in CAMPAIGNS.items():
            leads = sandbox.leads(campaign)
            for phone in self.story.phones:
                if (name, phone) in self.story.known:
                    wanted = {"do_not_call": False, **self.wanted(name, phone)}
                    found = _fields(leads[phone])
                    assert found == wanted, f"{name} {phone}: {found} is not {wanted}"

    def check_unknown_leads(self) -> None:
        """Of leads that a campaign lacks, the newest opt-out stands and nothing is updated."""
        by_lead: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            by_lead[row["campaign"], row["phone"]].append(row)
        for (name, phone), rows in by_lead.items():
            if not name or (name, phone) in self.story.known:
                continue
            allowed = {"not_found", "superseded", "standing", "skipped", "unconfirmed"}
            assert {row["state"] for row in rows} <= allowed, rows
            standing = [row for row in rows if row["state"] == "standing"]
            assert all(row["opts_out"] for row in standing)
            if self.wanted(name, phone).get("do_not_call"):
                assert len(standing) >= 1, (name, phone)
            else:
                assert not standing, (name, phone)

    def check_winners(self) -> None:
        """An event that has won a field of a known lead is confirmed, or says why not."""
        for row in self.rows:
            if row["state"] in {"not_found", "standing"}:
                assert (row["campaign"], row["phone"]) not in self.story.known, row
            if row["state"] in {"unconfirmed", "skipped"} and row["campaign"]:
                assert row["fields"].get("mark_as_unanswered"), row

    # ------------------------------------------------------------------ calls

    def check_calls(self, calls: Sequence[Call]) -> None:
        """The order of what was sent: never back in time, never a call for who opted out."""
        names = {campaign: name for name, campaign in CAMPAIGNS.items()}
        opted_out: set[tuple[str, str]] = set()
        reached: dict[tuple[str, str, str], Rank] = {}
        marks = self.marks()
        for call in calls:
            assert call.campaign is not None
            name = names[call.campaign]
            for element in call.elements:
                phone = element["phone_number"]
                for field, value in _flat(element).items():
                    place = (name, phone, field)
                    reached[place] = self._step(place, value, reached.get(place))
                if not element.get("mark_as_unanswered"):
                    if call.applied:
                        _note_consent(opted_out, (name, phone), element)
                    continue
                stands = (name, phone) in opted_out and element.get("do_not_call") is not False
                assert not stands, f"call {call.seq} puts {phone} back into the queue"
                assert element.get("do_not_call") is not True
                if call.applied:
                    _note_consent(opted_out, (name, phone), element)
                if call.status not in UNTOUCHED:
                    marks.sent((name, phone), element.get("custom_fields", {}).get("again_id"))

    def marks(self) -> Marks:
        """Who asked to be called again, and of whom the bridge left it out.

        That is for a contact of which an event that names it opts out, and for nobody else.
        """
        without = {
            (row["campaign"], row["key"])
            for row in self.rows
            if "mark_as_unanswered" not in row["fields"]
        }
        told = self.story.told
        out = {one.phone for one in told if one.contact and one.fields.get("do_not_call")}
        marks = Marks()
        for lead, asked in self.of_lead.items():
            for one in asked:
                if one.again:
                    withheld = (lead[0], self.keys[one.id]) in without
                    may = one.contact and one.phone in out
                    assert may or not withheld, f"{lead}: the mark of {one.id} was left out"
                    rank = self.rank(one, "mark_as_unanswered")
                    marks.asked(lead, one.id, rank, withheld=withheld)
        return marks

    def _step(self, place: tuple[str, str, str], value: Any, before: Rank | None) -> Rank:
        """The least rank, not below the one before, of an event that wants this value."""
        name, phone, field = place
        ranks = [
            self.rank(told, field)
            for told in self.of_lead[name, phone]
            if field in told.fields and told.fields[field] == value
        ]
        later = [rank for rank in ranks if before is None or rank >= before]
        assert ranks, f"{place}: {value!r} was never asked for"
        assert later, f"{place}: {value!r} was sent after something newer"
        return min(later)


def check_never_two_at_once(calls: Iterable[Call]) -> None:
    """No lead was in two calls of one campaign at the same time."""
    busy_until: dict[tuple[str | None, str], tuple[int, int]] = {}
    for call in sorted(calls, key=lambda one: (one.started_ms, one.seq)):
        assert call.finished_ms is not None
        for element in call.elements:
            lead = (call.campaign, element["phone_number"])
            until, seq = busy_until.get(lead, (0, 0))
            assert call.started_ms >= until, f"calls {seq} and {call.seq} overlap for {lead}"
            busy_until[lead] = (call.finished_ms, call.seq)


def _note_consent(
    opted_out: set[tuple[str, str]], lead: tuple[str, str], element: Mapping[str, Any]
) -> None:
    if element.get("do_not_call") is True:
        opted_out.add(lead)
    elif element.get("do_not_call") is False:
        opted_out.discard(lead)


def _flat(element: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in element.items() if k not in ("phone_number", "custom_fields")}
    return plain | {f"custom_fields.{k}": v for k, v in element.get("custom_fields", {}).items()}


def _fields(lead: Lead) -> dict[str, Any]:
    plain = {"first_name": lead.first_name, "last_name": lead.last_name, "email": lead.email}
    found = {name: value for name, value in plain.items() if value is not None}
    return {"do_not_call": lead.do_not_call, **found} | {
        f"custom_fields.{name}": value for name, value in lead.custom_fields.items()
    }
