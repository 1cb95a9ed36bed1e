"""What NetworkPolicies allow, by the rules of the API: which pod may connect to which, at which port."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.chart.rendering import Object, of_kind

Labels = Mapping[str, str]


def allows(objects: list[Object], caller: Labels, callee: Labels, port: int) -> bool:
    """Whether a pod labelled *caller* may connect to one labelled *callee* of the same namespace over TCP."""
    policies = [each["spec"] for each in of_kind(objects, "NetworkPolicy")]
    return _passes(policies, "Egress", caller, callee, port) and _passes(policies, "Ingress", callee, caller, port)


def is_confined(objects: list[Object], pod: Labels) -> bool:
    """Whether some policy selects the pod, in both directions: what no policy selects is open."""
    policies = [each["spec"] for each in of_kind(objects, "NetworkPolicy")]
    return all(_of_pod(policies, direction, pod) for direction in ("Ingress", "Egress"))


def _passes(policies: Iterable[Object], direction: str, pod: Labels, other: Labels, port: int) -> bool:
    chosen = _of_pod(policies, direction, pod)
    rules = [rule for policy in chosen for rule in policy.get(direction.lower(), [])]
    side = "from" if direction == "Ingress" else "to"
    return not chosen or any(_has_port(rule, port) and _has_peer(rule.get(side), other) for rule in rules)


def _of_pod(policies: Iterable[Object], direction: str, pod: Labels) -> list[Object]:
    return [each for each in policies if direction in each["policyTypes"] and selects(each["podSelector"], pod)]


def _has_port(rule: Object, port: int) -> bool:
    ports = rule.get("ports")
    return ports is None or any(each["port"] == port and each.get("protocol", "TCP") == "TCP" for each in ports)


def _has_peer(peers: list[Any] | None, other: Labels) -> bool:
    # An address block may hold pods, whatever plug-in of the cluster: it counts. Another namespace is not this one.
    return peers is None or any(
        "ipBlock" in peer or ("namespaceSelector" not in peer and selects(peer["podSelector"], other)) for peer in peers
    )


def selects(selector: Object, labels: Labels) -> bool:
    """Whether a label selector matches."""
    is_equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In", "the chart uses no other operator"
        is_equal = is_equal and labels.get(each["key"]) in each["values"]
    return is_equal
