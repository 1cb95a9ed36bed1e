"""Our images, built by the Dockerfile without a network: from wheels that were fetched before by the locks' hashes."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement

from common.services import SERVICES
from ops.compile_lock import DEVELOPMENT_LOCK, RUNTIME_LOCK, pins
from ops.ports import ROOT
from tests.images import base, runtime
from tests.images.runtime import BUILD_SECONDS, STATE

DEPLOYABLES = (*SERVICES, "sandbox", "ops")
WHEELS = STATE / "wheels"
# What builds: the installer, and the backend of every manifest.
TOOLS = ("uv", "hatchling")
# The Python of the base, whose wheels are fetched by the Python that runs this.
PYTHON = (3, 11)


def image(deployable: str) -> str:
    """The name that compose.yaml has for it as well."""
    return f"localhost/commdesk/{deployable}:dev"


def fetch_wheels() -> None:
    """Fetch what images need of the locks, each file checked by its hash. Needs the network."""
    if sys.version_info[:2] != PYTHON:
        sys.exit(f"images are checked on Debian 12, where Python is {'.'.join(map(str, PYTHON))}")
    locked = pins((ROOT / RUNTIME_LOCK).read_text() + (ROOT / DEVELOPMENT_LOCK).read_text())
    needed = set(closure([*(f"commdesk-{name}" for name in DEPLOYABLES), *TOOLS]))
    chosen = "".join(block for name, block in locked.items() if name in needed)
    list_file = WHEELS / "requirements.txt"
    if list_file.exists() and list_file.read_text() == chosen:
        return
    WHEELS.mkdir(parents=True, exist_ok=True)
    draft = WHEELS / "requirements.new.txt"
    draft.write_text(chosen)
    command = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
    )
    subprocess.run([*command, "--dest", WHEELS, "--requirement", draft], check=True, timeout=BUILD_SECONDS)
    draft.rename(list_file)


def closure(roots: Iterable[str]) -> Iterator[str]:
    """The installed distributions that *roots* need, themselves included, by their normal names."""
    waiting, seen = [(root, "") for root in roots], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                normal = re.sub(r"[-_.]+", "-", requirement.name).lower()
                waiting += [(normal, each) for each in ("", *requirement.extras)]


def build(deployable: str) -> None:
    """Build the image of *deployable*, with the base in the place of upstream's. Raises CommandFailed."""
    runtime.run(
        *("buildah", "bud", "--pull-never", "--isolation", "chroot", "--layers", "--format", "docker"),
        *("--volume", f"{WHEELS}:/wheels:ro", "--build-arg", f"PYTHON_IMAGE={base.python_image()}"),
        *("--build-arg", "INDEX_OPTIONS=--no-index --find-links=/wheels", "--build-arg", f"SERVICE={deployable}"),
        *("--tag", image(deployable), str(ROOT)),
        timeout=BUILD_SECONDS,
    )
