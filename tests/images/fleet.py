"""compose.yaml at work: the containers of the whole fleet on a network of their own, and the demo's payment through it.

podman-compose starts what is named; the order is this module's, because podman 4.3 waits for no health check.
"""

import json
import os
import shlex
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from common.services import SERVICES
from ops.ports import ROOT
from ops.progress import Progress
from tests.images import confinement, runtime
from tests.images.runtime import CommandFailed

COMPOSE = Path(sysconfig.get_path("scripts")) / "podman-compose"
PROJECT = "commdesk"
NETWORK = f"{PROJECT}_default"
# It takes no profile from the service that is run, and puts containers into a pod unless told otherwise.
OPTIONS = (
    *(str(COMPOSE), "--project-name", PROJECT, "--in-pod", "false", "--profile", "operator"),
    *("--file", str(ROOT / "compose.yaml")),
)
HEALTHY_SECONDS = 180
# A job: bootstrap waits for the broker by itself.
ENDED_SECONDS = 240
DEMO_SECONDS = 240

# What an operator asks of a fleet that works.
COMMANDS = (
    ("status",),
    ("doctor",),
    ("dlq", "list"),
    ("ledger", "trial-balance"),
    ("keys", "list"),
)


class FleetFailed(Exception):
    """A container did not become healthy, or did not end well."""


def run(progress: Progress) -> None:
    """Bring the fleet of compose.yaml up, pay through it, ask the operator's command line, take it down."""
    with engines(progress):
        _once(*(f"{name}-migrate" for name, row in SERVICES.items() if row.database))
        progress.done("migrations ended well")
        _start(*SERVICES)
        for name in SERVICES:
            _until_healthy(name)
        progress.done(f"{len(SERVICES)} services are healthy")
        _check_isolation(progress)
        demo()
        progress.done("STACK=compose make demo")
        paid = json.loads((folder("commdesk") / "demo.json").read_text())["order_created"]["payment_id"]
        for command in (*COMMANDS, ("show", paid)):
            print(f"$ docker compose run --rm commdesk {shlex.join(command)}", flush=True)
            _commdesk(*command)
        progress.done("the operator's command line")


@contextmanager
def engines(progress: Progress) -> Iterator[None]:
    """All of compose.yaml that services need: credentials, engines, edge, inbox, sandbox; database, roles, users.

    What raises FleetFailed or CommandFailed shows what the containers said last; everything is taken down.
    """
    names = ("postgres", "rabbitmq", "redis", "mail", "sandbox", "edge")
    try:
        _once("prepare")
        progress.done("credentials and configurations are prepared")
        _start(*names)
        for name in names:
            _until_healthy(name)
        progress.done("engines, edge, mail inbox and sandbox are healthy")
        _once("bootstrap")
        progress.done("database, roles and broker users are there")
        yield
    except (CommandFailed, FleetFailed):
        for name in runtime.run("podman", "ps", "--all", "--format", "{{.Names}}").split():
            print(f"── {name}\n{logs(name, lines=8)}")
        raise
    finally:
        runtime.remove_containers()


def _check_isolation(progress: Progress) -> None:
    """No container is root but the two that may, none has a capability, ours have a root that cannot be written."""
    fleet: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in filter(_exists, fleet):
        found = confinement.of(_container(name))
        if found is None:
            continue
        if 0 in found.ids or found.capabilities != {confinement.NO_CAPABILITIES} or found.may_gain_privileges:
            raise FleetFailed(f"{name} is root, or has capabilities or may gain them")
        if fleet[name].get("read_only") and not found.root_is_read_only:
            raise FleetFailed(f"{name} can write its root")
    progress.done("no running container is root or has a capability")


def demo() -> None:
    """`make demo STACK=compose`, as a user has it. Raises FleetFailed."""
    command = ["make", "--no-print-directory", "demo", "STACK=compose", f"COMPOSE={shlex.join(OPTIONS)}"]
    environment = {**runtime.environment(), "PATH": os.environ["PATH"]}
    if subprocess.run(command, cwd=ROOT, env=environment, timeout=DEMO_SECONDS, check=False).returncode != 0:
        raise FleetFailed("the demo failed")


def _commdesk(*arguments: str) -> None:
    """The operator's command line in its container. Raises FleetFailed."""
    command = [*OPTIONS, "run", "--rm", "commdesk", *arguments]
    if subprocess.run(command, env=runtime.environment(), timeout=DEMO_SECONDS, check=False).returncode != 0:
        raise FleetFailed(f"commdesk {shlex.join(arguments)} failed")


def logs(container: str, lines: int = 30) -> str:
    """The last lines that *container* said, to both outputs."""
    command = ["podman", "logs", "--tail", str(lines), container]
    said = subprocess.run(command, env=runtime.environment(), capture_output=True, text=True, check=False)
    return said.stdout + said.stderr


def folder(volume: str) -> Path:
    """Where a volume of compose.yaml lies."""
    mounted = runtime.run("podman", "volume", "inspect", "--format", "{{.Mountpoint}}", f"{PROJECT}_{volume}")
    return Path(mounted.strip())


def _start(*names: str) -> None:
    _compose("up", "--detach", "--no-deps", "--no-build", *names)


def _once(*names: str) -> None:
    """Run containers to their ends. Raises FleetFailed when one does not end well."""
    _start(*names)
    for name in names:
        code = runtime.run("podman", "wait", _container(name), timeout=ENDED_SECONDS).strip()
        if code != "0":
            raise FleetFailed(f"{name} ended with {code}:\n{logs(_container(name))}")


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
