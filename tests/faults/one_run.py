"""One seeded run: a bridge in turmoil, and then the judge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge_process import Bridge
from sandbox_client import Sandbox
from system.mapping_files import write_mappings
from system.story import CAMPAIGNS, Story, tell

from bridge.errors import StoreBusy

from . import by_contact, crm
from .books import finals
from .judge import judge
from .plan import LEASE_S, TIMEOUT_S, Plan
from .server import Server
from .turmoil import Turmoil

SETTINGS = {
    "BRIDGE_LEASE": str(LEASE_S),
    "BRIDGE_BACKOFF_MAX": "0.1",
    "BRIDGE_PAUSE_PROBE": "0.2",
    "BRIDGE_STANDING": "0.3 0.6",
    "BRIDGE_UNKNOWN_TRIES": "100",
}


@dataclass(frozen=True)
class Figures:
    """What a run came to. ``seconds``: from the first delivery to the judge's last word."""

    deliveries: int
    events: int
    outcomes: int
    calls: int
    blows: int
    seconds: float


def story_of(plan: Plan) -> Story:
    """What the CRM has to tell in this run."""
    seed = plan.draw("story").randrange(2**32)
    story = tell(seed, plan.events, plan.leads, mean_size=plan.mean_size)
    story = by_contact.with_contacts(story, plan.by_contact, plan.draw("contacts"))
    return crm.with_copies(story, plan.draw("copies"))


def run(plan: Plan, folder: Path, server: Server | None) -> Figures:
    """Carry a plan out in an empty folder; AssertionError says what did not hold."""
    story = story_of(plan)
    with ExitStack() as stack:
        sandbox, bridge = stack.enter_context(stage(plan, story, folder, server))
        bridge.start_both()
        begun = time.monotonic()
        seen: list[dict[int, str]] = []

        def cut() -> None:
            if server is not None:
                server.cut(bridge.env["DATABASE_URL"])

        def look() -> None:
            with suppress(StoreBusy):  # a cut may hit the one who looks as well
                seen.append(finals(bridge))

        turmoil = Turmoil(
            bridge,
            sandbox,
            plan.draw("turmoil"),
            lease_s=LEASE_S,
            cut=cut,
            after_each=look,
        )
        turmoil.begin(plan.actions)
        try:
            seconds = sum(pause for _, pause in plan.actions)
            receipts = crm.send(bridge, story, plan.draw("crm"), seconds=seconds)
        finally:
            turmoil.end()
        judge(bridge, sandbox, story, receipts, seen)
        return Figures(
            deliveries=len(bridge.deliveries()),
            events=len(story.told),
            outcomes=len(bridge.outcomes()),
            calls=len(sandbox.calls(endpoint=None)),
            blows=len(turmoil.done),
            seconds=time.monotonic() - begun,
        )


@contextmanager
def stage(
    plan: Plan, story: Story, folder: Path, server: Server | None
) -> Iterator[tuple[Sandbox, Bridge]]:
    """The API with its leads, contacts and manners, and a bridge that is not started yet."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            Sandbox(folder, *plan.sandbox, campaigns=list(CAMPAIGNS.values()))
        )
        story.prepare(sandbox)
        for campaign, behaviour in plan.api.items():
            sandbox.behave(campaign=campaign, random=behaviour)
        if plan.hubspot is not None:
            by_contact.put_contacts(sandbox, story)
            sandbox.behave(hubspot=True, random=plan.hubspot)
        write = by_contact.write_mappings_with_look_up if plan.by_contact else write_mappings
        bridge = Bridge(
            folder,
            mappings=write(folder / "mappings", CAMPAIGNS, timeout=TIMEOUT_S, **plan.tuning),
            api_url=sandbox.url,
            api_token=sandbox.token,
            settings={
                **SETTINGS,
                **by_contact.SETTINGS,
                "BRIDGE_BATCH": str(plan.turn),
                "CRM_RECORDS_URL": sandbox.url,
                "CRM_RECORDS_TOKEN": sandbox.hubspot_token,
            },
            database_url=None if server is None else stack.enter_context(server.database()),
            processes=plan.processes,
        )
        yield sandbox, stack.enter_context(bridge)
