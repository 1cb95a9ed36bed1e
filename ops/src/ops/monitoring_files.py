"""The files in monitoring/: rules, their tests, dashboards, and the expressions in them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
import yaml
from msgspec import Struct

from common.telemetry import Definition
from ops import metrics_reference
from ops.ports import ROOT

FOLDER = ROOT / "monitoring"
RULES = FOLDER / "rules"
RULE_TESTS = FOLDER / "rule-tests"
DASHBOARDS = FOLDER / "dashboards"
ALERTMANAGER = FOLDER / "alertmanager.yml"
# What Prometheus adds to every series of a service, and what makes a bucket.
TARGET_LABELS = frozenset({"job", "instance", "service"})
BUCKET = "le"
# Grafana's, for four scrapes.
RATE_INTERVAL = "$__rate_interval"
# Exported by others: Prometheus itself, RabbitMQ (its plugin rabbitmq_prometheus), Traefik, and the client library.
OTHERS: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "process_cpu_seconds_total": frozenset(),
    "process_resident_memory_bytes": frozenset(),
    "rabbitmq_alarms_free_disk_space_watermark": frozenset(),
    "rabbitmq_alarms_memory_used_watermark": frozenset(),
    "rabbitmq_connections": frozenset(),
    "rabbitmq_disk_space_available_bytes": frozenset(),
    "rabbitmq_global_messages_received_total": frozenset({"protocol"}),
    "rabbitmq_global_messages_redelivered_total": frozenset({"protocol", "queue_type"}),
    "rabbitmq_process_resident_memory_bytes": frozenset(),
    "rabbitmq_queue_messages_ready": frozenset(),
    "rabbitmq_queue_messages_unacked": frozenset(),
    "rabbitmq_resident_memory_limit_bytes": frozenset(),
    "traefik_entrypoint_request_duration_seconds_bucket": frozenset(
        {"code", "method", "protocol", "entrypoint", BUCKET}
    ),
    "traefik_entrypoint_requests_total": frozenset({"code", "method", "protocol", "entrypoint"}),
    "traefik_open_connections": frozenset({"entrypoint", "protocol"}),
}


class Rule(Struct, frozen=True):
    """An alert, or a recording rule, whose name has colons."""

    file: str
    name: str
    expression: str
    is_alert: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Panel(Struct, frozen=True):
    """A panel of a dashboard with its expressions."""

    dashboard: str
    title: str
    expressions: tuple[str, ...]


class Selector(Struct, frozen=True):
    """A series that an expression selects, and the labels by which it does."""

    name: str
    labels: frozenset[str]


def rules() -> list[Rule]:
    return [
        Rule(
            path.stem,
            rule.get("alert") or rule["record"],
            rule["expr"],
            "alert" in rule,
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def rule_tests() -> list[dict[str, Any]]:
    """Every case of promtool's files."""
    return [test for path in sorted(RULE_TESTS.glob("*.yml")) for test in yaml.safe_load(path.read_text())["tests"]]


def panels() -> list[Panel]:
    found = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if "targets" in panel:
                expressions = tuple(target["expr"] for target in panel["targets"])
                found.append(Panel(path.stem, panel["title"], expressions))
    return found


def selectors(expression: str) -> list[Selector]:
    """Every series that *expression* selects. Raises ValueError when it is no PromQL.

    Grafana puts a range in the place of its variable.
    """
    return [*_selectors(promql_parser.parse(expression.replace(RATE_INTERVAL, "5m")))]


def _selectors(node: Any) -> Iterator[Selector]:
    match node:
        case promql_parser.VectorSelector():
            yield Selector(node.name or "", frozenset(matcher.name for matcher in node.matchers.matchers))
        case promql_parser.MatrixSelector():
            yield from _selectors(node.vector_selector)
        case promql_parser.BinaryExpr():
            yield from (*_selectors(node.lhs), *_selectors(node.rhs))
        case promql_parser.Call():
            for argument in node.args:
                yield from _selectors(argument)
        case promql_parser.AggregateExpr():
            yield from _selectors(node.expr)
            if node.param is not None:
                yield from _selectors(node.param)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from _selectors(node.expr)


def exported_labels() -> dict[str, frozenset[str]]:
    """Every series that may be selected, with its labels."""
    found = {name: labels | TARGET_LABELS for name, labels in OTHERS.items()}
    for definitions in metrics_reference.services_definitions().values():
        for definition in definitions:
            found |= {name: _labels(definition, name) for name in metrics_reference.series(definition)}
    return found | {rule.name: frozenset[str]() for rule in rules() if not rule.is_alert}


def _labels(definition: Definition, name: str) -> frozenset[str]:
    bucket = {BUCKET} if name == f"{definition.name}_bucket" else set()
    return frozenset(definition.labels) | TARGET_LABELS | bucket
