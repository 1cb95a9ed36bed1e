"""The chart rendered as each kind of deployment, by Helm itself, without a cluster."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, _native
from msgspec import Struct

from ops.chart_tables import CHART

NAMESPACE = "pay"
# The oldest supported release of Kubernetes (kubeVersion of Chart.yaml), and the newest that the schemas know.
OLDEST, NEWEST = "1.30", "1.37"

Object = dict[str, Any]


class Deployment(Struct, frozen=True):
    """Values files of helm/values in their order, what the deployment says besides, and its release."""

    files: tuple[str, ...] = ()
    values: Mapping[str, Any] = {}
    release: str = "commdesk"


ONLY_SERVICES = {"shared": False, "services": True, "edge": False}
PROFILES = {
    "in-cluster": Deployment(("in-cluster",)),
    "neon": Deployment(("neon",)),
    "cloudamqp": Deployment(("cloudamqp",)),
    "upstash": Deployment(("upstash",)),
    "hosted": Deployment(
        ("neon", "cloudamqp", "upstash"),
        {"migration": {"bootstrap": {"enabled": True}}, "edge": {"settings": {"CORS_ORIGINS": "https://a.example"}}},
    ),
    "mesh": Deployment(("in-cluster",), {"grpc": {"tls": "mesh"}}),
    "all-operators": Deployment(("in-cluster",), {"keda": {"enabled": True}, "monitoring": {"enabled": True}}),
    # Blue-green: one release of what both share, one of each colour, one of the edge.
    "shared": Deployment(
        ("in-cluster",),
        {
            "parts": {"shared": True, "services": False, "edge": False},
            "secrets": {"external": {"enabled": True, "store": {"name": "vault"}}},
        },
        "commdesk-shared",
    ),
    "blue": Deployment(
        ("in-cluster",),
        {"parts": ONLY_SERVICES, "secrets": {"external": {"enabled": True, "store": {"name": "vault"}}}},
        "commdesk-blue",
    ),
    "edge": Deployment(
        ("in-cluster",),
        {"parts": {"shared": False, "services": False, "edge": True}, "edge": {"release": "commdesk-blue"}},
        "commdesk-edge",
    ),
    "trial": Deployment(("trial",)),
}
# Those that run the services; a trial is let off some rules.
WORKLOADS = [name for name in PROFILES if name not in ("shared", "edge", "trial")]


def values_of(deployment: Deployment, chart: Path = CHART) -> dict[str, Any]:
    """What `helm -f … -f … --set …` would pass."""
    merged: dict[str, Any] = {}
    for name in ("example", *deployment.files):
        _merge(merged, yaml.safe_load((chart / "values" / f"{name}.yaml").read_text()))
    return _merge(merged, deepcopy(dict(deployment.values)))


def render(deployment: Deployment, kubernetes: str = NEWEST, chart: Path = CHART) -> list[Object]:
    """Every object of the chart. Raises HelmError where the chart refuses the values."""
    options = {"name": deployment.release, "namespace": NAMESPACE, "kube_version": f"{kubernetes}.0"}
    with Chart.load(chart) as loaded:
        # The package's own `render` takes no version of Kubernetes.
        rendered = _native.call_string(
            "helm_render", loaded._raw(), json.dumps(values_of(deployment, chart)), json.dumps(options)
        )
    manifests = {path: text for path, text in json.loads(rendered).items() if path.endswith(".yaml")}
    return [each for text in manifests.values() for each in yaml.load_all(text, yaml.CSafeLoader) if each]


@cache
def objects_of(profile: str) -> list[Object]:
    """The objects of a profile, shared by the tests: one that changes them copies them before."""
    return render(PROFILES[profile])


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def templates(objects: list[Object]) -> dict[str, Object]:
    """The template of every pod that the objects start, by the name of the object."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind(objects, "Deployment", "Job")}


def containers(template: Object) -> list[Object]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]


def environment(container: Object) -> dict[str, str]:
    """The variables that are given in plain."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def secrets_of(template: Object) -> set[str]:
    """The Secrets that a pod is given, as variables and as files."""
    volumes = template["spec"].get("volumes", [])
    return {each["name"] for each in references(template, "secretKeyRef")} | {
        each["secret"]["secretName"] for each in volumes if "secret" in each
    }


def scalers_of(objects: list[Object]) -> dict[str, tuple[int, int]]:
    """By the Deployment's name, the least and the most replicas."""
    specs = [each["spec"] for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")]
    return {
        spec["scaleTargetRef"]["name"]: (
            spec.get("minReplicas") or spec.get("minReplicaCount", 0),
            spec.get("maxReplicas") or spec.get("maxReplicaCount", 0),
        )
        for spec in specs
    }


def references(value: Any, key: str) -> Iterator[Object]:
    """Every mapping that stands under *key*, however deep."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == key:
                yield part
            yield from references(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from references(part, key)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
    return into
