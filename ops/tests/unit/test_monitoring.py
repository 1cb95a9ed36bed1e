"""Alerts, dashboards, Alertmanager's routes: what they name exists; each alert fires and is silent in its cases."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from common.services import SERVICES
from ops import metrics_reference, monitoring_files, monitoring_servers
from ops.monitoring_files import ALERTMANAGER, RULE_TESTS, RULES, Rule
from ops.ports import ROOT

RULE_LIST = monitoring_files.rules()
ALERTS = [rule for rule in RULE_LIST if rule.is_alert]
PANELS = monitoring_files.panels()
EXPORTED = monitoring_files.exported_labels()
SEVERITIES = {"page": "page", "ticket": "digest"}
# Requirements S000 §9 and S001 on alerts, and what issue 14 adds.
REQUIRED = {
    "webhook downtime": "WebhooksAbsent",
    "failed webhooks": "WebhooksRefused",
    "queue failures": "QueueEventsFail",
    "queue stuck": "QueueStuck",
    "queue overload": "QueueOverloaded",
    "payment spike": "PaymentSpike",
    "refund spike": "RefundSpike",
    "DLQ growth": "DeadLettersGrow",
    "high failure rate": "PaymentFailuresHigh",
    "reconciliation mismatch": "ReconciliationMismatch",
    "fraud spike": "FraudSpike",
    "negative balance": "NegativeBalance",
    "PostgreSQL connections": "DatabaseConnectionsShort",
    "Redis outage": "RedisDown",
    "RabbitMQ failure": "BrokerDown",
    "backup age": "BackupTooOld",
    "base backup age": "BaseBackupTooOld",
    "create within a second": "CreateObjectiveBurnsFast",
    "webhook to credits within a minute": "CreditsObjectiveBurnsFast",
}


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: ops/install.sh --monitoring"
    return found


def run(*command: str) -> str:
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout.strip()


def unknown(expression: str) -> list[str]:
    """Series that nobody exports, and labels that they do not have."""
    problems = []
    for selector in monitoring_files.selectors(expression):
        if selector.name not in EXPORTED:
            problems.append(f"nobody exports {selector.name}")
        elif selector.labels - EXPORTED[selector.name]:
            problems.append(f"{selector.name} has no label {sorted(selector.labels - EXPORTED[selector.name])}")
    return problems


def by_name(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_prometheus_reads_the_rules(path: Path) -> None:
    run(program("promtool"), "check", "rules", "--lint-fatal", str(path))


@pytest.mark.parametrize("path", sorted(RULE_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_and_are_silent(path: Path) -> None:
    run(program("promtool"), "test", "rules", str(path))


@pytest.mark.parametrize("rule", ALERTS, ids=by_name)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(rule: Rule) -> None:
    """A silent case without the series that the alert looks at would prove nothing; nor does a look before it fires."""
    recorded = {each.name: each for each in RULE_LIST if not each.is_alert}
    series: set[str] = set()
    for selector in monitoring_files.selectors(rule.expression):
        sources = recorded.get(selector.name)
        series |= {each.name for each in monitoring_files.selectors(sources.expression)} if sources else {selector.name}
    cases = {True: 0, False: 0}
    for test in monitoring_files.rule_tests():
        given = {each["series"].partition("{")[0] for each in test["input_series"]}
        looks = [bool(each["exp_alerts"]) for each in test["alert_rule_test"] if each["alertname"] == rule.name]
        if looks and given & series:
            cases[any(looks)] += 1
    assert cases[True], "no case in which it fires"
    assert cases[False], "no case in which it is silent"


@pytest.mark.parametrize("rule", RULE_LIST, ids=by_name)
def test_what_a_rule_names_is_exported(rule: Rule) -> None:
    assert unknown(rule.expression) == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.dashboard}: {panel.title}")
def test_what_a_panel_names_is_exported(panel: monitoring_files.Panel) -> None:
    assert panel.expressions
    for expression in panel.expressions:
        assert unknown(expression) == []


def test_a_misspelt_name_or_label_is_found() -> None:
    assert unknown("max(commdesk_queue_lags_seconds) > 60") == ["nobody exports commdesk_queue_lags_seconds"]
    assert unknown('rate(commdesk_http_requests_total{code="500"}[5m])') == [
        "commdesk_http_requests_total has no label ['code']"
    ]


def test_the_alerts_that_are_asked_for_exist() -> None:
    names = [rule.name for rule in ALERTS]
    assert set(REQUIRED.values()) <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", ALERTS, ids=by_name)
def test_each_alert_has_a_severity_a_summary_and_a_runbook(rule: Rule) -> None:
    assert set(rule.labels) == {"severity"}
    assert rule.labels["severity"] in SEVERITIES
    assert rule.annotations.keys() == {"summary", "runbook"}
    path, _, anchor = rule.annotations["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / path).read_text(), flags=re.M)
    assert rule.name in headings
    assert anchor == rule.name.lower()
    assert Path(path).stem == rule.file


def test_each_section_of_a_runbook_is_about_an_alert() -> None:
    names = {rule.name for rule in ALERTS}
    for path in (ROOT / "docs/operating/runbooks").glob("*.md"):
        if path.name != "README.md":
            assert set(re.findall(r"^## (.+)$", path.read_text(), flags=re.M)) <= names, path.name


def test_alertmanager_sends_each_severity_where_it_belongs() -> None:
    run(program("amtool"), "check-config", str(ALERTMANAGER))
    for severity, receiver in SEVERITIES.items():
        routed = run(
            program("amtool"), "config", "routes", "test", "--config.file", str(ALERTMANAGER), f"severity={severity}"
        )
        assert routed == receiver


def test_the_servers_of_a_local_stack_read_what_is_written_for_them(tmp_path: Path) -> None:
    description = {
        "services": {
            name: {
                "replicas": {each: {"http": f"http://127.0.0.1:{port}"} for each, port in ((name, 1), ("second", 2))}
            }
            for name in SERVICES
        },
        "rabbitmq": {"metrics_url": "http://127.0.0.1:18011/metrics"},
        "edge_metrics_url": "http://127.0.0.1:18001/metrics",
        "smtp": {"host": "127.0.0.1", "port": 18008},
    }
    prometheus, alertmanager = tmp_path / "prometheus.yml", tmp_path / "alertmanager.yml"
    configuration = monitoring_servers.prometheus_configuration(description, "127.0.0.1:18018", 2)
    prometheus.write_text(yaml.safe_dump(configuration))
    alertmanager.write_text(yaml.safe_dump(monitoring_servers.alertmanager_configuration(description)))
    run(program("promtool"), "check", "config", str(prometheus))
    run(program("amtool"), "check-config", str(alertmanager))
    scraped = [
        target["labels"]["service"]
        for job in configuration["scrape_configs"]
        if job["job_name"] == "commdesk"
        for target in job["static_configs"]
    ]
    assert sorted(scraped) == sorted([*SERVICES] * 2), "every replica is scraped"


def test_what_alertmanager_leaves_out_is_an_alert() -> None:
    named = re.findall(r'alertname=~?"([^"]+)"', ALERTMANAGER.read_text())
    assert named
    assert {name for each in named for name in each.split("|")} <= {rule.name for rule in ALERTS}


def test_every_label_is_declared_with_its_values() -> None:
    definitions = [each for group in metrics_reference.services_definitions().values() for each in group]
    assert {label for each in definitions for label in each.labels} == set(metrics_reference.LABELS)
    assert not set(metrics_reference.LABELS) & monitoring_files.TARGET_LABELS


def test_every_metric_has_a_name_with_its_unit_and_a_meaning() -> None:
    for definitions in metrics_reference.services_definitions().values():
        for each in definitions:
            assert each.documentation.strip(), each.name
            assert (each.kind == "counter") == each.name.endswith("_total"), each.name
            if each.kind == "histogram" and each.name.endswith("_seconds"):
                assert max(each.buckets) >= 1, each.name


def test_the_metrics_of_a_service_bear_its_name() -> None:
    """Of two services that export the same name, nobody knows whose it is."""
    groups = metrics_reference.services_definitions()
    names = [each.name for group in groups.values() for each in group]
    assert len(names) == len(set(names))
    assert set(groups) - {metrics_reference.COMMON} <= set(SERVICES)
