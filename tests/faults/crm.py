"""The sender: a CRM that shuffles, copies, sends at once, and sends again what got no 2xx."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bridge_process import Bridge
from system.story import Story, Told

PATIENCE_S = 90.0
"""How long a delivery is sent again before the run has failed."""


def with_copies(story: Story, draw: random.Random, share: float = 0.15) -> Story:
    """The story, some of its deliveries sent once more, at any place."""
    deliveries: list[Sequence[Told]] = list(story.deliveries)
    for _ in range(round(len(story.deliveries) * share)):
        deliveries.insert(draw.randint(0, len(deliveries)), draw.choice(story.deliveries))
    return replace(story, deliveries=[list(delivery) for delivery in deliveries])


def send(
    bridge: Bridge, story: Story, draw: random.Random, *, seconds: float, hands: int = 5
) -> list[str]:
    """Deliver the story in about so many seconds; the receipts in story order."""
    pauses = [
        draw.expovariate(1) * seconds * hands / len(story.deliveries) for _ in story.deliveries
    ]

    def deliver(number: int) -> str:
        threading.Event().wait(min(pauses[number], 1.0))
        body = [one.body for one in story.deliveries[number]]
        return bridge.deliver("crm", body, PATIENCE_S)

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(deliver, range(len(story.deliveries))))
