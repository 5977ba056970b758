"""Start the sandbox as a process of its own, set it up and look into it.

    with Sandbox(tmp_path, campaigns=["camp_1"]) as sandbox:
        sandbox.put_leads("camp_1", [{"phone_number": "+14155550123", "answered": True}])
        sandbox.behave({"mode": "429", "retry_after": 1}, campaign="camp_1")
        ...  # whatever calls sandbox.url with sandbox.token
        assert sandbox.leads("camp_1")["+14155550123"].do_not_call

State is in ``sandbox.database`` and outlives the process: after ``kill()``, ``start()`` serves the
same leads on the same port.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
from nursery import Child, Nursery

NURSERY = Nursery("bridge.sandbox.serve")

TOKEN = "sandbox-token"
HUBSPOT_TOKEN = "sandbox-hubspot-token"

START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A lead as the sandbox has it. ``changed_by``: ``seq`` of a call; None: set by the test."""

    campaign: str
    phone_number: str
    first_name: str | None
    last_name: str | None
    email: str | None
    do_not_call: bool
    custom_fields: dict[str, Any]
    answered: bool
    requeued: int
    changed_ms: int
    changed_by: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as the sandbox saw it; ``seq`` gives the order in which calls took effect.

    Times are milliseconds since 1970-01-01 UTC. ``finished_ms`` None: not answered yet, or the
    sandbox was killed before. ``status`` None: the connection was closed without an answer.
    """

    seq: int
    endpoint: str
    campaign: str | None
    started_ms: int
    finished_ms: int | None
    status: int | None
    applied: bool
    mode: str
    elements: Any


class Sandbox:
    """One sandbox process, its files in ``folder``."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        campaigns: Sequence[str] = (),
        token: str = TOKEN,
        hubspot_token: str = HUBSPOT_TOKEN,
    ) -> None:
        self.database = folder / "sandbox.db"
        self.log = folder / "sandbox.log"
        self.token = token
        self.hubspot_token = hubspot_token
        self.url = ""
        self._args = [*args, *(f"--campaign={campaign}" for campaign in campaigns)]
        self._port = 0
        self._process: Child | None = None
        self._said: IO[str]
        # one client, since each that is made loads every certificate of the system anew
        self._http = httpx.Client(
            trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._http.close()

    # ------------------------------------------------------------------ the process

    def start(self) -> None:
        """Start it and wait until it is ready; after a stop or kill, on the same port again."""
        arguments = [f"--port={self._port}", f"--database={self.database}"]
        arguments += [f"--token={self.token}", f"--hubspot-token={self.hubspot_token}", *self._args]
        reading, writing = os.pipe()
        self._said = os.fdopen(reading)
        with self.log.open("a") as log, os.fdopen(writing, "w") as output:
            process = NURSERY.start(
                "bridge.sandbox", arguments, env=os.environ, output=output, told=log
            )
        watchdog = threading.Timer(START_S, process.kill)
        watchdog.start()
        line = self._said.readline()
        watchdog.cancel()
        if not line.startswith("sandbox ready on "):
            process.kill()
            process.wait(START_S)
            self._said.close()
            raise RuntimeError(f"the sandbox did not start:\n{self.log.read_text()}")
        self._process = process
        self.url = line.split()[-1]
        self._port = urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None, "not started"
        self._process.terminate()
        return self._ended()

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It stands still until the end of the block: calls are connected, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _ended(self) -> int:
        assert self._process is not None
        status = self._process.wait(timeout=START_S)
        self._said.close()
        self._process = None
        return status

    # ------------------------------------------------------------------ the control interface

    def put_campaigns(self, *campaigns: str) -> None:
        """Make campaigns exist."""
        self._control("PUT", "campaigns", json=list(campaigns))

    def put_leads(self, campaign: str, leads: Sequence[Mapping[str, Any]]) -> None:
        """Make or change leads; ``answered`` may be among their fields."""
        self._control("PUT", "leads", json=[{**lead, "campaign": campaign} for lead in leads])

    def leads(self, campaign: str) -> dict[str, Lead]:
        """The leads of a campaign by phone number."""
        rows = self._control("GET", "leads", params={"campaign": campaign})["leads"]
        return {row["phone_number"]: Lead(**row) for row in rows}

    def put_contacts(self, contacts: Sequence[Mapping[str, Any]]) -> None:
        """Create or change HubSpot contacts.

        Each has an ``id`` and any of ``properties``, ``archived``, ``created_at``, ``updated_at``
        (ISO 8601), ``privacy_deleted: true``, ``merged_into`` (another id).
        """
        self._control("PUT", "contacts", json=list(contacts))

    def calls(
        self, after: int = 0, endpoint: str | None = "bulk_update", campaign: str | None = None
    ) -> list[Call]:
        """The calls with a higher ``seq``, oldest first; ``endpoint`` None: of every kind.

        Endpoints are ``bulk_update``, ``bulk_add``, ``update``, ``add``, ``batch_read``.
        """
        params: dict[str, str | int] = {"after": after}
        if endpoint is not None:
            params["endpoint"] = endpoint
        if campaign is not None:
            params["campaign"] = campaign
        return [Call(**row) for row in self._control("GET", "calls", params=params)["calls"]]

    def behave(
        self,
        *steps: Mapping[str, Any],
        campaign: str | None = None,
        hubspot: bool = False,
        default: Mapping[str, Any] | None = None,
        random: Mapping[str, Any] | None = None,
    ) -> None:
        """Replace a plan: one step per call, then ``default`` or ``random``; none of it: be good.

        ``random`` is ``{"seed": 7, "weights": {"ok": 10, "429": 1}}``.
        """
        given: dict[str, Any] = {"campaign": campaign, "default": default, "random": random}
        plan = {name: value for name, value in given.items() if value is not None}
        body = {**plan, "hubspot": hubspot, "steps": list(steps)}
        self._control("PUT", "behaviour", json=body)

    def plans(self) -> list[dict[str, Any]]:
        """Every plan with the steps that are left."""
        plans: list[dict[str, Any]] = self._control("GET", "behaviour")["plans"]
        return plans

    def settle(self) -> int:
        """Let every queued lead appear; how many did."""
        return int(self._control("POST", "settle")["settled"])

    def stats(self) -> dict[str, Any]:
        """Counts of what there is and of what was called."""
        counts: dict[str, Any] = self._control("GET", "stats")
        return counts

    def _control(self, method: str, name: str, **request: Any) -> Any:
        response = self._http.request(method, f"{self.url}/sandbox/{name}", **request)
        if response.is_error:
            raise RuntimeError(f"{method} /sandbox/{name}: {response.status_code} {response.text}")
        return response.json()
