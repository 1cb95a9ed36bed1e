"""What every image has to be, by its configuration and by a look inside it."""

import json
import re
from typing import Any

from msgspec import Struct

from common.services import SERVICES
from ops.compile_lock import RUNTIME_LOCK, pins
from ops.ports import ROOT
from tests.images import base, builds, runtime

# Prints what is installed, and which of these can be used.
LOOK = """
import importlib.metadata, importlib.util, json, os, shutil
print(json.dumps({
    "distributions": sorted(d.metadata["Name"].lower() for d in importlib.metadata.distributions()),
    "modules": [name for name in ("pip", "setuptools", "ensurepip", "pytest") if importlib.util.find_spec(name)],
    "programs": [name for name in ("pip", "pip3", "gcc", "cc", "make", "git", "uv") if shutil.which(name)],
    "uid": os.getuid(),
    "gid": os.getgid(),
    "writable": [path for path in ("/", "/opt/commdesk", "/etc", "/usr") if os.access(path, os.W_OK)],
}))
"""
CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges")
MEGABYTE = 10**6


class Size(Struct, frozen=True):
    """Bytes of an image, and of that what the base does not have."""

    image: int
    own: int

    def __str__(self) -> str:
        return f"{self.image / MEGABYTE:.0f} MB, {self.own / MEGABYTE:.0f} MB of it beside the base"


class ImageWrong(Exception):
    """An image is not what it must be."""


def inspect(deployable: str) -> Size:
    """Look at the image of *deployable*. Raises ImageWrong."""
    name = builds.image(deployable)
    [described] = json.loads(runtime.run("podman", "image", "inspect", name))
    seen = json.loads(
        runtime.run("podman", "run", "--rm", "--network", "none", *CONFINED, "--entrypoint", "python", name, "-c", LOOK)
    )
    problems = [*_configured(deployable, described), *_inside(deployable, seen)]
    if problems:
        raise ImageWrong(f"{name}: {'; '.join(problems)}")
    [foundation] = json.loads(runtime.run("podman", "image", "inspect", base.python_image()))
    return Size(described["Size"], described["Size"] - foundation["Size"])


def _configured(deployable: str, described: dict[str, Any]) -> list[str]:
    config = described["Config"]
    labels = config.get("Labels") or {}
    rules = {
        "its user is no number above 0": re.fullmatch(r"[1-9]\d*:[1-9]\d*", config.get("User", "")),
        "it has no health check": described.get("Healthcheck", {}).get("Test", ["NONE"])[0] == "CMD",
        "it starts by a shell": config.get("Entrypoint") == ["/opt/commdesk/bin/entrypoint"] and not config.get("Cmd"),
        "its title is another": labels.get("org.opencontainers.image.title") == f"commdesk-{deployable}",
        "it has no revision": "org.opencontainers.image.revision" in labels,
    }
    return [problem for problem, holds in rules.items() if not holds]


def _inside(deployable: str, seen: dict[str, Any]) -> list[str]:
    distributions = {re.sub(r"[-_.]+", "-", name) for name in seen["distributions"]}
    closure = set(builds.closure([f"commdesk-{deployable}"]))
    foreign = {name for name in distributions if not name.startswith("commdesk-")}
    runtime_lock = set(pins((ROOT / RUNTIME_LOCK).read_text()))
    rules = {
        f"beyond its closure: {sorted(distributions - closure)}": not distributions - closure,
        f"its closure lacks {sorted(closure - distributions)}": not closure - distributions,
        f"not of {RUNTIME_LOCK}: {sorted(foreign - runtime_lock)}": deployable not in SERVICES
        or foreign <= runtime_lock,
        f"it has {seen['modules'] + seen['programs']}": not seen["modules"] + seen["programs"],
        f"it runs as {seen['uid']}:{seen['gid']}": seen["uid"] >= 10_000 and seen["gid"] >= 10_000,
        f"{seen['writable']} can be written": not seen["writable"],
    }
    return [problem for problem, holds in rules.items() if not holds]
