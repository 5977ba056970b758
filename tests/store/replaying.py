"""A worker's steps over a database, without processes: take in, and replay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bridge.clock import now_ms
from bridge.map import MappingSet, load_kept, load_mappings
from bridge.model import KeptMapping, Secret
from bridge.pipeline import Pipeline
from bridge.record.decide import Policy
from bridge.settings import Environment
from bridge.steps import replay_control as control
from bridge.steps.equipment import Bounds, Equipment
from bridge.steps.replay import Tools
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_lookups import Desk
from bridge.steps.replay_plan import Plan, Planner, Wish
from bridge.steps.replay_select import CURRENT, Selection
from bridge.steps.scout import Scout
from bridge.steps.versions import KeptMappings
from bridge.store import deliveries, outcomes, replays
from bridge.store.database import Database

from .rows import a_delivery

ENVIRONMENT = Environment(
    {
        "CRM_TOKEN": "crm-token",
        "CRM_URL": "http://127.0.0.1:9",
        "BRIDGE_API_TOKEN": "api-token",
    }
)
BOUNDS = Bounds(
    batch=500,
    events=100,
    depth=20,
    lease=30_000,
    lookup_give_up=1_000,
    lookup_settle=0,
    backoff_first=0,
    backoff_most=0,
)
POLICY = Policy(3, 10_000, (1_000,), 10_000, 1_000, 1_000)
HEAD = """
source: crm
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  event_id: [id]
  event_time: {from: at, format: unix_ms}
"""
LOOK_UP = """
enrich:
  contact:
    url: "${CRM_URL}/contacts"
    token: "${CRM_TOKEN}"
    when: contact
    ids: contact
    body: {inputs: "@ids"}
    results: results
    result_id: id
    result_value: properties
"""
RULES = """
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
  - name: again
    when: again
    lead: {phone_number: phone, mark_as_unanswered: {value: true}}
"""
CONSENT = """
rules:
  - name: consent
    when: "dnc != `null`"
    allow_opt_in: true
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {from: dnc, to: boolean}}
  - name: remembered
    when: _known.opted_out
    yields_to_opt_in: true
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
"""
CAMPAIGNS = ("one", "two")


class World:
    """One database and the mapping files of a folder."""

    bounds = BOUNDS
    environment = ENVIRONMENT
    scout: Callable[[], Scout] = Scout
    tuning: ClassVar[Mapping[str, int]] = {}

    def __init__(self, database: Database, folder: Path, policy: Policy = POLICY) -> None:
        self.database = database
        self.policy = policy
        self.folder = folder
        self.mappings: MappingSet
        self.pipelines: dict[str, Pipeline] = {}
        self.tools = Tools(Choice(self.compile), Desk(lambda _seconds: True), 1000)
        self.write(HEAD + RULES)

    def write(self, crm: str | None, campaigns: tuple[str, ...] = CAMPAIGNS) -> None:
        """Put mapping files in place; ``crm`` None: there is no such source."""
        document = {
            "campaigns": {name: {"id": f"camp_{name}"} for name in campaigns},
            "defaults": dict(self.tuning),
        }
        (self.folder / "campaigns.yaml").write_text(json.dumps(document))
        (self.folder / "crm.yaml").unlink(missing_ok=True)
        other = (HEAD + RULES).replace("source: crm", "source: other")
        (self.folder / "other.yaml").write_text(other)
        if crm is not None:
            (self.folder / "crm.yaml").write_text(crm)
        self.mappings = load_mappings(
            self.folder,
            self.environment,
            api_url="http://127.0.0.1:9",
            api_token=Secret("T", ("api-token",)),
            default_region="US",
        )

    def compile(self, kept: KeptMapping) -> Any:
        return load_kept(kept, self.environment)

    def worker(self, name: str = "w1") -> Pipeline:
        """The pipeline of a worker."""
        if name not in self.pipelines:
            self.pipelines[name] = Pipeline(
                Equipment(
                    self.database,
                    KeptMappings(self.database, lambda: self.mappings),
                    policy=self.policy,
                    bounds=self.bounds,
                    owner=name,
                    ring=lambda _names: None,
                    scout=self.scout(),
                )
            )
        return self.pipelines[name]

    def receive(self, payload: Any, *, source: str = "crm", received_at: int | None = None) -> str:
        """Store a delivery; returns its receipt."""
        return self.receive_all([payload], source=source, received_at=received_at)[0]

    def receive_all(
        self, payloads: Sequence[Any], *, source: str = "crm", received_at: int | None = None
    ) -> list[str]:
        """Store deliveries in their order, as a group that shares a commit."""
        rows = []
        for payload in payloads:
            at = now_ms() if received_at is None else received_at
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            row = a_delivery(source=source, received_at=at, body=body)
            rows.append(replace(row, receipt=f"{at:012x}{row.receipt[:20]}"))
        if rows:
            with self.database.write() as connection:
                deliveries.add(connection, rows)
        return [row.receipt for row in rows]

    def take_in(self, *payloads: Any) -> list[str]:
        """Store deliveries and take them in."""
        receipts = self.receive_all(payloads)
        while self.worker().take_in():
            pass
        return receipts

    def make(self, *, mapping: str = CURRENT, marks: bool = False, **selected: Any) -> int:
        """Make a replay."""
        number = control.create(
            self.database, Selection(**selected), Wish(mapping, marks), 1000, actor="Ada"
        )
        assert control.prepare(self.database, number)
        return number

    def replay(self, **wanted: Any) -> int:
        """Make a replay and do all its steps."""
        number = self.make(**wanted)
        self.work(number)
        return number

    def work(self, number: int, worker: str = "w1") -> None:
        """Do the steps of a replay until it is done."""
        while control.report_of(self.database, number).replay.state is replays.ReplayState.RUNNING:
            self.worker(worker).replay(self.tools)

    def plan(self, *, mapping: str = CURRENT, marks: bool = False, **selected: Any) -> Plan:
        """The plan of a replay."""
        planner = Planner(self.database, self.mappings, Choice(self.compile), BOUNDS)
        return planner.plan(Selection(**selected), Wish(mapping, marks))

    def outcomes(self, **like: Any) -> list[dict[str, Any]]:
        """Outcomes that match, the oldest first."""
        with self.database.read() as connection:
            return outcomes.listing(connection, limit=10_000, **like)[::-1]

    def brief(self, receipt: str, replay_id: int = 0) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Outcomes of a delivery and replay: campaign, state, fields."""
        return [
            (row["campaign"], row["state"], row["fields"])
            for row in self.outcomes(receipt=receipt)
            if row["replay_id"] == replay_id
        ]
