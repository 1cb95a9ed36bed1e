"""docs/reference/metrics.md: what the services export, from the metrics that their code registers."""

import importlib
from collections.abc import Iterator, Mapping
from functools import cache

from common.services import SERVICES
from common.telemetry import DEFINITIONS, PREFIX, Definition
from ops.contract_reference import GENERATED
from ops.ports import ROOT

COMMON = "common"
# Every label that a metric may have, and the closed set that its values are from. A test compares: of a label that is
# not here nobody has said what bounds it.
LABELS: Mapping[str, str] = {
    "account": "accounts of the ledger's chart",
    "age": "days: 0-2, 3-7, 8-30, 31+",
    "asset": "INR, CREDIT",
    "batcher": "the batchers of the service, one for each kind of write",
    "currency": "ISO 4217 codes",
    "decision": "ALLOW, REVIEW, BLOCK",
    "engine": "database, broker, redis",
    "error": "classes of errors of the Redis client",
    "gateway": "gateways that are built in",
    "kind": "kinds of reconciliation cases",
    "method": "HTTP methods, gRPC methods of the contract, or payment methods",
    "mode": "ACTIVE, SHADOW",
    "operation": "operations of the gateway port",
    "outcome": "the outcomes that the meaning names",
    "policy": "open, closed",
    "queue": "queues of the contract",
    "reason": "codes of the catalogue of errors, or reasons of the server",
    "reference": "what the checks of reconciliation compare",
    "route": "path templates of the API; every other path is `unmatched`",
    "rule": "rules of fraud",
    "scope": "role and server, or DELIVERIES and ALL",
    "state": "idle, used",
    "status": "HTTP statuses, gRPC status names, or statuses of payments",
    "template": "templates of mails",
}
_UNITS = {"seconds": "s", "bytes": "B", "total": "count"}


def services_definitions() -> dict[str, list[Definition]]:
    """The definitions by service, those of every service under COMMON. What tests register is not among them."""
    for service in SERVICES.values():
        importlib.import_module(f"{service.package}.__main__")
    found: dict[str, list[Definition]] = {}
    for definition in DEFINITIONS.values():
        if (owner := _owner(definition.name)) is not None:
            found.setdefault(owner, []).append(definition)
    return {owner: sorted(group, key=lambda each: each.name) for owner, group in sorted(found.items())}


def series(definition: Definition) -> Iterator[str]:
    """The names under which Prometheus stores the metric."""
    if definition.kind == "histogram":
        yield from (f"{definition.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
    else:
        yield definition.name


def metrics_page() -> str:
    """Every metric with its type, labels, unit and meaning."""
    groups = services_definitions()
    lines = ["# Metrics", "", GENERATED, ""]
    lines += [
        "What `/metrics` of each service exports. Prometheus adds `job`, `instance` and `service`. A histogram `x` is",
        "stored as `x_bucket{le}`, `x_count` and `x_sum`. [Observability](../operating/observability.md) says which to",
        "watch, [the recipe](../recipes/add-a-metric.md) how to add one. The process's own (`process_…`) come besides.",
        "",
        "## Every service",
        "",
        *_table(groups.pop(COMMON)),
    ]
    for service in SERVICES:
        lines += ["", f"## {service}", ""]
        lines += _table(groups[service]) if service in groups else ["None of its own."]
    lines += [
        "",
        "## Labels",
        "",
        "Each has a closed set of values: every set of values is a series for as long as a process lives.",
        "",
    ]
    lines += ["| label | values |", "|---|---|", *(f"| `{name}` | {values} |" for name, values in LABELS.items())]
    return "\n".join(lines) + "\n"


def _table(definitions: list[Definition]) -> Iterator[str]:
    yield from ("| metric | type | labels | unit | meaning |", "|---|---|---|---|---|")
    for each in definitions:
        labels = ", ".join(f"`{label}`" for label in each.labels) or "–"
        unit = _UNITS.get(each.name.rpartition("_")[2], "–" if each.kind == "gauge" else "count")
        yield f"| `{each.name}` | {each.kind} | {labels} | {unit} | {each.documentation} |"


def _owner(name: str) -> str | None:
    """The service in whose source the name stands, COMMON for the library, None when in neither."""
    literal = f'"{name.removeprefix(PREFIX)}"'
    return next((owner for owner, text in _sources().items() if literal in text), None)


@cache
def _sources() -> Mapping[str, str]:
    folders = {COMMON: ROOT / "libs/common/src"} | {name: ROOT / "services" / name / "src" for name in SERVICES}
    return {
        owner: "\n".join(path.read_text() for path in sorted(folder.rglob("*.py"))) for owner, folder in folders.items()
    }
