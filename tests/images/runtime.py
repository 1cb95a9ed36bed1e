"""buildah and podman with all their state below one folder, in namespaces of their own.

The namespaces (processes, mounts, network) end with the process that made them: containers, mounts, firewall rules and
listening ports go with it, also when it is killed.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from ops.ports import ROOT

STATE = ROOT / ".run" / "images"
# Set in the process that runs within the namespaces.
MARK = "COMMDESK_CONTAINERS_WITHIN"
BUILD_SECONDS = 600
COMMAND_SECONDS = 120

CONTAINERS = """\
[containers]
# The machine's own limits may be lower than the defaults.
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[engine]
# There is no systemd within, and crun refuses machines with both versions of control groups.
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[network]
network_config_dir = "{state}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{state}/storage"
runroot = "/run/containers"
"""
REGISTRIES = """\
unqualified-search-registries = ["docker.io"]
"""


class CommandFailed(Exception):
    """A program ended with another code than 0; the message has its output."""


def enter(arguments: Sequence[str]) -> int:
    """Run `python -m tests.images` with *arguments* within fresh namespaces; its exit code."""
    if os.geteuid() != 0:
        sys.exit("containers need root here: sudo make image-check")
    namespaces = ("unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc")
    prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
    # The first process of the namespace adopts those whose parents ended: catatonit reaps them.
    command = [
        *namespaces,
        "catatonit",
        "--",
        "sh",
        "-c",
        prepare,
        "sh",
        sys.executable,
        "-m",
        "tests.images",
        *arguments,
    ]
    return subprocess.call(command, cwd=ROOT, env={**os.environ, MARK: "1"})


def is_within() -> bool:
    return MARK in os.environ


def configure() -> None:
    """Write what buildah and podman read."""
    for folder in (STATE, STATE / "networks", STATE / "scratch"):
        folder.mkdir(parents=True, exist_ok=True)
    texts = {"containers.conf": CONTAINERS, "storage.conf": STORAGE, "registries.conf": REGISTRIES}
    for name, text in texts.items():
        (STATE / name).write_text(text.format(state=STATE) if "{state}" in text else text)


def environment() -> dict[str, str]:
    """The environment of buildah and podman."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(STATE),
        "TMPDIR": str(STATE / "scratch"),
        "CONTAINERS_CONF": str(STATE / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(STATE / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(STATE / "registries.conf"),
    }


def run(*command: str, timeout: float = COMMAND_SECONDS, extra: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; its standard output. Raises CommandFailed, and TimeoutExpired."""
    ended = subprocess.run(
        command,
        env=environment() | dict(extra or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if ended.returncode != 0:
        output = "\n".join((ended.stdout + ended.stderr).splitlines()[-40:])
        raise CommandFailed(f"{' '.join(command[:6])} … ended with {ended.returncode}:\n{output}")
    return ended.stdout


def remove_containers() -> None:
    """Remove every container, with its volumes and networks; what is below STATE otherwise stays for the next run."""
    for command in (
        ("pod", "rm", "--all", "--force", "--time", "5"),
        ("rm", "--all", "--force", "--time", "5"),
        ("secret", "rm", "--all"),
        ("volume", "prune", "--force"),
        ("network", "prune", "--force"),
    ):
        run("podman", *command)
