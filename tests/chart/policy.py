"""The rules that every workload of the chart keeps. Each yields what breaks it; test_policy.py plants violations."""

import re
from collections.abc import Callable, Iterator
from itertools import product

from common import database_roles
from common.services import SERVICES
from common.topology import CONTRACT
from ops.chart_tables import COMMON
from tests.chart.network import allows, is_confined, selects
from tests.chart.rendering import Object, containers, environment, of_kind, scalers_of, secrets_of, strings, templates

Rule = Callable[[list[Object]], Iterator[str]]
RULES: dict[str, Rule] = {}
HTTP, GRPC = 8000, 9000
# What the names of Secrets begin with, in helm/values.yaml.
PREFIX = "commdesk"
# Of a container that nobody has named: no uid of a person or a system's account.
UID_LEAST = 10_000
COMPONENT = "app.kubernetes.io/component"
SECRET_NAMES = re.compile("_KEYS?$|_SECRET$|_PASSWORD$|_DSN$|(DATABASE|RABBITMQ|REDIS|MIGRATION|ADMIN)_URL$")
# What a value that is a secret looks like: a password in a URL, a key in PEM.
SECRET_PATTERNS = (re.compile(r"[a-z+]+://[^/\s:@$]*:[^/\s@]+@"), re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"))


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


@rule
def pods_run_as_an_ordinary_user(objects: list[Object]) -> Iterator[str]:
    for name, template in templates(objects).items():
        contexts = [template["spec"].get("securityContext", {})]
        contexts += [contexts[0] | container.get("securityContext", {}) for container in containers(template)]
        for context in contexts:
            if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) < UID_LEAST:
                yield f"{name} may run as root"
            if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
                yield f"{name} has no seccomp profile"


@rule
def containers_have_no_privilege(objects: list[Object]) -> Iterator[str]:
    for name, template in templates(objects).items():
        spec = template["spec"]
        yield from (f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
        yield from (f"{name}: a folder of the node" for volume in spec.get("volumes", []) if "hostPath" in volume)
        for container in containers(template):
            context = container.get("securityContext", {})
            if context.get("readOnlyRootFilesystem") is not True:
                yield f"{name}: its root can be written"
            if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
                yield f"{name} may gain privileges"
            if context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name} has capabilities"
            yield from (f"{name}: a port of the node" for port in container.get("ports", []) if "hostPort" in port)


@rule
def images_are_pinned(objects: list[Object]) -> Iterator[str]:
    for name, template in templates(objects).items():
        for container in containers(template):
            image, _, digest = container["image"].partition("@")
            tag = image.rpartition("/")[2].partition(":")[2]
            if tag in ("", "latest") and not re.fullmatch("sha256:[0-9a-f]{64}", digest):
                yield f"{name}: {container['image']} is another image tomorrow"


@rule
def resources_are_bounded(objects: list[Object]) -> Iterator[str]:
    for name, template in templates(objects).items():
        for container in containers(template):
            resources = container.get("resources", {})
            for bound, resource in product(("requests", "limits"), ("cpu", "memory")):
                if resource not in resources.get(bound, {}):
                    yield f"{name}: no {resource} in its {bound}"
        for volume in template["spec"].get("volumes", []):
            if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
                yield f"{name}: {volume['name']} may fill the node's disk"


@rule
def services_are_probed(objects: list[Object]) -> Iterator[str]:
    for deployment in of_kind(objects, "Deployment"):
        name = deployment["metadata"]["name"]
        for container in containers(deployment["spec"]["template"]):
            start, ready, alive = (container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness"))
            is_meshed = environment(container)["GRPC_TLS"] == "mesh"
            if start.get("httpGet") != {"path": "/health/ready", "port": "http"}:
                yield f"{name}: rolled out although it does not work"
            # What all replicas depend on must not take all of them away: the process is asked, over both protocols
            # where a probe can speak gRPC, which it cannot with a certificate.
            asked = {"grpc": {"port": GRPC}} if is_meshed else {"httpGet": {"path": "/health", "port": "http"}}
            if not ready.items() >= asked.items():
                yield f"{name}: readiness asks something else"
            if alive.get("httpGet") != {"path": "/health", "port": "http"}:
                yield f"{name}: nobody asks whether it lives"


@rule
def secrets_are_references(objects: list[Object]) -> Iterator[str]:
    yield from (f"{each['metadata']['name']} is a Secret" for each in of_kind(objects, "Secret"))
    for each in objects:
        for text in strings(each):
            if any(pattern.search(text) for pattern in SECRET_PATTERNS):
                yield f"{each['kind']} {each['metadata']['name']} holds a secret"
    for name, template in templates(objects).items():
        for container in containers(template):
            if "envFrom" in container:
                yield f"{name} takes variables that the chart does not name"
            for entry in container.get("env", []):
                if SECRET_NAMES.search(entry["name"]) and "value" in entry:
                    yield f"{name}: {entry['name']} is in plain"


@rule
def workloads_have_their_own_secrets_only(objects: list[Object]) -> Iterator[str]:
    """What owns a schema or declares the topology is for migrations alone (ADR 0024)."""
    declaring = []
    for each in of_kind(objects, "Deployment", "Job"):
        name, template = each["metadata"]["name"], each["spec"]["template"]
        [container] = containers(template)
        service = container["image"].rpartition("/")[2].partition(":")[0]
        own = {f"{PREFIX}-shared", f"{PREFIX}-{service}"}
        if name.endswith("-bootstrap"):
            own = {f"{PREFIX}-bootstrap"}
        elif each["kind"] == "Job":
            own |= {f"{PREFIX}-{service}-migration", f"{PREFIX}-topology"}
        else:
            own |= {f"{name}-grpc"}
        if others := secrets_of(template) - own:
            yield f"{name} has {', '.join(sorted(others))}"
        if f"{PREFIX}-topology" in secrets_of(template):
            declaring.append(name)
    if len(declaring) != 1:
        yield f"{declaring} declare the topology"


@rule
def pods_have_no_token(objects: list[Object]) -> Iterator[str]:
    accounts = {each["metadata"]["name"]: each for each in of_kind(objects, "ServiceAccount")}
    for name, template in templates(objects).items():
        account = accounts.get(template["spec"].get("serviceAccountName", ""))
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{name} has no account of its own without a token"
        if template["spec"].get("automountServiceAccountToken") is not False:
            yield f"{name} has a token for the cluster"
    kinds = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    yield from (f"{each['metadata']['name']} gives rights in the cluster" for each in of_kind(objects, *kinds))


@rule
def replicas_survive_a_drained_node(objects: list[Object]) -> Iterator[str]:
    scalers = scalers_of(objects)
    for deployment in of_kind(objects, "Deployment"):
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        budgets = [
            each["spec"]
            for each in of_kind(objects, "PodDisruptionBudget")
            if selects(each["spec"]["selector"], labels)
        ]
        if len(budgets) != 1 or budgets[0].get("maxUnavailable") != 1:
            yield f"{name} has no disruption budget"
        if scalers.get(name, (0, 0))[0] < 2:
            yield f"{name} may be a single replica"
        spread = template["spec"].get("topologySpreadConstraints", [])
        keys = {each["topologyKey"] for each in spread if selects(each["labelSelector"], labels)}
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{name} may lie on one node"
        if deployment["spec"]["strategy"].get("rollingUpdate") != {"maxUnavailable": 0, "maxSurge": 1}:
            yield f"{name} has less replicas during an update"


@rule
def pods_end_after_their_work(objects: list[Object]) -> Iterator[str]:
    statement_seconds = int(database_roles._SETTINGS["statement_timeout"].removesuffix("s"))
    for deployment in of_kind(objects, "Deployment"):
        name, spec = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        for container in containers(deployment["spec"]["template"]):
            grace = int(environment(container)["SHUTDOWN_GRACE_SECONDS"])
            drain = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if not drain:
                yield f"{name} stops while it is still sent requests"
            if grace <= statement_seconds:
                yield f"{name}: a statement may take {statement_seconds} s, its end only {grace}"
            ending = drain + float(environment(container)["SHUTDOWN_DRAIN_SECONDS"]) + grace
            if spec.get("terminationGracePeriodSeconds", 30) <= ending:
                yield f"{name} is killed before it has finished"


@rule
def connections_fit_the_roles(objects: list[Object]) -> Iterator[str]:
    scalers = scalers_of(objects)
    for deployment in of_kind(objects, "Deployment"):
        name = deployment["metadata"]["name"]
        most = scalers[name][1]
        for container in containers(deployment["spec"]["template"]):
            if (most + 1) * int(environment(container)["POOL_SIZE"]) > database_roles.CONNECTIONS_MAX:
                yield f"{name}: its role has not so many connections"


@rule
def services_lead_to_their_pods(objects: list[Object]) -> Iterator[str]:
    for deployment in of_kind(objects, "Deployment"):
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        ports = {port["name"]: port["containerPort"] for each in containers(template) for port in each["ports"]}
        if ports != {"http": HTTP, "grpc": GRPC}:
            yield f"{name} has ports {ports}"
        for service, port in ((name, "http"), (f"{name}-grpc", "grpc")):
            specs = [each["spec"] for each in of_kind(objects, "Service") if each["metadata"]["name"] == service]
            is_right = len(specs) == 1 and selects(
                {"matchLabels": specs[0]["selector"]}, template["metadata"]["labels"]
            )
            if not is_right or [each["targetPort"] for each in specs[0]["ports"]] != [port]:
                yield f"{service} does not lead to {name}"
            elif (port == "grpc") != (specs[0].get("clusterIP") == "None"):
                yield f"{service}: gRPC clients need every replica's address, others one"


@rule
def pods_are_confined(objects: list[Object]) -> Iterator[str]:
    for name, template in templates(objects).items():
        if not is_confined(objects, template["metadata"]["labels"]):
            yield f"{name} is open to the network"


@rule
def calls_are_those_of_the_contract(objects: list[Object]) -> Iterator[str]:
    pods = {
        template["metadata"]["labels"][COMPONENT]: template["metadata"]["labels"]
        for template in templates(objects).values()
    }
    outside = {"operator", "community-api"}
    pods |= {name: {"app.kubernetes.io/part-of": "commdesk", COMPONENT: name} for name in (*outside, "stranger")}
    for caller, callee in product(pods, SERVICES):
        may = caller in callers_of(callee)
        if allows(objects, pods[caller], pods[callee], GRPC) != may:
            yield f"{caller} {'cannot' if may else 'can'} call {callee}"
        if allows(objects, pods[caller], pods[callee], HTTP):
            yield f"{caller} can send HTTP to {callee} past the edge"


@rule
def a_release_is_apart_from_another(objects: list[Object]) -> Iterator[str]:
    """Blue and green: neither calls the other."""
    pods = [template["metadata"]["labels"] for template in templates(objects).values()]
    for caller, callee in product(pods, pods):
        if allows(objects, caller | {"app.kubernetes.io/instance": "other"}, callee, GRPC):
            yield f"{caller[COMPONENT]} of another release can call {callee[COMPONENT]}"


def callers_of(service: str) -> set[str]:
    """By protos/bindings.toml: who may call some method of the service."""
    package = {f"/commdesk.{SERVICES[service].package}.v1.", f"/commdesk.{COMMON}.v1."}
    return {
        caller
        for method, callers in CONTRACT.calls.items()
        if any(method.startswith(prefix) for prefix in package)
        for caller in callers
    }
