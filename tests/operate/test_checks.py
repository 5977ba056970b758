"""Health and alerts tell the same: whatever a check warns of is a concern, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model import Lane, State
from bridge.operate import checks
from bridge.operate.alerts.heartbeat import undrained
from bridge.operate.checks import Bounds, Check, Status
from bridge.operate.concern import Kind, by_key
from bridge.operate.health import concerns, document
from bridge.store.alerts import Channel
from bridge.store.campaigns import Condition
from bridge.store.notices import Notice
from bridge.store.pauses import Pause
from bridge.store.queues import Depth, LookUps
from bridge.store.silences import Usual
from bridge.store.workers import Beat

NOW = 1_800_000_000_000
BOUNDS = Bounds()
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def notice(kind: Kind) -> Notice:
    return Notice("w", kind.value, "host", "host: something", 3, NOW - 9, NOW + 9)


def waiting(lane: Lane, age: int, trouble: str = "") -> LookUps:
    return LookUps("hubspot", lane, Depth(2, NOW - age), trouble)


PAUSE = Pause(NOW - 5, "Ann", "call +1 415 555 0123, jane@example.com", holds_opt_outs=True)
REFUSED = Condition("paused", "HTTP 401: no", NOW - 7, status=401)
MISSING = Condition("paused", "HTTP 404: no", NOW - 7, status=404)
BUSY = Condition("backoff", "HTTP 503", NOW - 7, status=503)
FAILS = Channel("w", NOW, failures=2, failing_since=NOW - 5, trouble="HTTP 500")

WELL: list[Check] = [
    checks.mappings(None, []),
    checks.workers([Beat("a", "h", NOW - DAY, NOW)], NOW, BOUNDS),
    checks.waiting_deliveries({}, NOW, BOUNDS),
    checks.waiting_deliveries({"hubspot": Depth(9, NOW - MINUTE)}, NOW, BOUNDS),
    checks.look_ups([waiting(Lane.FIRST, 2 * MINUTE)], NOW, BOUNDS),
    checks.opt_outs({State.STANDING: Depth(5, NOW - 900 * DAY)}, NOW, BOUNDS),
    checks.lapsed({}),
    checks.dead_letters(Depth(0)),
    checks.campaigns(["one"], {"one": Condition()}, {}, NOW),
    checks.backlog({}, [], BOUNDS),
    checks.sources({"b": ["B"]}, 2, {"a": NOW}, {}, NOW),
    checks.public_url({}),
    checks.disk(None, "h", BOUNDS),
    checks.disk(10**12, "h", BOUNDS),
    checks.clocks([]),
    checks.audit([]),
    checks.alerts({"slack": Channel()}, NOW),
]

UNWELL: list[tuple[Check, list[tuple[Kind, str, bool]]]] = [
    (checks.database_fails("it is full", {}), [(Kind.DATABASE, "", True)]),
    (checks.mappings("a.yaml:1:1: bad", []), [(Kind.MAPPING_INVALID, "", False)]),
    (
        checks.mappings(None, [notice(Kind.MAPPING_INVALID)]),
        [(Kind.MAPPING_INVALID, "host", False)],
    ),
    (checks.workers([], NOW, BOUNDS), [(Kind.WORKER_GONE, "", True)]),
    (
        checks.waiting_deliveries({"hubspot": Depth(2, NOW - HOUR)}, NOW, BOUNDS),
        [(Kind.DELIVERIES_LATE, "", True)],
    ),
    (
        checks.look_ups([waiting(Lane.OPT_OUT, 2 * MINUTE)], NOW, BOUNDS),
        [(Kind.LOOK_UPS_LATE, "hubspot", True)],
    ),
    (
        checks.look_ups([waiting(Lane.FIRST, 1, "HUBSPOT answers 401")], NOW, BOUNDS),
        [(Kind.CREDENTIALS_REFUSED, "hubspot", False)],
    ),
    (
        checks.look_ups([waiting(Lane.OPT_OUT, 2 * MINUTE, "HUBSPOT answers 401")], NOW, BOUNDS),
        [(Kind.CREDENTIALS_REFUSED, "hubspot", True), (Kind.LOOK_UPS_LATE, "hubspot", True)],
    ),
    (
        checks.opt_outs({State.WAITING: Depth(2, NOW - 2 * MINUTE)}, NOW, BOUNDS),
        [(Kind.OPT_OUT_LATE, "", True)],
    ),
    (
        checks.opt_outs({State.STANDING: Depth(5, NOW - 9 * DAY)}, NOW, Bounds(standing=DAY)),
        [(Kind.OPT_OUT_STANDS, "", False)],
    ),
    (checks.lapsed({"one": 2}), [(Kind.OPT_OUT_GIVEN_UP, "one", True)]),
    (checks.dead_letters(Depth(3, NOW)), [(Kind.DEAD_LETTERS, "", True)]),
    (
        checks.campaigns(
            ["a", "b", "c", "d"], {"a": REFUSED, "b": MISSING, "c": BUSY}, {"d": PAUSE}, NOW
        ),
        [
            (Kind.CREDENTIALS_REFUSED, "a", True),
            (Kind.CAMPAIGN_PAUSED, "b", True),
            (Kind.CAMPAIGN_HELD_BACK, "c", False),
            (Kind.CAMPAIGN_PAUSED_BY_HAND, "d", True),
        ],
    ),
    (checks.no_campaign({}), [(Kind.NOT_CONFIGURED, "campaigns", True)]),
    (
        checks.backlog({"one": 400}, ["old"], BOUNDS),
        [(Kind.CAMPAIGN_GONE, "old", False), (Kind.UPDATES_LATE, "one", False)],
    ),
    (
        checks.backlog({"one": 400}, [], BOUNDS, opt_outs={"one": 90}),
        [(Kind.OPT_OUT_LATE, "one", True), (Kind.UPDATES_LATE, "one", False)],
    ),
    (checks.sources({"a": ["A"]}, 1, {}, {}, NOW), [(Kind.NOT_CONFIGURED, "sources", False)]),
    (
        checks.sources({}, 1, {"a": NOW - DAY}, {"a": (HOUR, MINUTE)}, NOW),
        [(Kind.SOURCE_SILENT, "a", False)],
    ),
    (checks.public_url({"a": ("v3",)}), [(Kind.PUBLIC_URL_MISSING, "a", False)]),
    (checks.disk(5, "h", BOUNDS), [(Kind.DISK_LOW, "h", True)]),
    (checks.clocks([notice(Kind.CLOCK_WRONG)]), [(Kind.CLOCK_WRONG, "host", False)]),
    (checks.audit([notice(Kind.AUDIT_BREACH)]), [(Kind.AUDIT_BREACH, "host", True)]),
    (checks.alerts({"slack": FAILS}, NOW), [(Kind.ALERTS_FAIL, "slack", False)]),
]


@pytest.mark.parametrize("check", WELL)
def test_what_is_well_concerns_nobody(check: Check) -> None:
    assert (check.status, check.output, check.concerns) == (Status.PASS, "", ())


@pytest.mark.parametrize(("check", "wanted"), UNWELL)
def test_what_is_not_well_is_named(check: Check, wanted: list[tuple[Kind, str, bool]]) -> None:
    assert check.status is not Status.PASS
    assert check.output
    assert [(one.kind, one.subject, one.urgent) for one in check.concerns] == wanted
    for one in check.concerns:
        assert one.text
        assert "\n" not in one.text
        assert "example.com" not in one.text
        assert "415 555 0123" not in one.text


def test_who_paused_a_campaign_is_named_in_full_and_in_one_short_line() -> None:
    mail = Pause(NOW, "r@example.com (API,\n 127.0.0.1)", "", holds_opt_outs=False)
    [told] = checks.campaigns(["main"], {}, {"main": mail}, NOW).concerns
    assert told.text == "r@example.com (API, 127.0.0.1) paused main, but for opt-outs"
    long = Pause(NOW, "n" * 500, "", holds_opt_outs=False)
    [told] = checks.campaigns(["main"], {}, {"main": long}, NOW).concerns
    assert told.text == "n" * 100 + " paused main, but for opt-outs"


def test_every_kind_is_told_by_some_check() -> None:
    assert {kind for _, wanted in UNWELL for kind, _, _ in wanted} == set(Kind)


@pytest.mark.parametrize("trouble", ["", "HUBSPOT answers 401", "HUBSPOT answers 503"])
def test_no_heartbeat_while_what_may_be_an_opt_out_waits_for_a_look_up(trouble: str) -> None:
    found = checks.look_ups([waiting(Lane.OPT_OUT, 2 * MINUTE, trouble)], NOW, BOUNDS)
    assert undrained(found.concerns)
    soon = checks.look_ups([waiting(Lane.OPT_OUT, 1, trouble)], NOW, BOUNDS)
    assert not undrained(soon.concerns)


def test_many_events_that_are_late_do_not_hide_the_one_that_may_be_an_opt_out() -> None:
    opt_out = LookUps("hubspot", Lane.OPT_OUT, Depth(1, NOW - HOUR), "")
    others = LookUps("hubspot", Lane.FIRST, Depth(5000, NOW - HOUR), "")
    for found in ([opt_out, others], [others, opt_out]):
        [told] = by_key(checks.look_ups(found, NOW, BOUNDS).concerns).values()
        assert (told.urgent, told.size) == (True, 1)
        assert "may be an opt-out" in told.text


def test_concerns_are_for_the_operator_and_the_urgent_come_first() -> None:
    found: dict[str, Check] = {str(n): check for n, (check, _) in enumerate(UNWELL)}
    order = [one.urgent for one in concerns(found)]
    assert order == sorted(order, reverse=True)
    anybody: dict[str, Any] = document(found, "1", details=False)
    assert "concerns" not in str(anybody)
    told = document(found, "1", details=True)["checks"]["0"][0]["concerns"]
    assert told[0]["kind"] == "database"


def beat(host: str, started: int, last: int) -> Beat:
    return Beat(f"{host}-{started}", host, NOW + started, NOW + last)


@pytest.mark.parametrize(
    ("beats", "lost"),
    [
        ([beat("a", -DAY, -1)], []),
        ([beat("a", -DAY, -HOUR), beat("b", -DAY, -1)], ["a"]),
        ([beat("a", -DAY, -HOUR), beat("a", -HOUR + 1, -1)], []),
        ([beat("pod-1", -DAY, -HOUR), beat("pod-2", -HOUR + 1, -1)], []),
        ([beat("a", -DAY, -HOUR), beat("b", -DAY, -HOUR), beat("c", -MINUTE, -1)], ["b"]),
        ([beat("a", -20_000, -16_000), beat("b", -20_000, -1)], ["a"]),
        ([beat("a", -DAY, 1_000)], []),
        # a clock that was ahead says nothing of a worker that has not been heard of since
        ([beat("a", -DAY, HOUR)], [""]),
    ],
)
def test_a_worker_that_fell_silent_is_gone_unless_another_began_since(
    beats: list[Beat], lost: list[str]
) -> None:
    found = checks.workers(beats, NOW, BOUNDS)
    assert [one.subject for one in found.concerns] == lost
    assert (found.status is Status.PASS) == (not lost)


@pytest.mark.parametrize(
    ("usual", "silent_ms", "told"),
    [
        (None, 30 * DAY, False),
        (Usual(DAY, 6), 30 * DAY, False),  # not known for long enough
        (Usual(DAY, 7), 2 * DAY, False),
        (Usual(DAY, 7), 2 * DAY + 1, True),
        (Usual(1, 27), HOUR, False),  # whatever is usual, an hour is allowed
        (Usual(1, 27), HOUR + 1, True),
    ],
)
def test_a_source_is_silent_for_too_long_by_its_own_measure(
    usual: Usual | None, silent_ms: int, told: bool
) -> None:
    known = {} if usual is None else {"a": usual}
    last = {"a": NOW - silent_ms}
    assert bool(checks.too_silent(last, known, NOW, BOUNDS)) is told
    assert checks.too_silent(last, known, NOW, Bounds(silence_factor=0)) == {}


@pytest.mark.parametrize(
    ("ms", "words"),
    [(60_000, "1 minute"), (90_000, "90 seconds"), (300_000, "5 minutes"), (5000, "5 seconds"),
     (HOUR, "1 hour"), (36 * HOUR, "36 hours"), (DAY, "1 day"), (3 * DAY + 5, "3 days")],
)  # fmt: skip
def test_spans_are_told_as_people_do(ms: int, words: str) -> None:
    assert checks.span(ms) == words
