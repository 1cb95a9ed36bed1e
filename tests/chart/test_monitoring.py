"""Monitors, rules and dashboards; rules and dashboards are files, and come along when they are there."""

import json
import shutil
from pathlib import Path

import yaml

from ops.chart_tables import CHART
from tests.chart.network import selects
from tests.chart.rendering import Deployment, objects_of, of_kind, render
from tests.chart.test_manifests import problems

RULES = """
groups:
  - name: example
    rules:
      - alert: Example
        expr: vector(1) > 0
        for: 1m
        annotations: { summary: "{{ $labels.service }} is at {{ $value }}" }
"""


def test_one_monitor_takes_every_service_once() -> None:
    objects = objects_of("all-operators")
    [monitor] = [each["spec"] for each in of_kind(objects, "ServiceMonitor")]
    [endpoint] = monitor["endpoints"]
    scraped = [
        each["metadata"]["name"]
        for each in of_kind(objects, "Service")
        if selects(monitor["selector"], each["metadata"]["labels"])
        and any(port["name"] == endpoint["port"] for port in each["spec"]["ports"])
    ]
    deployed = [each["metadata"]["name"] for each in of_kind(objects, "Deployment")]
    assert sorted(scraped) == sorted(deployed)
    assert of_kind(objects_of("in-cluster"), "ServiceMonitor") == []


def test_the_scraper_gets_in_only_where_there_is_one() -> None:
    for profile, count in (("all-operators", 1), ("in-cluster", 0)):
        for each in of_kind(objects_of(profile), "NetworkPolicy"):
            if each["metadata"]["name"] != "commdesk-migration":
                text = json.dumps(each["spec"]["ingress"])
                assert text.count('"kubernetes.io/metadata.name": "monitoring"') == count


def test_files_of_rules_and_dashboards_become_objects(tmp_path: Path) -> None:
    chart = tmp_path / "helm"
    shutil.copytree(CHART, chart)
    (chart / "files/rules").mkdir(exist_ok=True)
    (chart / "files/rules/example.yml").write_text(RULES)
    (chart / "files/dashboards").mkdir(exist_ok=True)
    (chart / "files/dashboards/example.json").write_text('{"title": "{{ example }}"}')
    values = {"monitoring": {"enabled": True, "labels": {"release": "prometheus"}}}
    objects = render(Deployment(values=values), chart=chart)
    [rule] = [each for each in of_kind(objects, "PrometheusRule") if each["metadata"]["name"] == "commdesk-example"]
    assert rule["spec"] == yaml.safe_load(RULES)
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert problems(rule, "1.37") == []
    [board] = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].endswith("-example")]
    assert json.loads(board["data"]["example.json"]) == {"title": "{{ example }}"}
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert problems(board, "1.37") == []
