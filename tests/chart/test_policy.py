"""Every workload of every profile keeps the rules of policy.py, and each rule sees what breaks it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from common.services import SERVICES
from tests.chart import policy
from tests.chart.policy import RULES
from tests.chart.rendering import PROFILES, WORKLOADS, Object, containers, objects_of, of_kind, templates

# Rules about NetworkPolicies, which a trial has none of.
LET_OFF = {"pods_are_confined", "calls_are_those_of_the_contract", "a_release_is_apart_from_another"}

Violation = Callable[[list[Object]], None]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("profile", WORKLOADS)
def test_every_workload_keeps_the_rules(profile: str, rule: str) -> None:
    assert list(RULES[rule](objects_of(profile))) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in LET_OFF])
def test_a_trial_keeps_what_does_not_depend_on_the_network(rule: str) -> None:
    assert list(RULES[rule](objects_of("trial"))) == []


@pytest.mark.parametrize("profile", [*WORKLOADS, "trial"])
def test_every_service_is_deployed_and_migrated(profile: str) -> None:
    names = {name.removeprefix(f"{PROFILES[profile].release}-") for name in templates(objects_of(profile))}
    assert names - {"bootstrap"} == {
        *SERVICES,
        *(f"{name}-migration" for name, row in SERVICES.items() if row.database),
    }


def named(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def pod(objects: list[Object], name: str = "commdesk-payment") -> Object:
    spec: Object = templates(objects)[name]["spec"]
    return spec


def container(objects: list[Object], name: str = "commdesk-payment") -> Object:
    [only] = containers(templates(objects)[name])
    return only


def policy_of(objects: list[Object], service: str) -> Object:
    spec: Object = named(objects, "NetworkPolicy", f"commdesk-{service}")["spec"]
    return spec


def without(objects: list[Object], kind: str, name: str) -> None:
    objects.remove(named(objects, kind, name))


def variable(objects: list[Object], name: str, value: Any, *, of: str = "commdesk-payment") -> None:
    env = container(objects, of)["env"]
    env[:] = [entry for entry in env if entry["name"] != name] + [{"name": name} | value]


def secret(objects: list[Object], name: str, *, of: str = "commdesk-payment") -> None:
    variable(objects, "SOMETHING", {"valueFrom": {"secretKeyRef": {"name": name, "key": "x"}}}, of=of)


def pods_of(component: str) -> Object:
    return {"podSelector": {"matchLabels": {policy.COMPONENT: component}}}


def egress(objects: list[Object], service: str, *components: str, port: int = 9000) -> None:
    selector = {"matchExpressions": [{"key": policy.COMPONENT, "operator": "In", "values": list(components)}]}
    ports = [{"port": port, "protocol": "TCP"}]
    policy_of(objects, service)["egress"].append({"to": [{"podSelector": selector}], "ports": ports})


def ingress(objects: list[Object], service: str, peer: Object, port: int = 9000) -> None:
    policy_of(objects, service)["ingress"].append({"from": [peer], "ports": [{"port": port, "protocol": "TCP"}]})


def open_to_everybody(objects: list[Object]) -> None:
    policy_of(objects, "ledger")["ingress"].append({})
    policy_of(objects, "fraud")["egress"].append({})


def both_sides(objects: list[Object], port: int) -> None:
    egress(objects, "notifier", "wallet", port=port)
    ingress(objects, "wallet", pods_of("notifier"), port)


def second_release(objects: list[Object]) -> None:
    for service in ("payment", "fraud"):
        for rule in [*policy_of(objects, service)["ingress"], *policy_of(objects, service)["egress"]]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                peer.get("podSelector", {}).get("matchLabels", {}).pop("app.kubernetes.io/instance", None)


def update(where: Callable[[list[Object]], Object], **values: Any) -> Violation:
    return lambda objects: where(objects).update(values)


def job(objects: list[Object]) -> Object:
    return container(objects, "commdesk-wallet-migration")


VIOLATIONS: dict[str, list[Violation]] = {
    "pods_run_as_an_ordinary_user": [
        lambda objects: pod(objects)["securityContext"].pop("runAsNonRoot"),
        lambda objects: pod(objects)["securityContext"].update(runAsUser=0),
        lambda objects: container(objects)["securityContext"].update(runAsUser=0),
        lambda objects: pod(objects)["securityContext"].pop("seccompProfile"),
        lambda objects: pod(objects, "commdesk-wallet-migration").pop("securityContext"),
        lambda objects: pod(objects).update(initContainers=[{"image": "a/b:1", "securityContext": {"runAsUser": 0}}]),
    ],
    "containers_have_no_privilege": [
        lambda objects: container(objects)["securityContext"].pop("readOnlyRootFilesystem"),
        lambda objects: job(objects)["securityContext"].update(readOnlyRootFilesystem=False),
        lambda objects: container(objects)["securityContext"].pop("allowPrivilegeEscalation"),
        lambda objects: container(objects)["securityContext"].update(privileged=True),
        lambda objects: container(objects)["securityContext"]["capabilities"].update(add=["NET_RAW"]),
        lambda objects: container(objects).pop("securityContext"),
        update(pod, hostNetwork=True),
        update(pod, volumes=[{"name": "x", "hostPath": {"path": "/"}}]),
        update(container, ports=[{"containerPort": 8000, "hostPort": 80}]),
    ],
    "images_are_pinned": [
        update(container, image="registry.example.com:5000/commdesk/payment"),
        update(container, image="commdesk/payment:latest"),
        update(job, image="commdesk/wallet"),
    ],
    "resources_are_bounded": [
        lambda objects: container(objects).pop("resources"),
        lambda objects: container(objects)["resources"].pop("limits"),
        lambda objects: container(objects)["resources"]["limits"].pop("cpu"),
        lambda objects: job(objects)["resources"]["requests"].pop("memory"),
        update(pod, volumes=[{"name": "x", "emptyDir": {}}]),
    ],
    "services_are_probed": [
        lambda objects: container(objects).pop("startupProbe"),
        lambda objects: container(objects).pop("readinessProbe"),
        lambda objects: container(objects).pop("livenessProbe"),
        update(container, readinessProbe={"httpGet": {"path": "/health/ready", "port": "http"}}),
        lambda objects: variable(objects, "GRPC_TLS", {"value": "mesh"}),
    ],
    "secrets_are_references": [
        lambda objects: objects.append({"kind": "Secret", "metadata": {"name": "x"}, "data": {}}),
        lambda objects: objects.append({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"u": "amqps://a:b@c"}}),
        lambda objects: variable(objects, "JWT_SECRET", {"value": "0123456789"}),
        lambda objects: variable(objects, "DATABASE_URL", {"value": ""}),
        lambda objects: variable(objects, "WHATEVER", {"value": "postgresql://wallet:word@host/commdesk"}),
        lambda objects: variable(objects, "WHATEVER", {"value": "-----BEGIN PRIVATE KEY-----"}),
        update(job, command=["psql", "postgresql://wallet_owner:word@host/commdesk"]),
        update(container, envFrom=[{"secretRef": {"name": "commdesk-payment"}}]),
    ],
    "workloads_have_their_own_secrets_only": [
        lambda objects: secret(objects, "commdesk-payment-migration"),
        lambda objects: secret(objects, "commdesk-topology"),
        lambda objects: secret(objects, "commdesk-wallet"),
        lambda objects: secret(objects, "commdesk-wallet-migration", of="commdesk-payment-migration"),
        lambda objects: secret(objects, "commdesk-topology", of="commdesk-wallet-migration"),
        lambda objects: pod(objects)["volumes"].append({"secret": {"secretName": "commdesk-wallet-grpc"}}),
    ],
    "pods_have_no_token": [
        lambda objects: pod(objects).pop("automountServiceAccountToken"),
        lambda objects: pod(objects, "commdesk-wallet-migration").pop("automountServiceAccountToken"),
        lambda objects: pod(objects).pop("serviceAccountName"),
        lambda objects: without(objects, "ServiceAccount", "commdesk-payment"),
        lambda objects: named(objects, "ServiceAccount", "commdesk-payment").pop("automountServiceAccountToken"),
        lambda objects: objects.append({"kind": "RoleBinding", "metadata": {"name": "x"}}),
    ],
    "replicas_survive_a_drained_node": [
        lambda objects: without(objects, "PodDisruptionBudget", "commdesk-payment"),
        lambda objects: without(objects, "HorizontalPodAutoscaler", "commdesk-payment"),
        lambda objects: named(objects, "HorizontalPodAutoscaler", "commdesk-payment")["spec"].update(minReplicas=1),
        lambda objects: pod(objects).pop("topologySpreadConstraints"),
        lambda objects: named(objects, "Deployment", "commdesk-payment")["spec"].update(strategy={"type": "Recreate"}),
    ],
    "pods_end_after_their_work": [
        lambda objects: container(objects).pop("lifecycle"),
        lambda objects: pod(objects).pop("terminationGracePeriodSeconds"),
        lambda objects: variable(objects, "SHUTDOWN_GRACE_SECONDS", {"value": "25"}),
    ],
    "connections_fit_the_roles": [
        lambda objects: variable(objects, "POOL_SIZE", {"value": "8"}),
        lambda objects: named(objects, "HorizontalPodAutoscaler", "commdesk-payment")["spec"].update(maxReplicas=9),
    ],
    "services_lead_to_their_pods": [
        lambda objects: without(objects, "Service", "commdesk-payment-grpc"),
        lambda objects: named(objects, "Service", "commdesk-payment-grpc")["spec"].pop("clusterIP"),
        lambda objects: named(objects, "Service", "commdesk-payment")["spec"].update(selector={"a": "b"}),
        lambda objects: container(objects)["ports"].pop(),
    ],
    "pods_are_confined": [
        lambda objects: without(objects, "NetworkPolicy", "commdesk-payment"),
        lambda objects: without(objects, "NetworkPolicy", "commdesk-migration"),
        lambda objects: policy_of(objects, "payment").update(policyTypes=["Ingress"]),
    ],
    "calls_are_those_of_the_contract": [
        open_to_everybody,
        lambda objects: both_sides(objects, 9000),
        lambda objects: both_sides(objects, 8000),
        lambda objects: policy_of(objects, "payment").update(egress=[]),
        lambda objects: policy_of(objects, "wallet").update(ingress=[]),
        lambda objects: ingress(objects, "ledger", pods_of("community-api")),
        lambda objects: ingress(objects, "ledger", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
        lambda objects: without(objects, "NetworkPolicy", "commdesk-ledger"),
    ],
    "a_release_is_apart_from_another": [second_release],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "violation"),
    [
        pytest.param(rule, each, id=f"{rule}-{number}")
        for rule, many in VIOLATIONS.items()
        for number, each in enumerate(many)
    ],
)
def test_a_planted_violation_is_seen(rule: str, violation: Violation) -> None:
    objects = deepcopy(objects_of("in-cluster"))
    violation(objects)
    assert objects != objects_of("in-cluster")
    assert list(RULES[rule](objects)) != []


def test_every_rule_has_a_violation() -> None:
    assert VIOLATIONS.keys() == RULES.keys()
