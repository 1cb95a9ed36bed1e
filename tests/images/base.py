"""What upstream's images are here: the same distribution, made of packages, under the names that our files have.

Where a registry can be reached nothing of this is needed; the Dockerfile and compose.yaml are used unchanged.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ops.ports import ROOT
from tests.images import runtime
from tests.images.runtime import BUILD_SECONDS, STATE

SUITE = "bookworm"
PYTHON_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
ENGINE_PACKAGES = "postgresql,rabbitmq-server,redis-server,ca-certificates"
# Whose images compose.yaml takes from a registry, and the stage of engines/Dockerfile that stands in for each.
ENGINES = ("postgres", "rabbitmq", "redis", "traefik")
HERE = Path(__file__).parent / "engines"


def python_image() -> str:
    """The base that the Dockerfile names, without its digest, which only a registry has."""
    [name] = re.findall(r"^ARG PYTHON_IMAGE=([^@\n]+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return f"docker.io/library/{name}"


def engine_images() -> dict[str, str]:
    """The image that compose.yaml names, by the stage that stands in for it."""
    fleet: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    images = {container["image"].partition(":")[0]: container["image"] for container in fleet.values()}
    return {name: f"docker.io/library/{images[name]}" for name in ENGINES}


def fetch(name: str, packages: str) -> Path:
    """A root file system of the distribution with *packages*, kept for later runs. Needs the network."""
    tarball = STATE / f"{name}.tar"
    if not tarball.exists():
        draft = tarball.with_suffix(".new.tar")
        command = ("mmdebstrap", "--quiet", "--variant=essential", f"--include={packages}", SUITE, str(draft))
        subprocess.run(command, check=True, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL)
        draft.rename(tarball)
    return tarball


def make_python(tarball: Path) -> None:
    """Put the base of the Dockerfile into the store, unless it is there."""
    if not exists(python_image()):
        _from_tarball(tarball, python_image())


def make_engines(tarball: Path) -> None:
    """Put the engines' images of compose.yaml into the store, unless they are there."""
    base = "localhost/engines:base"
    if not exists(base):
        _from_tarball(tarball, base)
    context = STATE / "engines"
    shutil.copytree(HERE, context, dirs_exist_ok=True)
    shutil.copy2(ROOT / ".venv" / "bin" / "traefik", context / "traefik")
    for stage, name in engine_images().items():
        if not exists(name):
            runtime.run(
                *("buildah", "bud", "--pull-never", "--isolation", "chroot", "--layers"),
                *("--target", stage, "--tag", name, str(context)),
                timeout=BUILD_SECONDS,
            )


def exists(image: str) -> bool:
    return bool(runtime.run("buildah", "images", "--quiet", "--filter", f"reference={image}").strip())


def _from_tarball(tarball: Path, name: str) -> None:
    container = runtime.run("buildah", "from", "scratch").strip()
    runtime.run("buildah", "add", container, str(tarball), "/", timeout=BUILD_SECONDS)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    runtime.run("buildah", "config", "--env", f"PATH={path}", "--cmd", "[]", container)
    runtime.run("buildah", "commit", "--rm", container, name, timeout=BUILD_SECONDS)
