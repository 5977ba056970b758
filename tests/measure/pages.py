"""How long every page and API call takes over many events: ``python -m measure.pages``.

    python -m measure.pages --events 300000 [--postgres | --url …] [--rounds 20] [--plans 50]

Run it from ``tests/``. It fills a database of its own (``filled.py``), starts a web process, asks
every page of the console and every route of the API, with filters, at the newest rows, in the
middle and at the end, and prints for each the median and the worst of so many rounds, in
milliseconds. ``--plans MS`` then asks each once more within this process, and prints the plan of
every statement that took longer. Ends with 1 if a median is over 200 ms (``/metrics``: 100 ms) or
an answer is not what it should be. ``--url`` names an empty database that is to be kept; with
``--filled`` one that an earlier run has filled with so many events.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from bridge_process import Bridge
from sqlalchemy import Engine
from sqlalchemy import event as sql_event
from sqlalchemy import text as sql
from store.postgres import running
from system.mapping_files import write_mappings
from werkzeug.test import Client

from bridge.app import create_app
from bridge.settings import Environment, Settings
from bridge.store.database import Connection, Database

from .filled import HOT, fill

TOKEN = "console-token-of-the-measurement"
MOST_MS, METRICS_MS = 200.0, 100.0
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``path`` below the host; ``form`` or ``json``: a post."""

    path: str
    form: dict[str, str] | None = None
    json: dict[str, Any] | None = None
    wanted: tuple[int, ...] = (200,)

    @property
    def method(self) -> str:
        return "GET" if self.form is None and self.json is None else "POST"

    @property
    def name(self) -> str:
        said = self.form or self.json
        return f"{self.method} {self.path}" + (f" {said}" if said else "")


@dataclass(slots=True)
class Marks:
    """Ids and receipts that pages are asked by, of the newest, the middle and the oldest row."""

    events: int
    receipts: list[str] = field(default_factory=list)
    refused: str = ""
    lead: int = 0
    hot: int = 0
    outcome: int = 0


def marks(connection: Connection, events: int) -> Marks:
    def one(query: str, **given: Any) -> Any:
        return connection.execute(sql(query), given).scalar()

    at = (1, events // 2, events - events // 20, events)
    receipt = "SELECT receipt FROM delivery WHERE id = :id"
    return Marks(
        events,
        [one(receipt, id=number) for number in at],
        one("SELECT max(receipt) FROM refusal"),
        one("SELECT max(id) FROM lead WHERE phone = '+14160000100'"),
        one("SELECT max(id) FROM lead WHERE phone = :phone", phone=HOT),
        one("SELECT max(id) FROM outcome WHERE state = 'standing'"),
    )


def asks(found: Marks) -> list[Ask]:
    """Every page and route, each where it is expected to be at its slowest as well."""
    places = ["", f"cursor={found.events // 2}", "cursor=30000", "cursor=60"]
    filters = [
        "",
        *(f"state={s}" for s in ("updated", "standing", "waiting", "dead", "rejected", "skipped")),
        "campaign=one",
        "campaign=gone",
        "source=crm",
        "source=unset",
        "source=gone",
        "state=updated&campaign=two&source=unset",
        "state=dead&source=gone",
        *(f"receipt={receipt}" for receipt in found.receipts),
    ]
    lists = [f"{one}&{place}".strip("&") for one in filters for place in places]
    sources = [
        "",
        "source=crm",
        "source=unset",
        "source=gone",
        "waiting={}",
        "source=gone&waiting={}",
    ]
    came = [f"{one}&{place}".strip("&") for one in sources for place in places]
    texts = ["(416) 000-0100", "+14155550000", "jane@example.com", "hot@example.com", "jane"]
    texts += ["nobody@example.com", "12345", "+14155559999"]
    gets = [
        *(f"/console/?period={period}" for period in ("hour", "day", "month")),
        *(f"/console/outcomes?{query}" for query in lists),
        "/console/opt-outs",
        *(f"/console/dead-letters?{place}" for place in places),
        f"/console/outcomes/{found.outcome}",
        *(f"/console/deliveries?{query.format(1)}" for query in came),
        *(f"/console/deliveries/{receipt}" for receipt in found.receipts),
        f"/console/deliveries/{found.receipts[0]}/body",
        *(f"/console/refusals?{query}" for query in ("", "source=crm", "source=gone", "cursor=60")),
        f"/console/refusals/{found.refused}",
        f"/console/refusals/{found.refused}/body",
        "/console/leads",
        f"/console/leads/{found.lead}",
        f"/console/leads/{found.hot}",
        f"/console/leads/{found.hot}?cursor={found.events // 2}",
        "/console/campaigns",
        "/console/campaigns?cursor=60",
        "/console/campaigns/pause?name=one",
        "/console/campaigns/resume?name=one",
        "/console/replays",
        "/console/replays?cursor=60",
        "/console/replays/1",
        "/console/replays/new",
        "/console/export",
        "/console/mappings",
        "/console/mappings/crm",
        "/api/openapi.json",
        "/api/overview",
        "/api/campaigns",
        "/api/mappings",
        *(f"/api/outcomes?{query}" for query in lists),
        f"/api/outcomes?limit=500&cursor={found.events // 2}",
        f"/api/outcomes?lead={found.lead}",
        f"/api/outcomes?lead={found.hot}&limit=500",
        f"/api/outcomes?lead={found.hot}&state=dead",
        "/api/opt-outs?limit=500",
        f"/api/outcomes/{found.outcome}",
        *(f"/api/deliveries?{query.format('true')}" for query in came),
        *(f"/api/deliveries/{receipt}" for receipt in found.receipts),
        "/api/refusals",
        f"/api/refusals/{found.refused}",
        f"/api/leads/{found.lead}",
        f"/api/leads/{found.hot}",
        f"/api/leads/{found.hot}?cursor={found.events // 2}",
        "/api/replays",
        "/api/replays?cursor=60",
        "/api/replays/1",
        "/livez",
        "/metrics",
    ]
    trial = {"source": "crm", "payload": '[{"phone": "+14155550123", "dnc": true}]'}
    return [
        *(Ask(path) for path in gets),
        *(Ask(path, wanted=(200, 503)) for path in ("/readyz", "/healthz")),
        *(Ask("/console/leads", form={"q": one}, wanted=(200, 303)) for one in texts),
        *(Ask("/api/leads/search", json={"text": one}) for one in texts),
        Ask("/api/mappings/try", json=trial),
        Ask("/api/mappings/try", json={"source": "crm", "receipt": found.receipts[0]}),
        Ask("/api/replays/plan", json={"receipt": found.receipts[0]}),
    ]


def unasked(document: dict[str, Any], asked: Sequence[Ask]) -> list[str]:
    """Routes of the API that read and that nothing asks for."""
    paths = {(ask.method.lower(), ask.path.partition("?")[0]) for ask in asked}
    left = []
    for path, operations in document["paths"].items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        left += [
            f"{method} {path}"
            for method in operations
            if not any(one == method and pattern.fullmatch(at) for one, at in paths)
        ]
    return left


# --------------------------------------------------------------------------- asking


def sign_in(send: Callable[..., Any]) -> dict[str, str]:
    """The cookie of a session, as a header."""
    entered = send("POST", "/console/sign-in", data={"token": TOKEN, "who": "Ada"})
    return {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}


def time_pages(bridge: Bridge, asked: Sequence[Ask], rounds: int) -> bool:
    """Ask all of them; whether all were quick and right."""
    right = True
    with httpx.Client(base_url=bridge.url, trust_env=False, timeout=120) as client:
        cookie = sign_in(client.request)
        page = client.get("/console/leads", headers=cookie).text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf is not None
        document = client.get("/api/openapi.json", headers=AUTHORIZED).json()
        print("not asked:", ", ".join(unasked(document, asked)), flush=True)
        print(f"{'median':>8} {'worst':>8}  ms", flush=True)
        rows = []
        for ask in asked:
            headers = cookie if ask.path.startswith("/console") else AUTHORIZED
            data = None if ask.form is None else {**ask.form, "csrf": csrf[1]}
            took = []
            for _ in range(rounds):
                started = time.perf_counter()
                found = client.request(
                    ask.method, ask.path, headers=headers, data=data, json=ask.json
                )
                took.append((time.perf_counter() - started) * 1000)
            median = statistics.median(took)
            bound = METRICS_MS if ask.path == "/metrics" else MOST_MS
            said = ""
            if found.status_code not in ask.wanted:
                said = f"  !!! {found.status_code}"
            elif median > bound:
                said = f"  !!! over {bound:g} ms"
            right = right and not said
            rows.append((median, max(took), ask.name, said))
        for median, worst, name, said in sorted(rows, reverse=True):
            print(f"{median:8.1f} {worst:8.1f}  {name}{said}")
    return right


# --------------------------------------------------------------------------- plans


def show_plans(bridge: Bridge, asked: Sequence[Ask], slow_ms: float) -> None:
    """Ask within this process, and print the plan of each statement that takes long."""
    shown: set[str] = set()
    slow: list[tuple[float, str, Any]] = []

    def before(connection: Connection, *_: Any) -> None:
        connection.info["begun"] = time.perf_counter()

    def after(connection: Connection, _c: Any, statement: str, given: Any, *_: Any) -> None:
        took = (time.perf_counter() - connection.info["begun"]) * 1000
        if took > slow_ms and statement not in shown and statement.startswith(("SELECT", "WITH")):
            slow.append((took, statement, given))

    sql_event.listen(Engine, "before_cursor_execute", before)
    sql_event.listen(Engine, "after_cursor_execute", after)
    client = Client(create_app(Settings(Environment(bridge.env))))

    def send(method: str, path: str, **given: Any) -> Any:
        return client.open(path, method=method, **given)

    cookie = sign_in(send)
    for ask in asked:
        headers = cookie if ask.path.startswith("/console") else AUTHORIZED
        if ask.form is None:
            send(ask.method, ask.path, headers=headers, json=ask.json)
        for took, statement, given in slow:
            shown.add(statement)
            print(f"\n{took:.0f} ms in {ask.name}\n{statement}\n{given}")
            with bridge.database.engine.connect() as connection:
                explained = "EXPLAIN QUERY PLAN" if bridge.database.is_sqlite else "EXPLAIN ANALYZE"
                for row in connection.exec_driver_sql(f"{explained} {statement}", given):
                    print("   ", row[-1])
        slow.clear()
    sql_event.remove(Engine, "before_cursor_execute", before)
    sql_event.remove(Engine, "after_cursor_execute", after)


@contextmanager
def bridge_over(folder: Path, url: str | None, *, postgres: bool) -> Iterator[Bridge]:
    with ExitStack() as stack:
        if postgres:
            server = stack.enter_context(running())
            url = server.url(server.create())
        yield stack.enter_context(
            Bridge(
                folder,
                mappings=write_mappings(folder / "mappings", {"one": "camp_1", "two": "camp_2"}),
                api_url="http://127.0.0.1:1",
                api_token="none",
                settings={"BRIDGE_CONSOLE_TOKEN": TOKEN},
                database_url=url,
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--filled", action="store_true")
    parser.add_argument("--plans", type=float, metavar="MS")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        bridge_over(Path(folder), options.url, postgres=options.postgres) as bridge,
    ):
        # filling takes its time, and a statement of it more than a page's may
        database = Database(bridge.env["DATABASE_URL"], statement_timeout_s=3600)
        started = time.monotonic()
        if not options.filled:
            fill(database, options.events)
            took = time.monotonic() - started
            print(f"{options.events:,} events made in {took:.0f} s", flush=True)
        with database.read() as connection:
            asked = asks(marks(connection, options.events))
        database.close()
        bridge.start_web()
        right = time_pages(bridge, asked, options.rounds)
        if options.plans is not None:
            show_plans(bridge, asked, options.plans)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
