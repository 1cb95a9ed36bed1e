"""What upstream's images are here: the same distribution, made of packages, under the names that our files have.

Where a registry can be reached nothing of this is needed; the Dockerfile and compose.yaml are used unchanged.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ops.ports import ROOT
from tests.images import runtime
from tests.images.runtime import BUILD_SECONDS, STATE

# What upstream's slim base is made of as well: the essential packages and apt, which brings libstdc++.
RECIPE = ("mmdebstrap", "--quiet", "--variant=minbase")
SUITE = "bookworm"
PYTHON_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
ENGINE_PACKAGES = "postgresql,rabbitmq-server,redis-server,ca-certificates"
# Whose images compose.yaml takes from a registry, and the stage of engines/Dockerfile that stands in for each.
ENGINES = ("postgres", "rabbitmq", "redis", "traefik")
# The label of an image here: the file that it was made of.
MADE_OF = "commdesk.made-of"
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
    command = (*RECIPE, f"--include={packages}", SUITE)
    tarball = STATE / f"{name}-{hashlib.sha256(' '.join(command).encode()).hexdigest()[:12]}.tar"
    if not tarball.exists():
        for outdated in STATE.glob(f"{name}*.tar"):
            outdated.unlink()
        draft = tarball.with_suffix(".new.tar")
        subprocess.run([*command, str(draft)], check=True, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL)
        draft.rename(tarball)
    return tarball


def make_python(tarball: Path) -> None:
    """Put the base of the Dockerfile into the store."""
    _from_tarball(tarball, python_image())


def make_engines(tarball: Path) -> None:
    """Put the engines' images of compose.yaml into the store."""
    _from_tarball(tarball, "localhost/engines:base")
    context = STATE / "engines"
    shutil.copytree(HERE, context, dirs_exist_ok=True)
    shutil.copy2(ROOT / ".venv" / "bin" / "traefik", context / "traefik")
    for stage, name in engine_images().items():
        runtime.run(
            *("buildah", "bud", "--pull-never", "--isolation", "chroot", "--layers"),
            *("--target", stage, "--tag", name, str(context)),
            timeout=BUILD_SECONDS,
        )


def _from_tarball(tarball: Path, name: str) -> None:
    """Make the image *name* of *tarball*, unless the one that is there was made of it."""
    filters = ("--filter", f"reference={name}", "--filter", f"label={MADE_OF}={tarball.name}")
    if runtime.run("buildah", "images", "--quiet", *filters).strip():
        return
    container = runtime.run("buildah", "from", "scratch").strip()
    runtime.run("buildah", "add", container, str(tarball), "/", timeout=BUILD_SECONDS)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    runtime.run("buildah", "config", "--env", f"PATH={path}", "--cmd", "[]", container)
    runtime.run("buildah", "config", "--label", f"{MADE_OF}={tarball.name}", container)
    runtime.run("buildah", "commit", "--rm", container, name, timeout=BUILD_SECONDS)
