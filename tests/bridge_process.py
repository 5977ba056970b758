"""Run the bridge's real processes: web, worker, or both under ``run``, over one database.

    with Bridge(tmp_path, mappings=folder, api_url=sandbox.url, api_token=sandbox.token) as bridge:
        bridge.start_web()
        bridge.start_worker()
        receipt = bridge.post("crm", [{"id": "1", ...}]).json()["receipt"]
        bridge.wait_settled()
        assert bridge.outcomes(receipt=receipt)[0]["state"] == "updated"

With ``processes=2`` on PostgreSQL, ``start_both`` starts two of each kind; webhooks then go to the
web processes by turns, as through a load balancer.

Each process leads a process group of its own, and leaving the ``with`` block kills every group
that is left, so that no child outlives its test. The log lines of all processes of one kind are
in ``web.log``, ``worker.log`` and ``run.log`` of the folder.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from command_line import call
from nursery import Child, Nursery
from store.fresh import prepare

from bridge.clock import now_ms
from bridge.commands.web import check_web, web_arguments
from bridge.live import load
from bridge.model import OPEN_STATES, Source, State
from bridge.receive.sign import sign
from bridge.settings import Environment, Settings
from bridge.store import deliveries, outcomes, queues, refusals
from bridge.store.database import Connection, Database

PYTHON_BIN = Path(sys.executable).parent
CRM_TOKEN = "crm-token-for-tests"
START_S = 60.0
END_S = 60.0
MOVING = (State.WAITING, State.IN_FLIGHT)

QUICK = {
    "BRIDGE_LOG": "json",
    "BRIDGE_POLL": "0.5",  # what is signalled is seen at once; shorter, and idle workers burn time
    "BRIDGE_LEASE": "10",
    "BRIDGE_BACKOFF": "0.05",
    "BRIDGE_BACKOFF_MAX": "0.4",
    "BRIDGE_STANDING": "0.3 0.5",
    "BRIDGE_PAUSE_PROBE": "0.3",
    "BRIDGE_LOOKUP_SETTLE": "0.5",
}
"""Settings under which nothing has to be waited for long."""


def wait_until(
    condition: Callable[[], Any], timeout: float = 30.0, what: str | Callable[[], str] = ""
) -> Any:
    """The first true value that the condition gives; fails the test if there is none in time.

    ``what`` is waited for, in words, or what says so when the time is over.
    """
    deadline = time.monotonic() + timeout
    pause = 0.01
    while not (value := condition()):
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g} s: {said or condition}")
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)  # looking costs those who are waited for
    return value


def free_port() -> int:
    """A port that nobody listens on, outside the range that outgoing connections take."""
    for _ in range(1000):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


WORKERS = Nursery("bridge.commands.worker", "bridge.worker", "structlog")
WEBS = Nursery("bridge.server", "bridge.unknown_settings", "structlog")
"""Of what gunicorn loads before it forks, and no more: then gevent changes Python's own modules.

Nor gunicorn's configuration, which takes the working folder down when it is loaded.
"""


def _nursery(command: Sequence[str]) -> Nursery | None:
    """Whoever has loaded what a command line needs; None where it begins from nothing."""
    if list(command) == [sys.executable, "-m", "bridge.cli", "worker"]:
        return WORKERS
    return WEBS if list(command) == web_arguments() else None


class Group:
    """A process that leads a process group; what it starts belongs to the group."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        nursery = _nursery(command)
        self._process: subprocess.Popen[bytes] | Child
        with log.open("ab") as stream:
            if nursery is not None:
                _, _, module, *arguments = command
                self._process = nursery.start(
                    module, arguments, env=env, folder=folder, output=stream, told=stream
                )
            else:
                self._process = subprocess.Popen(
                    command,
                    env=dict(env),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )
        self.log = log

    @property
    def pid(self) -> int:
        """The process id of the leader, which is the id of the group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status of the leader; None while it runs."""
        return self._process.poll()

    def children(self) -> dict[int, str]:
        """The direct children of the leader: process id → command line."""
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return {int(pid): _command_line(int(pid)) for pid in text.split()}
        return {}

    def alive(self) -> bool:
        """Whether any process of the group is left."""
        self._process.poll()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, 0)
            return True
        return False

    def terminate(self) -> None:
        """SIGTERM to the leader."""
        self._process.terminate()

    def ended(self, timeout: float = END_S) -> int:
        """Wait for the leader's end; its exit status."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until nothing of it is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(END_S)
        wait_until(lambda: not self.alive(), END_S, "the end of a killed process group")


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


class Bridge:
    """A bridge in a folder: settings, mapping files, database, and the processes as started."""

    def __init__(
        self,
        folder: Path,
        *,
        mappings: Path,
        api_url: str,
        api_token: str,
        settings: Mapping[str, str] | None = None,
        database_url: str | None = None,
        processes: int = 1,
    ) -> None:
        self.folder = folder
        self.processes = processes
        self._ports = [free_port() for _ in range(processes)]
        self._turns = itertools.count()
        self.port = self._ports[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "PATH": f"{PYTHON_BIN}{os.pathsep}{os.defpath}",
            "HOME": str(folder),
            "TMPDIR": str(folder),  # where bridges over PostgreSQL leave their mark
            "LANG": "C.UTF-8",
            "DATABASE_URL": database_url or f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_MAPPINGS": str(mappings),
            "BRIDGE_API_URL": api_url,
            "BRIDGE_API_TOKEN": api_token,
            "CRM_TOKEN": CRM_TOKEN,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            **QUICK,
            **(settings or {}),
        }
        self.database = Database(self.env["DATABASE_URL"])
        self.webs: dict[int, Group] = {}
        self.workers: dict[int, Group] = {}
        self._groups: list[Group] = []
        self._http = httpx.Client(
            trust_env=False, timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._sources: Mapping[str, Source] | None = None
        self._sent_again = False

    def __enter__(self) -> Bridge:
        prepare(self.database)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            for group in self._groups:
                group.kill()
        finally:
            self._http.close()
            self.database.close()

    # ------------------------------------------------------------------ processes

    def start(self, kind: str, command: Sequence[str] | None = None, **settings: str) -> Group:
        """Start a process by its ``crm-bridge`` command, or by another command line."""
        group = Group(
            command or [sys.executable, "-m", "bridge.cli", kind],
            env={**self.env, **settings},
            folder=self.folder,
            log=self.folder / f"{kind}.log",
        )
        self._groups.append(group)
        return group

    @property
    def web(self) -> Group | None:
        """The first web process."""
        return self.webs.get(0)

    @property
    def worker(self) -> Group | None:
        """The first worker."""
        return self.workers.get(0)

    def start_web(self, number: int = 0, *, ready: bool = True, by_command: bool = False) -> Group:
        """Start a web process and wait until it says that it is ready.

        ``by_command``: by ``crm-bridge web`` itself, which takes a second longer.
        """
        port = str(self._ports[number])
        if by_command:
            self.webs[number] = self.start("web", PORT=port)
        elif ready:
            self._start_checked_web(number)
        else:
            self.webs[number] = self.start("web", web_arguments(), PORT=port)
        if ready:
            self.wait_ready(self.webs[number], number)
        return self.webs[number]

    def _start_checked_web(self, number: int) -> Group:
        """What ``crm-bridge web`` does, its check in this process, which has it all loaded.

        The command itself takes a second more to load the same, and gives way to this command
        line; tests of processes run it.
        """
        port = {"PORT": str(self._ports[number])}
        check_web(Settings(Environment({**self.env, **port})))
        self.webs[number] = self.start("web", web_arguments(), **port)
        return self.webs[number]

    def start_worker(self, number: int = 0, *, ready: bool = True) -> Group:
        """Start a worker and wait until it is at work."""
        seen = self.said("worker", "worker started")
        self.workers[number] = worker = self.start("worker")
        if ready:
            self._wait_at_work(worker, seen + 1)
        return worker

    def start_both(self) -> None:
        """Start every web process and every worker."""
        seen = self.said("worker", "worker started")
        for number in range(self.processes):
            self._start_checked_web(number)
            self.start_worker(number, ready=False)
        for number in range(self.processes):
            self._wait_at_work(self.workers[number], seen + self.processes)
            self.wait_ready(self.webs[number], number)

    def _wait_at_work(self, worker: Group, count: int) -> None:
        """Wait until so many workers have said that they started, as long as this one lives."""
        wait_until(
            lambda: self.said("worker", "worker started") >= count or worker.status is not None,
            START_S,
            "the start of the worker",
        )
        assert worker.status is None, self.log("worker")

    def wait_ready(self, group: Group, number: int = 0) -> None:
        """Wait until ``/readyz`` answers 200, as long as the process lives."""

        def ready() -> bool:
            assert group.status is None, f"ended with {group.status}:\n{group.log.read_text()}"
            with suppress(httpx.HTTPError):
                return self._http.get(f"{self._url(number)}/readyz").status_code == 200
            return False

        wait_until(ready, START_S, "a ready web process")

    def _url(self, number: int) -> str:
        return f"http://127.0.0.1:{self._ports[number]}"

    def _next_url(self) -> str:
        """The web process whose turn it is."""
        return self._url(next(self._turns) % self.processes)

    def call(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a ``crm-bridge`` command to its end in this process, which is quicker; for a command
        that some test runs as a process too."""
        return call(*arguments, settings={**self.env, **settings}, folder=self.folder)

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a ``crm-bridge`` command to its end, as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            env={**self.env, **settings},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def log(self, kind: str) -> str:
        """Everything that processes of this kind have written."""
        path = self.folder / f"{kind}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def said(self, kind: str, words: str) -> int:
        """In how many lines of a log these words stand."""
        return sum(words in line for line in self.log(kind).splitlines())

    # ------------------------------------------------------------------ requests

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """A request without a body to the first web process."""
        return self._http.request(method, self.url + path, headers=headers)

    def post(
        self,
        source: str,
        payload: Any,
        *,
        token: str = CRM_TOKEN,
        **headers: str,
    ) -> httpx.Response:
        """Post to a hook with a bearer token; bytes go as they are, all else as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self._send(
            f"{self._next_url()}/hooks/{source}",
            body,
            {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                **headers,
            },
        )

    def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Post, as a CRM does that is told to send again since the database was busy for too long.

        Once in the life of a bridge: the disk of a busy machine may stand still, but not often.
        """
        reply = self._http.post(url, content=body, headers=dict(headers))
        if reply.status_code == 503 and not self._sent_again:
            least = Settings(Environment(self.env))["BRIDGE_COMMIT_TIMEOUT"]
            if reply.elapsed.total_seconds() >= least:
                self._sent_again = True
                reply = self._http.post(url, content=body, headers=dict(headers))
        return reply

    def post_signed(
        self, source: str, payload: Any, *, key: bytes | None = None, spoil: bool = False
    ) -> httpx.Response:
        """Post as the source's CRM would, signed by the first scheme of its mapping.

        ``key``: PEM text for schemes with a public key. ``spoil``: change the body after signing.
        """
        if self._sources is None:
            self._sources = load(Settings(Environment(self.env))).sources
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        url = self._next_url()
        base = self.env.get("BRIDGE_PUBLIC_URL", url)
        signed = sign(
            self._sources[source].verify,
            method="POST",
            url=f"{base}/hooks/{source}",
            body=body,
            now_ms=now_ms(),
            headers={"Content-Type": "application/json"},
            private_key=key,
        )
        parts = urlsplit(signed.url)
        target = url + parts.path + (f"?{parts.query}" if parts.query else "")
        sent = signed.body + b" " if spoil else signed.body
        return self._send(target, sent, signed.headers)

    def deliver(self, source: str, payload: Any, timeout: float = END_S) -> str:
        """Post as a stubborn CRM: again until there is a 2xx. Returns the receipt."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                reply = self.post(source, payload)
                if reply.is_success:
                    return str(reply.json()["receipt"])
                assert reply.status_code == 503, reply.text
            time.sleep(0.02)
        raise AssertionError(f"no 2xx within {timeout:g} s")

    # ------------------------------------------------------------------ what is on disk

    def outcomes(self, limit: int = 200_000, **like: Any) -> list[dict[str, Any]]:
        """Outcomes that match, the newest first; see ``bridge.store.outcomes.listing``."""
        with self.database.read() as connection:
            return outcomes.listing(connection, limit=limit, **like)

    def states(self, receipt: str) -> list[str]:
        """The states of a delivery's outcomes, sorted."""
        return sorted(row["state"] for row in self.outcomes(receipt=receipt))

    def deliveries(self, limit: int = 200_000) -> list[dict[str, Any]]:
        """Stored deliveries, the newest first."""
        with self.database.read() as connection:
            return deliveries.listing(connection, source=None, before=None, limit=limit)

    def accepted(self) -> int:
        """How many deliveries are stored."""
        with self.database.read() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM delivery").scalar() or 0)

    def refusals(self) -> list[dict[str, Any]]:
        """Every kept refusal, the newest first."""
        with self.database.read() as connection:
            return refusals.listing(connection, source=None, before=None, limit=10_000)

    def settled(self, *, standing: bool = True) -> bool:
        """Whether nothing waits and nothing is in flight; ``standing``: opt-outs may stand."""
        with self.database.read() as connection:
            return _settled(connection, standing=standing)

    def wait_settled(self, timeout: float = 60.0, *, standing: bool = True) -> None:
        """Wait until everything that came in has ended, or stands."""
        wait_until(lambda: self.settled(standing=standing), timeout, "the end of all work")

    def final_outcomes(self, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Every outcome, seen at one moment at which nothing waits and nothing is in flight.

        A standing opt-out is in flight whenever it is tried again, so the moment matters.
        """

        def seen() -> list[dict[str, Any]]:
            with self.database.read() as connection:
                if not _settled(connection, standing=True):
                    return []
                return outcomes.listing(connection, limit=200_000)

        rows: list[dict[str, Any]] = wait_until(seen, timeout, "the end of all work")
        return rows


def _settled(connection: Connection, *, standing: bool) -> bool:
    if queues.deliveries_by_source(connection) or queues.look_ups(connection):
        return False
    states = MOVING if standing else OPEN_STATES
    return not any(outcomes.listing(connection, state=state.value, limit=1) for state in states)
