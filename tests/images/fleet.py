"""compose.yaml at work: the containers of the whole fleet on a network of their own, and the demo's payment through it.

podman-compose starts what is named; the order is this module's, because podman 4.3 waits for no health check.
"""

import json
import os
import shlex
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any

import yaml

from common.services import SERVICES
from ops.ports import ROOT
from ops.progress import Progress
from tests.images import runtime
from tests.images.runtime import CommandFailed

COMPOSE = Path(sysconfig.get_path("scripts")) / "podman-compose"
PROJECT = "commdesk"
# It takes no profile from the service that is run, and puts containers into a pod unless told otherwise.
OPTIONS = (
    *(str(COMPOSE), "--project-name", PROJECT, "--in-pod", "false", "--profile", "operator"),
    *("--file", str(ROOT / "compose.yaml")),
)
HEALTHY_SECONDS = 180
DEMO_SECONDS = 240


class FleetFailed(Exception):
    """A container did not become healthy, or did not end well."""


def run(progress: Progress) -> None:
    """Bring the fleet of compose.yaml up, run `STACK=compose make demo` against it, take it down."""
    try:
        _bring_up(progress)
        _check_isolation(progress)
        _demo()
        progress.done("STACK=compose make demo")
    except (CommandFailed, FleetFailed):
        for name in (*SERVICES, "edge", "rabbitmq", "postgres"):
            logs = subprocess.run(
                ["podman", "logs", "--tail", "8", _container(name)],
                env=runtime.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"── {name}\n{logs.stdout}{logs.stderr}")
        raise
    finally:
        runtime.remove_containers()


def _bring_up(progress: Progress) -> None:
    _once("prepare")
    progress.done("credentials and configurations are prepared")
    _start("postgres", "rabbitmq", "redis", "mail", "sandbox", "edge")
    for name in ("postgres", "rabbitmq", "redis", "mail", "sandbox", "edge"):
        _until_healthy(name)
    progress.done("engines, edge, mail inbox and sandbox are healthy")
    _once("bootstrap")
    for name, row in SERVICES.items():
        if row.database:
            _once(f"{name}-migrate")
    progress.done("bootstrap and migrations ended well")
    _start(*SERVICES)
    for name in SERVICES:
        _until_healthy(name)
    progress.done(f"{len(SERVICES)} services are healthy")


def _check_isolation(progress: Progress) -> None:
    """No container is root but the two that may, none has a capability, ours have a root that cannot be written."""
    fleet: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    names = [name for name in fleet if _exists(name)]
    for name in names:
        [described] = json.loads(runtime.run("podman", "inspect", _container(name)))
        pid = described["State"]["Pid"]
        if not pid:
            continue
        status = Path(f"/proc/{pid}/status").read_text()
        if "Uid:\t0" in status or "CapEff:\t0000000000000000" not in status:
            raise FleetFailed(f"{name} is root or has capabilities")
        if fleet[name].get("read_only") and not described["HostConfig"]["ReadonlyRootfs"]:
            raise FleetFailed(f"{name} can write its root")
    progress.done("no running container is root or has a capability")


def _demo() -> None:
    command = ["make", "--no-print-directory", "demo", "STACK=compose", f"COMPOSE={shlex.join(OPTIONS)}"]
    environment = {**runtime.environment(), "PATH": os.environ["PATH"]}
    if subprocess.run(command, cwd=ROOT, env=environment, timeout=DEMO_SECONDS, check=False).returncode != 0:
        raise FleetFailed("the demo failed")


def _start(*names: str) -> None:
    _compose("up", "--detach", "--no-deps", "--no-build", *names)


def _once(name: str) -> None:
    """Run a container to its end."""
    _start(name)
    code = runtime.run("podman", "wait", _container(name), timeout=HEALTHY_SECONDS).strip()
    if code != "0":
        raise FleetFailed(
            f"{name} ended with {code}:\n" + runtime.run("podman", "logs", "--tail", "30", _container(name))
        )


def _until_healthy(name: str) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not _is_healthy(name):
        if time.monotonic() > deadline:
            raise FleetFailed(f"{name} is not healthy after {HEALTHY_SECONDS} s")
        time.sleep(1)


def _is_healthy(name: str) -> bool:
    try:
        runtime.run("podman", "healthcheck", "run", _container(name))
    except CommandFailed:
        return False
    return True


def _exists(name: str) -> bool:
    return bool(runtime.run("podman", "ps", "--all", "--quiet", "--filter", f"name=^{_container(name)}$").strip())


def _container(name: str) -> str:
    return f"{PROJECT}_{name}_1"


def _compose(*arguments: str) -> None:
    runtime.run(*OPTIONS, *arguments)
