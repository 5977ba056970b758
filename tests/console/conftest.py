"""One running bridge with a console for all tests of this folder, and a browser that looks at it.

Browser tests need a Chromium of the system. Where there is none they are skipped, and the summary
says so; ``BRIDGE_TEST_BROWSER=required`` makes them fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_process import Bridge
from playwright.sync_api import Browser, Page, sync_playwright
from sandbox_client import Sandbox
from system.mapping_files import write_mappings

from bridge.clock import now_ms

TOKEN = "console-token-of-the-tests"
BROWSER = "BRIDGE_TEST_BROWSER"
UNSEEN = "not tested in a browser"
PATIENCE_MS = 20_000
CAMPAIGNS = {"one": "camp_one", "two": "camp_two"}

CONFIRMED = "+14155550103"
STANDING = "+14155550199"
MAIL = "jane.doe@example.com"
HOSTILE = "<script>document.title='owned'</script>"

BY_CONTACT = """
source: contacts
title: A CRM that names contacts
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  event_id: content
  contacts: {ids: [id]}
define:
  region: "'${SHOWN_SETTING:-none}'"
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    lead:
      phone_number: phone
      do_not_call: {value: true}
      email: mail
"""
CASES = """
- name: an opt-out
  payload: {id: "1", phone: "+14155550123", dnc: true}
  expect:
    - updates: [{campaigns: all, phone_number: "+14155550123", do_not_call: true}]
- name: an opt-out elsewhere
  settings: {SHOWN_SETTING: elsewhere}
  payload: {id: "2", phone: "+14155550124", dnc: true}
  expect:
    - updates: [{campaigns: all, phone_number: "+14155550124", do_not_call: true}]
"""


@dataclass(frozen=True)
class Story:
    """What has happened: receipts by what came in."""

    opt_out: str
    standing: str
    dead: str
    unreadable: str
    no_phone: str


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, campaigns=list(CAMPAIGNS.values())) as running:
        yield running


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("bridge")
    mappings = write_mappings(folder / "mappings", CAMPAIGNS)
    (mappings / "contacts.yaml").write_text(BY_CONTACT)
    (mappings / "contacts.cases.yaml").write_text(CASES)
    running = Bridge(
        folder,
        mappings=mappings,
        api_url=sandbox.url,
        api_token=sandbox.token,
        settings={"BRIDGE_CONSOLE_TOKEN": TOKEN, "SHOWN_SETTING": "nowhere-secret"},
    )
    with running:
        running.start_both()
        yield running


@pytest.fixture(scope="session")
def told(bridge: Bridge, sandbox: Sandbox) -> Story:
    """Something of everything that pages show."""
    phones = [f"+1415555{number:04d}" for number in range(100, 120)]
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in phones])
    sandbox.behave({"mode": "status", "status": 503}, campaign="camp_one")
    details = {"first_name": "Jane", "email": MAIL}
    opt_out = bridge.deliver(
        "crm", [{"id": "opt-out", "phone": CONFIRMED, "dnc": True, "details": details}]
    )
    more = [{"id": f"more-{p}", "phone": p, "details": {"first_name": "J"}} for p in phones[5:]]
    bridge.deliver("crm", more)
    story = Story(
        opt_out=opt_out,
        standing=bridge.deliver("crm", [{"id": "s", "phone": STANDING, "dnc": True}]),
        dead=bridge.deliver("crm", [{"id": "d", "phone": f"no number {HOSTILE}", "dnc": True}]),
        unreadable=bridge.deliver("crm", f"[{HOSTILE}".encode()),
        no_phone=bridge.deliver("contacts", {"id": "contact-77", "dnc": True, "at": now_ms()}),
    )
    bridge.deliver("contacts", {"id": "4155550142", "phone": phones[6], "dnc": True, "mail": MAIL})
    bridge.post("crm", [{"phone": HOSTILE}], token="wrong")
    bridge.wait_settled()
    return story


@pytest.fixture(scope="session")
def api(bridge: Bridge, told: Story) -> Iterator[httpx.Client]:
    """The API with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=bridge.url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


# --------------------------------------------------------------------- the browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        said = f"{UNSEEN}: there is no chromium; apt-get install chromium"
        if os.environ.get(BROWSER) == "required":
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def cookie(bridge: Bridge) -> dict[str, Any]:
    """The cookie of a session."""
    entered = httpx.post(
        f"{bridge.url}/console/sign-in",
        data={"token": TOKEN, "who": "Ada"},
        trust_env=False,
        timeout=60,
    )
    [(name, value)] = entered.cookies.items()
    return {"name": name, "value": value, "url": f"{bridge.url}/console"}


@pytest.fixture
def page(browser: Browser, bridge: Bridge, told: Story, cookie: dict[str, Any]) -> Iterator[Page]:
    """A signed-in page; whatever its console says that is an error fails the test."""
    context = browser.new_context(base_url=bridge.url, viewport={"width": 1280, "height": 900})
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


def saved(bridge: Bridge) -> dict[str, Any]:
    """Every file of the mappings folder: what a playground may not change."""
    folder = Path(bridge.env["BRIDGE_MAPPINGS"])
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
