"""Dashboard, alerts and PodMonitor name metrics that exist, and the network policies let Prometheus collect them."""

import json
import re
from typing import Any

import pytest
import yaml
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from tests.helpers.cluster_folder import CLUSTER, objects_of_kind, pods
from tests.helpers.exposed_metrics import exposed_metrics

MONITORING = CLUSTER / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
MONITOR: dict[str, Any] = yaml.safe_load((MONITORING / "podmonitor.yaml").read_text())
RULES: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
METRICS_PORT = 8080
LABELS = {"stage", "reason", "part", "le", "namespace", "pod", "ray_io_cluster"}
"""Labels of amia's metrics, and those that the PodMonitor adds."""


def alerts() -> dict[str, dict[str, Any]]:
    [group] = RULES["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def variable_queries() -> list[str]:
    return [item["query"]["query"] for item in DASHBOARD["templating"]["list"] if item["type"] == "query"]


def metrics_in(expression: str) -> set[str]:
    """Return the names of the metrics in an expression. `ray_io_cluster` is a label."""
    return set(re.findall(r"\bray_\w+", expression)) - {"ray_io_cluster"}


def existing_metrics() -> set[str]:
    """Return the metrics of amia, and those that Ray declares for the nodes of a cluster, with or without GPUs."""
    return exposed_metrics() | {f"ray_{name}" for name in METRICS_GAUGES}


def expressions() -> list[str]:
    return [*panel_expressions(), *variable_queries(), *(rule["expr"] for rule in alerts().values())]


@pytest.mark.parametrize("expression", expressions())
def test_named_metrics_exist(expression: str) -> None:
    assert metrics_in(expression)
    assert metrics_in(expression) <= existing_metrics()


def test_every_metric_of_amia_is_shown() -> None:
    shown = {name for expression in panel_expressions() for name in metrics_in(expression)}
    assert exposed_metrics() - shown == {"ray_amia_shard_seconds_count"}


def test_collected_metrics_are_those_that_are_shown() -> None:
    [endpoint] = MONITOR["spec"]["podMetricsEndpoints"]
    [relabeling] = endpoint["metricRelabelings"]
    assert (relabeling["action"], relabeling["sourceLabels"]) == ("keep", ["__name__"])
    for expression in expressions():
        for name in metrics_in(expression):
            assert re.fullmatch(relabeling["regex"], name), name
    for pattern in relabeling["regex"].split("|"):
        assert any(re.fullmatch(pattern, name) for name in existing_metrics()), pattern


@pytest.mark.parametrize("expression", expressions())
def test_labels_exist(expression: str) -> None:
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
    selected = set(re.findall(r"(\w+)=~?\"", expression))
    assert grouped | selected <= LABELS
    assert expression.count("(") == expression.count(")")


def test_prometheus_reaches_the_metrics_of_every_ray_pod() -> None:
    [endpoint] = MONITOR["spec"]["podMetricsEndpoints"]
    for pod in pods():
        labels = pod.template["metadata"]["labels"]
        is_selected = MONITOR["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert is_selected == pod.ray
        if pod.ray:
            [port] = [port for port in pod.spec["containers"][0]["ports"] if port["name"] == endpoint["port"]]
            assert port["containerPort"] == METRICS_PORT
    [policy] = [tree["spec"] for tree in objects_of_kind("NetworkPolicy") if tree["metadata"]["name"] == "into-ray"]
    [rule] = [rule for rule in policy["ingress"] if {"protocol": "TCP", "port": METRICS_PORT} in rule.get("ports", [])]
    assert rule["ports"] == [{"protocol": "TCP", "port": METRICS_PORT}]
    [peer] = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}


def test_alerts_wait_and_say_what_to_do() -> None:
    assert alerts().keys() == {"AmiaNoProgress", "AmiaManyFailedPosts"}
    for rule in alerts().values():
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_objects_have_known_fields() -> None:
    for tree, kind in ((MONITOR, "PodMonitor"), (RULES, "PrometheusRule")):
        assert (tree["apiVersion"], tree["kind"]) == ("monitoring.coreos.com/v1", kind)
        assert tree["metadata"] == {
            "name": "amia",
            "namespace": "amia",
            "labels": {"release": "kube-prometheus-stack"},
        }
    assert MONITOR["spec"].keys() == {"selector", "podTargetLabels", "podMetricsEndpoints"}
    [endpoint] = MONITOR["spec"]["podMetricsEndpoints"]
    assert endpoint.keys() == {"port", "interval", "scrapeTimeout", "metricRelabelings"}
    for rule in alerts().values():
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}


def test_panels_of_the_dashboard() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert {"Posts per second", "Failed posts by reason", "GPU utilization", "Time left"} <= {
        panel["title"] for panel in panels
    }
    assert all(panel["description"].endswith(".") for panel in panels)
    cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in panels)
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert all(x < 24 for x, _ in cells)
