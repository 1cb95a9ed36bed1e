"""Payment's image at work: confined, on real engines, until it says that it is healthy; then stopped."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ops import fleet, stack
from ops.credentials import load_or_generate
from ops.ports import Layout
from ops.progress import Progress
from tests.images import builds, confinement, runtime
from tests.images.inspection import CONFINED
from tests.images.runtime import STATE, CommandFailed

PORT_BASE = 21000
HEALTHY_SECONDS = 60


class TrialFailed(Exception):
    """The service did not come up, or not as it must."""


def run(service: str, progress: Progress) -> None:
    """Migrate and serve by the image of *service*. Raises TrialFailed."""
    with _engines(progress) as layout:
        credentials = load_or_generate(layout.run_dir / "secrets.json")
        bootstrap = [sys.executable, *fleet.bootstrap_arguments(layout, credentials, {})]
        subprocess.run(bootstrap, check=True, timeout=runtime.COMMAND_SECONDS)
        migrating = fleet.migration_environment(layout, credentials, service, {})
        runtime.run("podman", "run", "--rm", *_options(layout, "migrate", migrating), builds.image(service), "migrate")
        progress.done(f"{service} migrated by its image")
        serving = fleet.service_environment(layout, credentials, service, {})
        options = _options(layout, "serve", serving)
        container = runtime.run("podman", "run", "--detach", *options, builds.image(service)).strip()
        seconds = _until_healthy(container)
        progress.done(f"{service} is healthy after {seconds:.1f} s")
        progress.done(f"it runs as {_confined(container)}")
        _stop(container)
        progress.done("it stopped within its grace period, with exit code 0")


@contextmanager
def _engines(progress: Progress) -> Iterator[Layout]:
    layout = Layout(STATE / "stack", PORT_BASE)
    stack.down(layout, wipe=True, progress=progress)
    try:
        stack.up(layout, engines_only=True, progress=progress, disposable=True)
        yield layout
    finally:
        stack.down(layout, wipe=True, progress=progress)


def _options(layout: Layout, name: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Options of `podman run`: confined, on this network, with a file of variables."""
    file = layout.run_dir / f"{name}.env"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as variables:
        variables.writelines(f"{name}={value}\n" for name, value in environment.items())
    return ("--network", "host", *CONFINED, "--memory", "512m", "--env-file", str(file))


def _until_healthy(container: str) -> float:
    started = time.monotonic()
    while time.monotonic() - started < HEALTHY_SECONDS:
        try:
            # No systemd within: nobody else calls the health check of the image.
            runtime.run("podman", "healthcheck", "run", container)
        except CommandFailed:
            time.sleep(0.5)
        else:
            return time.monotonic() - started
    raise TrialFailed("not healthy:\n" + runtime.run("podman", "logs", "--tail", "30", container))


def _confined(container: str) -> str:
    """Raises TrialFailed when its process is more than an ordinary user."""
    found = confinement.of(container)
    if found is None or (problems := found.problems()):
        raise TrialFailed("it does not run" if found is None else "; ".join(problems))
    return f"uid 10001, no capabilities, read-only root, {found.memory_bytes // 10**6} MB of memory"


def _stop(container: str) -> None:
    runtime.run("podman", "stop", "--time", "30", container)
    [described] = json.loads(runtime.run("podman", "inspect", container))
    if described["State"]["ExitCode"] != 0:
        raise TrialFailed(f"exit code {described['State']['ExitCode']} at a stop")
