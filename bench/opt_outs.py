"""Opt-outs that are sent one by one, and how long each took until the sink had it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import webhooks
from bench.client import Sent, one_by_one
from bench.rig import Rig, wait_for

FIRST = webhooks.CONTACTS
"""The phone numbers of opt-outs begin here, so that they are nobody else's."""

ARRIVE_S = 120.0


def send(bridge: Rig, phones: Sequence[str], pause: Callable[[], float]) -> list[Sent]:
    """An opt-out for each of these numbers, over one connection, with pauses (s) between them."""

    def make(number: int) -> bytes:
        body = webhooks.workflow_body(phones[number], opt_out=True)
        return webhooks.workflow_webhook(bridge.url, body)

    return one_by_one(bridge.url, make, len(phones), pause)


def times(bridge: Rig, phones: Sequence[str], sent: Sequence[Sent]) -> list[float]:
    """From the webhook's first byte to the bulk call's last, in seconds, in the order sent.

    Errors: ``TimeoutError`` if an opt-out does not arrive at all.
    """
    wanted = set(phones)
    wait_for(
        lambda: wanted <= bridge.opt_outs_seen().keys(),
        ARRIVE_S,
        "the arrival of every opt-out",
        every_s=0.5,
    )
    seen = bridge.opt_outs_seen()
    return [seen[phone] - one.at for phone, one in zip(phones, sent, strict=True)]
