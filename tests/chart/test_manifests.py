"""The chart is accepted: by Helm's linter, by the schemas of Kubernetes from the oldest to the newest release, and by
those of every operator whose objects it makes; and it refuses values that would have no effect or do harm.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml
from helm_python import HelmError, lint

from ops.chart_tables import CHART
from tests.chart.rendering import NEWEST, OLDEST, PROFILES, Deployment, Object, objects_of, of_kind, render, values_of

CUSTOM = {path.stem: path for path in (Path(__file__).parent / "crds").glob("*.json")}
# It reads its megabytes of schemas again for each object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


@cache
def custom_schema(kind: str) -> Any:
    return json.loads(CUSTOM[kind].read_text())


def problems(each: Object, kubernetes: str) -> list[str]:
    """What a strict server of that release would say of the object."""
    return _problems(json.dumps(each), kubernetes)


@cache  # profiles have most objects in common
def _problems(text: str, kubernetes: str) -> list[str]:
    each = json.loads(text)
    name = f"{each['kind']} {each['metadata'].get('name')}"
    if each["kind"] in CUSTOM:
        errors = jsonschema.Draft7Validator(custom_schema(each["kind"])).iter_errors(each)
        return [f"{name}: {error.json_path}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(each, kubernetes, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"{name}: {error}"]
    return []


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("profile", PROFILES)
def test_helm_lints_every_profile(profile: str, kubernetes: str) -> None:
    report = lint(CHART, values_of(PROFILES[profile]), strict=True, kube_version=f"v{kubernetes}.0")
    # 1 is for information: charts of public catalogues have an icon.
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("profile", PROFILES)
def test_kubernetes_and_the_operators_accept_every_object(profile: str, kubernetes: str) -> None:
    objects = render(PROFILES[profile], kubernetes)
    assert len(objects) > 15
    assert [problem for each in objects for problem in problems(each, kubernetes)] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_names_are_unique_and_every_name_of_an_object_is_one(profile: str) -> None:
    names = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in objects_of(profile)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, _, name in names)


def test_every_kind_of_the_chart_is_rendered_by_some_profile() -> None:
    kinds = {each["kind"] for profile in PROFILES for each in objects_of(profile)}
    written = {
        line.split()[-1]
        for path in (CHART / "templates").glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("kind: ")
    }
    # Rules and dashboards come with their files: test_monitoring.py.
    assert kinds | {"PrometheusRule", "ConfigMap"} == written
    assert CUSTOM.keys() <= written


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", {"spec": {"replica": 2}}),
        ("NetworkPolicy", {"spec": {"policyType": ["Ingress"]}}),
        ("PodDisruptionBudget", {"apiVersion": "policy/v1beta1"}),
        ("HorizontalPodAutoscaler", {"apiVersion": "autoscaling/v2beta2"}),
        ("IngressRoute", {"spec": {"entryPoint": ["web"]}}),
        ("Middleware", {"spec": {"rateLimits": {}}}),
        ("Certificate", {"spec": {"dnsName": ["wallet"]}}),
        ("ScaledObject", {"spec": {"triggers": [{"type": "cpu", "meta": {}}]}}),
        ("ServiceMonitor", {"spec": {"endpoints": [{"ports": "http"}]}}),
        ("ServersTransport", {"spec": {"maxIdleConnsPerHost": "many"}}),
    ],
)
def test_a_misspelt_key_or_a_removed_version_is_seen(kind: str, change: Mapping[str, Any]) -> None:
    each, *_ = deepcopy(of_kind(objects_of("all-operators"), kind))
    assert problems(each, NEWEST) == []
    for key, value in change.items():
        each[key] = {**each[key], **value} if isinstance(value, dict) else value
    assert problems(each, NEWEST) != []


REFUSED = {
    "latest": {"image": {"tag": "latest"}},
    "no https": {"publicUrl": "http://pay.example.com"},
    "no address": {"publicUrl": ""},
    "unknown value": {"imagee": {}},
    "unknown value of a service": {"services": {"wallet": {"replica": {"min": 3}}}},
    "no such service": {"services": {"walet": {"poolSize": 2}}},
    "settings of no service": {"settings": {"walet": {}}},
    "digest of no service": {"image": {"digests": {"walet": "sha256:" + "0" * 64}}},
    "no digest": {"image": {"digests": {"wallet": "0.1.0"}}},
    "no such setting": {"settings": {"wallet": {"POOLSIZE": "2"}}},
    "setting of another service": {"settings": {"wallet": {"SMTP_HOST": "smtp.example.com"}}},
    "secret among the settings": {"settings": {"all": {"JWT_SECRET": "0123456789"}}},
    "secret of a service among its settings": {"settings": {"payment": {"DATABASE_URL": "postgresql://x"}}},
    "setting of the chart": {"settings": {"all": {"HTTP_PORT": "80"}}},
    "setting that is missing": {"settings": {"payment": {"CASHFREE_APP_ID": ""}}},
    "number for a setting": {"settings": {"all": {"REDIS_TIMEOUT_MS": 100}}},
    "no encryption": {"grpc": {"tls": "off"}},
    "no such setting of the edge": {"edge": {"settings": {"RATE": "1"}}},
    "hops apart from the services'": {"edge": {"settings": {"TRUSTED_PROXY_HOPS": "2"}}},
    "caller without a call": {"networkPolicy": {"callers": {"somebody": []}}},
    "egress of no service": {"networkPolicy": {"egress": {"walet": []}}},
    "more connections than the role has": {"services": {"payment": {"replicas": {"max": 6}}}},
    "end before a statement's": {"shutdown": {"graceSeconds": 30}},
    "secrets after the migrations": {"secrets": {"external": {"enabled": True, "store": {"name": "vault"}}}},
    "secrets of no store": {"parts": {"services": False}, "secrets": {"external": {"enabled": True}}},
    "resources without limits": {"service": {"resources": {"limits": None}}},
}  # fmt: skip


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED)
def test_values_that_cannot_be_meant_are_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(HelmError):
        render(Deployment(values=values))


def test_a_release_whose_objects_would_have_no_names_is_refused() -> None:
    longest = "c" * 34
    assert all(len(each["metadata"]["name"]) <= 63 for each in render(Deployment(release=longest)))
    with pytest.raises(HelmError, match="34 characters"):
        render(Deployment(release=longest + "c"))


def test_the_public_port_is_no_part_of_the_host() -> None:
    objects = render(Deployment(values={"publicUrl": "https://pay.example.com:8443"}))
    matches = [route["match"] for each in of_kind(objects, "IngressRoute") for route in each["spec"]["routes"]]
    assert all("Host(`pay.example.com`)" in match for match in matches)


def test_the_defaults_alone_deploy_nothing() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["publicUrl"] == ""
    assert not values["secrets"]["external"]["store"]["name"]


def test_a_pooler_takes_more_connections() -> None:
    values = {"services": {"payment": {"replicas": {"max": 20}}}, "settings": {"payment": {"DATABASE_POOLER": "true"}}}
    assert render(Deployment(values=values))


def test_a_digest_goes_before_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    objects = render(Deployment(values={"image": {"digests": {"wallet": digest}}}))
    images = {
        container["image"]
        for each in of_kind(objects, "Deployment", "Job")
        for container in each["spec"]["template"]["spec"]["containers"]
        if "wallet" in container["image"]
    }
    assert images == {f"registry.example.com/commdesk/wallet@{digest}"}


def test_migrations_come_first_and_one_after_the_other() -> None:
    objects = objects_of("hosted")
    hooks: dict[int, set[str]] = {}
    for each in objects:
        annotations = each["metadata"].get("annotations", {})
        if "helm.sh/hook" in annotations:
            assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
            hooks.setdefault(int(annotations["helm.sh/hook-weight"]), set()).add(each["kind"])
    # Helm waits for each hook before it starts the next: account and network, bootstrap, migrations.
    assert hooks == {-20: {"ServiceAccount", "NetworkPolicy"}, -10: {"Job"}, 0: {"Job"}}
    jobs = {each["metadata"]["name"] for each in of_kind(objects, "Job")}
    assert jobs == {name for name in jobs if name.endswith(("-migration", "-bootstrap"))}


def test_what_the_migrations_need_does_not_come_after_them() -> None:
    """A hook of a first release finds nothing of the release but other hooks."""
    objects = objects_of("blue")
    hooks = [each for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    made = {each["metadata"]["name"] for each in objects if each not in hooks}
    for each in of_kind(hooks, "Job"):
        spec = deepcopy(each["spec"]["template"]["spec"])
        named = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        named |= {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
        assert not (named | {spec["serviceAccountName"]}) & made
