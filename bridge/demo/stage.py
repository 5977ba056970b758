"""The processes of the demonstration: a sandbox and a bridge in a folder of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from bridge.demo.scenes import CAMPAIGN_IDS, CONTACTS, LEADS, NOAH, RENEWALS, SPRING
from bridge.errors import BridgeError
from bridge.receive.verify.asymmetric import new_ed25519_pair
from bridge.settings import Environment, Settings
from bridge.shipped import copy_mapping_files

START_S = 120.0
"""For a first start, whose modules nobody has compiled, on a machine that is busy."""

MARKER = ".crm-bridge-demo"
"""The file that says of a folder: the demonstration made it, and may empty it."""

OURS = ("BRIDGE_", "HUBSPOT_", "GHL_", "GENERIC_")
"""Beginnings of the settings that the demonstration makes itself, and takes from nobody."""

CAMPAIGNS = f"""\
campaigns:
  {SPRING}:
    id: "{CAMPAIGN_IDS[SPRING]}"
  {RENEWALS}:
    id: "{CAMPAIGN_IDS[RENEWALS]}"
"""


class DemoFailed(BridgeError):  # noqa: N818 - reads as the event it reports
    """A process of the demonstration did not do what it must."""


class Stage:
    """Everything the demonstration runs, in ``folder``; ``close`` ends it.

    Errors: ``DemoFailed`` when the folder holds something that the demonstration did not make.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        empty(folder)
        copy_mapping_files(folder / "mappings")
        (folder / "mappings" / "campaigns.yaml").write_text(CAMPAIGNS, encoding="utf-8")
        self.ghl_key, public = new_ed25519_pair()
        self.api_token, self.hubspot_token = secrets.token_hex(16), secrets.token_hex(16)
        self.port = free_port()
        self._children: list[subprocess.Popen[bytes]] = []
        # one client, since each that is made reads every certificate of the system
        self.http = httpx.Client(trust_env=False)
        try:
            self.sandbox_url = self._start_sandbox()
        except DemoFailed:
            self.close()
            raise
        self.environment = self._write_environment(public)
        self.settings = Settings(Environment(self.environment))
        self.bridge_url = f"http://127.0.0.1:{self.port}"

    def _start_sandbox(self) -> str:
        command = [sys.executable, "-m", "bridge.sandbox", "--port", "0",
                   "--database", str(self.folder / "sandbox.db"),
                   "--token", self.api_token, "--hubspot-token", self.hubspot_token]  # fmt: skip
        for campaign in CAMPAIGN_IDS.values():
            command += ["--campaign", campaign]
        out = (self.folder / "sandbox.log").open("wb")
        self._children.append(subprocess.Popen(command, stdout=out, stderr=out))  # noqa: S603
        text = ""

        def ready() -> bool:
            nonlocal text
            text = (self.folder / "sandbox.log").read_text(encoding="utf-8")
            return "sandbox ready on " in text

        self.wait("the sandbox", ready)
        return text.partition("sandbox ready on ")[2].split()[0]

    def _write_environment(self, ghl_key: str) -> dict[str, str]:
        values = {
            "BRIDGE_API_URL": self.sandbox_url,
            "BRIDGE_API_TOKEN": self.api_token,
            "DATABASE_URL": f"sqlite:///{self.folder / 'bridge.db'}",
            "BRIDGE_MAPPINGS": str(self.folder / "mappings"),
            "BRIDGE_PUBLIC_URL": "https://bridge.example.com",
            "BRIDGE_STANDING": "1 2",
            "BRIDGE_LOG": "json",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "HUBSPOT_API_URL": self.sandbox_url,
            "HUBSPOT_ACCESS_TOKEN": self.hubspot_token,
            "HUBSPOT_CLIENT_SECRET": secrets.token_hex(16),
            "GHL_PUBLIC_KEY": ghl_key,
        }
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.folder / ".env").write_text(lines, encoding="utf-8")
        return values

    def start_bridge(self) -> None:
        """Start web and worker, and wait until webhooks can be accepted."""
        out = (self.folder / "bridge.log").open("wb")
        others = {n: v for n, v in os.environ.items() if not n.startswith(OURS)}
        environment = {**others, **self.environment}
        command = [sys.executable, "-m", "bridge.cli", "run"]
        self._children.append(
            subprocess.Popen(  # noqa: S603
                command, env=environment, cwd=self.folder, stdout=out, stderr=out
            )
        )

        def ready() -> bool:
            try:
                return self.http.get(f"{self.bridge_url}/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        self.wait("the bridge", ready)

    def set_up_sandbox(self) -> None:
        """Give the sandbox its contacts and leads."""
        self._control("PUT", "contacts", CONTACTS)
        leads = [
            {"campaign": CAMPAIGN_IDS[name], **lead}
            for name, rows in LEADS.items()
            for lead in rows
        ]
        self._control("PUT", "leads", leads)

    def add_noah(self) -> None:
        """Both campaigns take Noah in, by the API's own asynchronous add."""
        for campaign in CAMPAIGN_IDS.values():
            self.http.post(
                f"{self.sandbox_url}/api/v2/voice-campaigns/{quote(campaign, safe='')}/leads/bulk",
                json=[{"phone_number": NOAH, "first_name": "Noah"}],
                headers={"Authorization": f"Bearer {self.api_token}"},
            ).raise_for_status()

    def leads(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What the campaigns hold now: campaign → phone → lead."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for name, campaign in CAMPAIGN_IDS.items():
            rows = self._control("GET", "leads", params={"campaign": campaign})["leads"]
            found[name] = {row["phone_number"]: row for row in rows}
        return found

    def _control(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None
    ) -> Any:
        reply = self.http.request(
            method, f"{self.sandbox_url}/sandbox/{path}", json=body, params=params
        )
        return reply.raise_for_status().json()

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = START_S) -> None:
        """Wait for a condition. Errors: ``DemoFailed`` if it does not come, or a process died."""
        deadline = time.monotonic() + seconds
        while not condition():
            if any(child.poll() is not None for child in self._children):
                raise DemoFailed(f"a process ended early; see the logs in {self.folder}")
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{what}: not there after {seconds:g} s; see the logs in {self.folder}"
                )
            time.sleep(0.02)

    def close(self) -> None:
        """End all processes, the last one first."""
        self.http.close()
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
            try:
                child.wait(80)
            except subprocess.TimeoutExpired:
                child.kill()


def empty(folder: Path) -> None:
    """Make the folder, or empty one that an earlier demonstration made.

    Errors: ``DemoFailed`` when it is a file, or holds something and not the demonstration's mark.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = list(folder.iterdir())
        if content and not (folder / MARKER).is_file():
            raise DemoFailed(
                f"{folder} is not empty, and the demonstration did not make it. "
                "Name a new folder with --folder."
            )
        for path in content:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()
        (folder / MARKER).write_text(
            "Made by crm-bridge demo, which empties this folder when it runs again.\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise DemoFailed(f"{folder} cannot be used: {error.strerror}") from None


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
