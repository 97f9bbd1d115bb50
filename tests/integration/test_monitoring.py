"""The dashboard and the alerts name metrics and labels that the library, and the server's INFO, have."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Metric

from servers import Server
from valkey_vector import Index, InvalidInputError, Record
from valkey_vector.cache import SemanticCache
from valkey_vector.connection.observation import note_fallback
from valkey_vector.engines.search.partial import LIVING_SHARDS
from valkey_vector.operations import SearchStatistics
from valkey_vector.operations.server_statistics import parse_info
from valkey_vector.telemetry import instrument, uninstrument

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docker" / "monitoring"
TARGET = {"instance", "job"}
"""Labels that Prometheus adds to everything."""

EXPORTED = {
    "redis_memory_used_bytes": "used_memory",
    "redis_memory_max_bytes": "maxmemory",
    "redis_evicted_keys_total": "evicted_keys",
    "redis_expired_keys_total": "expired_keys",
    "redis_rdb_last_bgsave_status": "rdb_last_bgsave_status",
    "redis_aof_last_write_status": "aof_last_write_status",
}
"""Metrics of redis_exporter 1.88 that are renamed: name -> field of INFO."""

FROM_ELSEWHERE = {"redis_up", "redis_cluster_state", "redis_master_link_up"}
"""Metrics of redis_exporter that are not in INFO of a primary."""

Names = dict[str, set[str]]
"""Metric -> its labels."""


def in_prometheus(name: str) -> str:
    """The name or label that OpenTelemetry's rules for Prometheus make of a name."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def translated(metric: Metric) -> Names:
    """The names in Prometheus of a metric of the SDK, with the labels of its points."""
    unit = metric.unit or ""
    base = in_prometheus(metric.name) + ("" if unit.startswith("{") else {"s": "_seconds"}[unit])
    attributes = [point.attributes or {} for point in metric.data.data_points]
    labels = {in_prometheus(key) for each in attributes for key in each}
    if isinstance(metric.data, Histogram):
        return {
            f"{base}_bucket": labels | {"le"},
            f"{base}_count": labels,
            f"{base}_sum": labels,
        }
    return {f"{base}_total": labels}


def at_work(index: Index, cache: SemanticCache) -> None:
    index.upsert([Record(id="1", vector=[1.0, 0.0])])
    index.search([1.0, 0.0], k=1)
    with pytest.raises(InvalidInputError):
        index.search([1.0])

    def compute(prompt: str) -> str:
        note_fallback("more candidates")
        return prompt

    cache.get_or_compute("prompt @0", compute)
    cache.lookup("prompt @0")


@pytest.fixture
def emitted(open_index: Callable[..., Index], cache: SemanticCache) -> Names:
    reader = InMemoryMetricReader()
    instrument(meter_provider=MeterProvider([reader]))
    try:
        at_work(open_index("-articles", dimension=2), cache)
    finally:
        uninstrument()
    data = reader.get_metrics_data()
    assert data is not None
    names: Names = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                names |= translated(metric)
    return names


def used(expression: str) -> tuple[Names, set[str]]:
    """The metrics of a PromQL expression with the labels in their braces, and the labels of its clauses."""
    named: Names = defaultdict(set)
    clauses = {
        label
        for listed in re.findall(r"\b(?:by|on|group_left|without)\s*\(([^)]*)\)", expression)
        for label in re.findall(r"\w+", listed)
    }
    plain = re.sub(r"\b(?:by|on|group_left|without)\s*\([^)]*\)", " ", expression)
    for name, matchers in re.findall(r"\b([a-z_]\w*)\b(?!\s*\()\s*(\{[^}]*\})?", blanked(plain)):
        if name not in {"or", "and", "by", "on", "d", "h", "m", "s"}:
            named[name] |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return named, clauses


def blanked(expression: str) -> str:
    """An expression without the content of strings and without ranges."""
    return re.sub(r"\[[^\]]*\]", "", re.sub(r'"[^"]*"', '""', expression))


def expressions() -> Iterator[tuple[str, str]]:
    """Where and what: each expression of the dashboard and of the alerts."""
    dashboard = json.loads((MONITORING / "grafana" / "valkey-vector.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["definition"])[0]
        yield variable["label"], f"sum by ({label}) ({metric})"
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    for group in alerts["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def of_the_exporter(metric: str, info: dict[str, str]) -> bool:
    """True if redis_exporter has this metric of a server with this INFO."""
    if metric in FROM_ELSEWHERE:
        return True
    if field := EXPORTED.get(metric):
        return field in info
    fields = set(SearchStatistics.__dataclass_fields__)
    field = metric.removeprefix("redis_search_")
    return metric != field and (field in fields or re.sub("_count$", "_cnt", field) in fields)


def test_every_metric_of_the_dashboard_and_the_alerts_exists(
    emitted: Names, native_server: Server
) -> None:
    info = parse_info(native_server.command("INFO", "everything"))
    seen: set[str] = set()
    for where, expression in expressions():
        named, clauses = used(expression)
        labels: set[str] = set(TARGET)
        for metric, matched in named.items():
            if metric.startswith("redis_"):
                assert of_the_exporter(metric, info), (where, metric)
                assert matched <= TARGET, (where, metric)
            else:
                assert metric in emitted, (where, metric)
                assert matched <= emitted[metric] | TARGET, (where, metric)
                labels |= emitted[metric]
        assert named, where
        assert clauses <= labels, where
        seen |= set(named)
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in emitted}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in seen}
    assert families <= shown, "a metric of the library is on no panel"


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        (
            'sum by (a, b) (rate(x_total{c="y_z", d=~"e|f"}[5m])) > 0.5',
            {"x_total": {"c", "d"}},
            {"a", "b"},
        ),
        ("p / (q > 0) > 0.8", {"p": set(), "q": set()}, set()),
        ("a_b == 0 or c_d == 0", {"a_b": set(), "c_d": set()}, set()),
        ("histogram_quantile(0.9, sum by (le) (rate(h_bucket[1m])))", {"h_bucket": set()}, {"le"}),
    ],
)
def test_the_names_in_an_expression_are_found(
    expression: str, metrics: Names, labels: set[str]
) -> None:
    named, clauses = used(expression)
    assert dict(named) == metrics
    assert clauses == labels


def test_the_alert_on_partial_results_names_the_fallback_of_partial_reads() -> None:
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    rules = {rule["alert"]: rule["expr"] for group in alerts["groups"] for rule in group["rules"]}
    assert f'{{method="{LIVING_SHARDS}"}}' in rules["ValkeyVectorPartialResults"]
    assert f'{{method!="{LIVING_SHARDS}"}}' in rules["ValkeyVectorFallbacks"]


def test_every_alert_is_explained() -> None:
    explained = (ROOT / "docs" / "how-to" / "monitoring.md").read_text("utf-8")
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    names = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    assert len(names) >= 10
    assert {name for name in names if f"`{name}`" not in explained} == set()


def test_every_panel_reads_the_provisioned_data_source() -> None:
    dashboard = json.loads((MONITORING / "grafana" / "valkey-vector.json").read_text("utf-8"))
    sources = yaml.safe_load((MONITORING / "grafana" / "datasources.yaml").read_text("utf-8"))
    uids = {source["uid"] for source in sources["datasources"]}
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    used_sources = {
        part["datasource"]["uid"] for panel in panels for part in [panel, *panel["targets"]]
    }
    assert used_sources == uids


def metrics_in(output: str) -> set[str]:
    """The names of the metrics that the console exporter printed."""
    decoder, names = json.JSONDecoder(), set()
    for found in re.finditer(r"^\{", output, re.MULTILINE):
        printed: dict[str, Any] = decoder.raw_decode(output, found.start())[0]
        for resource in printed.get("resource_metrics", []):
            for scope in resource["scope_metrics"]:
                names |= {metric["name"] for metric in scope["metrics"]}
    return names


def test_the_cookbook_prints_spans_and_metrics(search_server: Server) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "cookbook" / "monitoring.py"), "--url", search_server.url],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert {
        "db.client.operation.duration",
        "valkey_vector.round_trips",
        "valkey_vector.candidates",
        "valkey_vector.cache.lookups",
    } <= metrics_in(ended.stdout)
    assert '"db.operation.name": "search"' in ended.stdout
    assert '"trace_id"' in ended.stdout
