"""Compile the three locks from all manifests.

They hold what services run on, what tests, tools and builds need besides, and what checks of chart, image and pipelines
need besides that. One resolution makes all, so that tests run on the very versions that services run on. The local
packages are left out: they come from this checkout, and no index may answer for their names.
"""

import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from ops.ports import ROOT

LOCAL = "commdesk"
RUNTIME_LOCK = "requirements.lock"
DEVELOPMENT_LOCK = "requirements-dev.lock"
CHECKS_LOCK = "requirements-checks.lock"
# The group of the root's manifest that CHECKS_LOCK is for.
CHECKS_GROUP = "checks"
# The workspace's members that a service is made of; the others are tools.
RUNTIME_MEMBERS = ("protos", "libs", "services")
HEADERS = {
    RUNTIME_LOCK: """\
# What services run on, and nothing else: compiled by `make lock` from the manifests. Every file is pinned by its hash.
""",
    DEVELOPMENT_LOCK: """\
# What `make up` installs besides requirements.lock, for tests, tools and builds: compiled by `make lock` from the
# manifests. Every file is pinned by its hash.
""",
    CHECKS_LOCK: """\
# What `make install` installs besides both, 700 MB for the checks of chart, image, compose file and pipelines: compiled
# by `make lock` from the manifests. Every file is pinned by its hash.
""",
}


def manifests(root: Path) -> list[Path]:
    """The root's manifest and those of all workspace members."""
    members = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    members_manifests = [path for member in members for path in sorted(root.glob(f"{member}/pyproject.toml"))]
    return [root / "pyproject.toml", *members_manifests]


def requirements(root: Path, *, without: Collection[str] = ()) -> list[str]:
    """Everything that some manifest names, without the local packages and without the groups of that name."""
    names: set[str] = set()
    for path in manifests(root):
        manifest = tomllib.loads(path.read_text())
        names.update(manifest["project"].get("dependencies", []))
        names.update(manifest.get("build-system", {}).get("requires", []))
        for name, group in manifest.get("dependency-groups", {}).items():
            if name not in without:
                names.update(group)
    return _foreign(names)


def runtime_requirements(root: Path) -> list[str]:
    """What the manifests of services and of their libraries name as dependencies, without the local packages."""
    names: set[str] = set()
    for path in manifests(root):
        if path.relative_to(root).parts[0] in RUNTIME_MEMBERS:
            names.update(tomllib.loads(path.read_text())["project"].get("dependencies", []))
    return _foreign(names)


def pins(lock: str) -> dict[str, str]:
    """The lines of each package in *lock*, its pin and its hashes, by its name."""
    blocks: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.partition("==")[0].partition("[")[0]
        blocks[name] = blocks.get(name, "") + line
    return blocks


def _foreign(names: Collection[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(LOCAL))


def _compile(names: Sequence[str], output: Path, *options: str) -> dict[str, str]:
    """The pins of *names* and of what they need. What *output* holds already is kept where the manifests allow it."""
    subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "uv",
            *("pip", "compile", "-", "--output-file", str(output)),
            *("--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet", *options),
        ],
        input="\n".join(names),
        text=True,
        check=True,
        cwd=ROOT,
    )
    compiled = output.read_text()
    if "://" in compiled or str(ROOT) in compiled:
        sys.exit("the lock names an index or a path; see what the configuration of uv adds")
    return pins(compiled)


def main() -> None:
    locks = [ROOT / name for name in HEADERS]
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder) / "together.txt"
        together.write_text("".join(lock.read_text() for lock in locks if lock.exists()))
        everything = _compile(requirements(ROOT), together)
        constraint = ("--constraint", str(together))
        unchecked = _compile(requirements(ROOT, without=[CHECKS_GROUP]), Path(folder) / "unchecked.txt", *constraint)
        runtime = _compile(runtime_requirements(ROOT), Path(folder) / "runtime.txt", *constraint)
    development = {name: block for name, block in unchecked.items() if name not in runtime}
    checks = {name: block for name, block in everything.items() if name not in unchecked}
    for name, blocks in ((RUNTIME_LOCK, runtime), (DEVELOPMENT_LOCK, development), (CHECKS_LOCK, checks)):
        (ROOT / name).write_text(HEADERS[name] + "".join(blocks.values()))


if __name__ == "__main__":
    main()
