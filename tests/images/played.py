"""The chart's manifests at work: each migration's pod and each service's Deployment, played by `podman kube play`.

They run on the network of compose.yaml's engines, with gRPC by mutual TLS, and take the demo's payment. What a cluster
does beside starting pods is done here: names of Services are aliases on the network, Secrets are podman's, and probes
are asked from here.
"""

import base64
import json
import re
import time
import urllib.request
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from common.services import SERVICES
from ops import compose, compose_file, internal_tls
from ops.chart_tables import CHART
from ops.credentials import OPERATOR, Credentials, load_or_generate
from ops.ports import Layout
from ops.private_files import write_private
from ops.progress import Progress
from tests.chart.rendering import NAMESPACE, Deployment, Object, of_kind, references, render
from tests.images import confinement, fleet, runtime
from tests.images.fleet import FleetFailed
from tests.images.runtime import STATE

CONTRACT: dict[str, Any] = yaml.safe_load((CHART / "files" / "services.yaml").read_text())
FILE = STATE / "played.yaml"
# A migration on a busy machine, with the base of its process.
MIGRATION_SECONDS = 180
# Bytes in the units of the chart's limits.
UNITS = {"Mi": 2**20, "Gi": 2**30}


def run(progress: Progress) -> None:
    """Play migrations and services, make the demo's payment, stop all. Raises FleetFailed and CommandFailed."""
    with fleet.engines(progress):
        folder = fleet.folder("commdesk")
        credentials = load_or_generate(folder / "secrets.json")
        objects = render(deployment(credentials))
        make_secrets(credentials)
        make_certificates(folder)
        progress.done(f"{len(objects)} objects are rendered; their secrets and certificates are there")
        for job in of_kind(objects, "Job"):
            migrate(job)
            progress.done(f"{job['metadata']['name']} ended well, as a pod")
        deployments = of_kind(objects, "Deployment")
        for each in deployments:
            play(playable(each), aliases(service_of(each)))
        for each in deployments:
            progress.done(f"{each['metadata']['name']}: {probed(each)}; {confined(each)}")
        fleet.demo()
        progress.done("STACK=compose make demo, by the played pods")
        for each in deployments:
            stop(each)
        progress.done("every pod ended within its grace period, with exit code 0")


def deployment(credentials: Credentials) -> Deployment:
    """The trial of the chart, with certificates and with the settings that the services have in compose.yaml."""
    settings: dict[str, dict[str, str]] = {}
    for name, facts in CONTRACT["services"].items():
        known = {*CONTRACT["commonSettings"], *facts["settings"]} - set(CONTRACT["fixedSettings"])
        settings[name] = {
            variable: _interpolated(value)
            for variable, value in compose_file.settings_of(name).items()
            if variable in known and not variable.endswith("_ADDRESS")
        }
    settings["payment"]["CASHFREE_APP_ID"] = credentials.words["cashfree_app_id"]
    settings["payment"]["RAZORPAY_KEY_ID"] = credentials.words["razorpay_key_id"]
    # What the chart sets for production: the inbox here has no TLS, and the sandbox is a test account.
    settings["notifier"]["SMTP_TLS"] = "auto"
    for service in ("payment", "webhook-ingest"):
        settings[service] |= {"CASHFREE_ACCOUNT_MODE": "test", "RAZORPAY_ACCOUNT_MODE": "test"}
    grpc = {"tls": "mutual", "certificates": {"issue": False}}
    return Deployment(("trial",), {"grpc": grpc, "settings": settings})


def make_secrets(credentials: Credentials) -> None:
    """What helm/README.md asks for, as podman reads it for variables: a mapping to base64, without its object."""
    secrets: dict[str, dict[str, str]] = {"commdesk-shared": {}}
    for name, facts in CONTRACT["services"].items():
        values = compose.environment(name, credentials)
        owners = compose.owner_environment(name, credentials)
        secrets["commdesk-shared"] |= {key: values[key] for key in facts["sharedSecrets"] if key in values}
        secrets[f"commdesk-{name}"] = {key: values[key] for key in facts["secrets"] if key in values}
        secrets[f"commdesk-{name}-migration"] = {"DATABASE_MIGRATION_URL": owners["DATABASE_MIGRATION_URL"]}
        secrets["commdesk-topology"] = {"RABBITMQ_MIGRATION_URL": owners["RABBITMQ_MIGRATION_URL"]}
    for name, keys in secrets.items():
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
        _make_secret(name, json.dumps(encoded))


def make_certificates(folder: Path) -> None:
    """What cert-manager makes of the chart's Certificates, as podman reads it for files: the text, not its base64.

    The operator's are put into *folder*, from which its command line reads.
    """
    layout = Layout(folder, 0)
    internal_tls.prepare(layout, (*SERVICES, OPERATOR))
    description = json.loads(layout.description.read_text())
    description["grpc"] = internal_tls.certificate_variables(compose.LAYOUT, OPERATOR)
    write_private(layout.description, json.dumps(description))
    for name in SERVICES:
        own = internal_tls.files(layout, name)
        files = {"tls.crt": own.certificate, "tls.key": own.key, "ca.crt": own.authority}
        data = {key: path.read_text() for key, path in files.items()}
        _make_secret(f"commdesk-{name}-grpc", yaml.safe_dump({"data": data}))


def _make_secret(name: str, text: str) -> None:
    file = STATE / "scratch" / f"{name}.secret"
    write_private(file, text)
    try:
        runtime.run("podman", "secret", "create", name, str(file))
    finally:
        file.unlink()


def playable(manifest: Object) -> Object:
    """*manifest* as podman 4.3 plays it.

    A mounted Secret has to say whether it may be absent, or podman crashes; a port of a container would be published at
    the machine, where all services have the same.
    """
    changed = deepcopy(manifest)
    for secret in references(changed, "secret"):
        secret.setdefault("optional", False)
    for spec in references(changed, "spec"):
        for container in spec.get("containers", ()):
            container.pop("ports", None)
    return changed


def aliases(service: str) -> tuple[str, ...]:
    """The names of the chart's two Services of *service*, and the one that compose.yaml's containers know."""
    release = f"commdesk-{service}"
    return (service, release, f"{release}-grpc.{NAMESPACE}.svc.cluster.local")


def play(manifest: Object, names: tuple[str, ...] = ()) -> None:
    """Start the pod of *manifest*, known by *names*."""
    FILE.write_text(yaml.safe_dump(manifest))
    options = ",".join(f"alias={name}" for name in names)
    network = f"{fleet.NETWORK}:{options}" if options else fleet.NETWORK
    runtime.run("podman", "kube", "play", "--network", network, str(FILE))


def migrate(job: Object) -> None:
    """Run the pod of *job* to its end. Raises FleetFailed when it does not end well."""
    name, template = job["metadata"]["name"], job["spec"]["template"]
    metadata = {**template["metadata"], "name": name}
    play(playable({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}))
    container = f"{name}-{template['spec']['containers'][0]['name']}"
    code = runtime.run("podman", "wait", container, timeout=MIGRATION_SECONDS).strip()
    if code != "0":
        raise FleetFailed(f"{name} ended with {code}:\n" + fleet.logs(container))
    runtime.run("podman", "pod", "rm", "--force", name)


def probed(manifest: Object) -> str:
    """Ask the probes as the kubelet does. Raises FleetFailed when one does not answer as often as it may fail."""
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    address = _address(manifest)
    started = time.monotonic()
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        url = f"http://{address}:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
        failures = 0
        while not _answers(url, probe["timeoutSeconds"]):
            failures += 1
            if failures == probe["failureThreshold"]:
                raise FleetFailed(f"{kind} of {container['name']}:\n" + fleet.logs(_container(manifest)))
            time.sleep(probe["periodSeconds"] / 5)
    return f"its three probes answer after {time.monotonic() - started:.0f} s"


def confined(manifest: Object) -> str:
    """What its process may. Raises FleetFailed when that is more than the manifest allows."""
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    [described] = json.loads(runtime.run("podman", "inspect", _container(manifest)))
    limits, host = container["resources"]["limits"], described["HostConfig"]
    found = confinement.of(_container(manifest))
    problems = ["it does not run"] if found is None else found.problems()
    if host["Memory"] != _bytes(limits["memory"]):
        problems.append(f"its limit of memory is {host['Memory']}")
    if host["NanoCpus"] != float(limits["cpu"]) * 10**9:
        problems.append(f"its limit of processor time is {host['NanoCpus']}")
    if problems:
        raise FleetFailed(f"{_container(manifest)}: {'; '.join(problems)}")
    return f"uid 10001, no capabilities, read-only root, at most {limits['memory']} and {limits['cpu']} cores"


def stop(manifest: Object) -> None:
    """Raises FleetFailed when it does not end by itself within the grace period of its pod."""
    grace_seconds = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    runtime.run("podman", "stop", "--time", str(grace_seconds), _container(manifest))
    [described] = json.loads(runtime.run("podman", "inspect", _container(manifest)))
    if described["State"]["ExitCode"] != 0:
        raise FleetFailed(f"{_container(manifest)} ended with {described['State']['ExitCode']} at a stop")


def service_of(manifest: Object) -> str:
    name: str = manifest["spec"]["template"]["spec"]["containers"][0]["name"]
    return name


def _container(manifest: Object) -> str:
    return f"{_pod(manifest)}-{service_of(manifest)}"


def _pod(manifest: Object) -> str:
    """The name of the first replica, the only one that podman starts."""
    return f"{manifest['metadata']['name']}-pod-0"


def _address(manifest: Object) -> str:
    pod = json.loads(runtime.run("podman", "pod", "inspect", _pod(manifest)))
    [infra] = json.loads(runtime.run("podman", "inspect", pod["InfraContainerID"]))
    address: str = infra["NetworkSettings"]["Networks"][fleet.NETWORK]["IPAddress"]
    return address


def _answers(url: str, timeout_seconds: float) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            return bool(200 <= answer.status < 400)
    except OSError:
        return False


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def _interpolated(text: str) -> str:
    """*text* as compose reads it with an empty environment."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
