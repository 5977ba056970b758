"""The dashboard, the alert rules and the page of metrics name what there is, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from bridge.commands.metrics import page
from bridge.declared_settings import BY_NAME as SETTINGS
from bridge.model import State
from bridge.operate.metrics.families import BY_NAME, FAMILIES, Family, Kind
from bridge.operate.metrics.reading import CONDITIONS, LANES

DOCS = Path(__file__).parent.parent.parent / "docs"
MONITORING = DOCS / "monitoring"
OF_PROMETHEUS = {"up": {"job", "instance"}}
TARGET = {"instance", "job"}
"""Labels that Prometheus adds to everything that it scrapes."""

WORDS = {
    "lane": set(LANES.values()),
    "condition": set(CONDITIONS),
    "state": {state.value for state in State if not state.final},
    "outcome": {state.value for state in State if state.final},
}
"""What the labels with closed lists may say."""

GROWING = ("rate", "increase")


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "prometheus-alerts.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]
    for one in dashboard()["panels"]:
        for target in one.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "5m")
            # what Grafana puts in where everything is chosen
            yield f"panel {one['title']}", re.sub(r"\$(campaign|source)", ".+", text)


ALL = list(expressions())


class Used:
    """What an expression uses, as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self.selectors: list[tuple[Any, str]] = []
        self.named: set[str] = set()
        self._walk(promql.parse(text), "")

    def _walk(self, node: Any, within: str) -> None:
        match node:
            case promql.VectorSelector():
                self.selectors.append((node, within))
            case promql.MatrixSelector():
                self._walk(node.vector_selector, within)
            case promql.Call():
                for part in node.args:
                    self._walk(part, node.func.name)
            case promql.AggregateExpr():
                self.named |= set(node.modifier.labels) if node.modifier else set()
                self._walk(node.expr, within)
            case promql.BinaryExpr():
                matching = node.modifier.matching if node.modifier else None
                self.named |= set(matching.labels) if matching else set()
                self._walk(node.lhs, within)
                self._walk(node.rhs, within)
            case promql.ParenExpr() | promql.UnaryExpr():
                self._walk(node.expr, within)
            case promql.NumberLiteral() | promql.StringLiteral():
                pass
            case _:
                raise AssertionError(f"an expression of a kind that is not looked at: {node}")


def family_of(name: str) -> Family:
    """The metric that a series belongs to."""
    if name in BY_NAME:
        assert BY_NAME[name].kind is not Kind.HISTOGRAM, f"{name} has no series of its own"
        return BY_NAME[name]
    plain, _, end = name.rpartition("_")
    assert end in ("bucket", "sum", "count"), f"there is no metric {name}"
    assert plain in BY_NAME, f"there is no metric {name}"
    assert BY_NAME[plain].kind is Kind.HISTOGRAM
    return BY_NAME[plain]


def check(text: str) -> None:
    """Errors: ``AssertionError`` when an expression would never find what it means."""
    used = Used(text)
    assert used.selectors
    known = set(TARGET)
    for selector, within in used.selectors:
        if selector.name in OF_PROMETHEUS:
            known |= OF_PROMETHEUS[selector.name]
            continue
        family = family_of(selector.name)
        labels = {*family.labels, *TARGET, *({"le"} if selector.name.endswith("_bucket") else ())}
        known |= labels
        for one in selector.matchers.matchers:
            assert one.name in labels, f"{selector.name} has no label {one.name}"
            if one.name in WORDS and one.value != ".+":
                for word in one.value.split("|"):
                    assert word in WORDS[one.name], f"{one.name} is never {word}"
        grows = family.kind is not Kind.GAUGE
        assert grows == (within in GROWING), f"{selector.name} within {within or 'nothing'}"
    assert used.named <= known, f"no series has {used.named - known}"


@pytest.mark.parametrize(("where", "text"), ALL, ids=[where for where, _ in ALL])
def test_every_expression_finds_what_it_means(where: str, text: str) -> None:
    del where
    check(text)


@pytest.mark.parametrize(
    "text",
    [
        "max(crmbridge_worker)",
        "max(crmbridge_batch_leads) > 1",
        'max(crmbridge_queue_depth{campaing="x"})',
        'max(crmbridge_queue_depth{lane="fist"})',
        "max(crmbridge_outcomes_total)",
        "rate(crmbridge_queue_depth[5m])",
        "max by (lead) (crmbridge_workers)",
        "rate(crmbridge_workers_bucket[5m])",
    ],
)
def test_an_expression_that_finds_nothing_is_seen(text: str) -> None:
    with pytest.raises(AssertionError):
        check(text)


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        shown = " ".join(rule["annotations"].values())
        used = Used(rule["expr"])
        for label in re.findall(r"\$labels\.([a-z_]+)", shown):
            assert label in used.named | TARGET, f"{rule['alert']} has no label {label}"


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        family_of(selector.name).name
        for where, text in ALL
        if where.startswith("panel")
        for selector, _ in Used(text).selectors
    }
    # what only says how another is to be read
    silent = {
        "crmbridge_deliveries_waiting_oldest_seconds",
        "crmbridge_look_ups_waiting_oldest_seconds",
        "crmbridge_queue_depth_most",
        "crmbridge_source_configured",
        "crmbridge_campaign_configured",
        "crmbridge_worker_last_beat_timestamp_seconds",
        "crmbridge_events_total",
        "crmbridge_opt_outs_lapsed",
    }
    assert {family.name for family in FAMILIES} - silent == shown
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", variable["definition"]
            ).groups()  # type: ignore[union-attr]
            assert label in BY_NAME[name].labels


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    ids = [one["id"] for one in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    for one in dashboard()["panels"]:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), one["title"]) == one["title"]


def test_the_scrape_configuration_names_what_there_is() -> None:
    text = (MONITORING / "prometheus-scrape.yml").read_text("utf-8")
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("crm-bridge", "/metrics")
    assert 'job="crm-bridge"' in (MONITORING / "prometheus-alerts.yml").read_text("utf-8")
    assert "BRIDGE_METRICS_TOKEN" in text
    assert "BRIDGE_METRICS_TOKEN" in SETTINGS


def test_the_page_of_metrics_is_in_step() -> None:
    assert (DOCS / "metrics.md").read_text("utf-8") == page()
