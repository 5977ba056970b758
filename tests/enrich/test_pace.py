"""Calls of one account keep their distance; accounts do not wait for one another."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import jmespath

from bridge.enrich import Lookups
from bridge.model import Found, Wanted

from .conftest import Desk, contact_lookup
from .crm import Crm, truth


def test_calls_keep_the_declared_distance(crm: Crm) -> None:
    lookups = Lookups({"contact": contact_lookup(crm.url, size=1, rate_per_s=20)}, jmespath.search)
    started = time.monotonic()
    try:
        lookups.resolve([Wanted("contact", "1", ("1", "2", "3"))])
        lookups.resolve([Wanted("contact", "1", ("4",))])
    finally:
        lookups.close()
    # each by itself may be heard late, and what follows it come close behind
    heard = [call.at - started for call in crm.asked]
    assert len(heard) == 4
    assert all(at >= 0.05 * number for number, at in enumerate(heard)), heard


def test_every_call_of_any_kind_waits_its_turn(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(size=2, rate_per_s=4, deleted_query={"archived": "true"})
    crm.add("1", "2")
    start = desk.clock.now()
    desk.found("1", "2", "3", "4", "5")
    assert len(crm.calls) == 5
    assert desk.clock.now() - start == 1.0


def test_accounts_take_turns(crm: Crm, opened: Callable[..., Desk]) -> None:
    desk = opened(size=1, rate_per_s=1)
    ids = ("1", "2", "3")
    desk.resolve(Wanted("contact", "a", ids), Wanted("contact", "b", ids))
    assert crm.calls == [["1"], ["1"], ["2"], ["2"], ["3"], ["3"]]
    assert sum(desk.clock.waits) == 2


def test_a_connection_is_used_again(crm: Crm, desk: Desk) -> None:
    crm.add("1", "2")
    ports: list[int] = []

    def notes_the_port(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        truth(crm, handler)

    crm.always = notes_the_port
    desk.found("1")
    desk.found("2")
    assert ports[0] == ports[1]


def test_a_call_is_not_cut_short_by_the_time_of_the_one_before(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(timeout_s=1.0)
    ids = [str(n) for n in range(40)]
    crm.add(*ids)
    end = time.monotonic() + 2.0
    rounds = 0
    while time.monotonic() < end:
        desk.clock.time += 60
        assert isinstance(desk.found(ids[rounds % 40]), Found)
        rounds += 1
    assert rounds > 10
