"""Compile the two locks from all manifests: what services run on, and what tests, tools and builds need besides.

One resolution makes both, so that tests run on the very versions that services run on. The local packages are left
out: they come from this checkout, and no index may answer for their names.
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
# The workspace's members that a service is made of; the others are tools.
RUNTIME_MEMBERS = ("protos", "libs", "services")
HEADERS = {
    RUNTIME_LOCK: """\
# What services run on, and nothing else: compiled by `make lock` from the manifests. Every file is pinned by its hash.
""",
    DEVELOPMENT_LOCK: """\
# What `make install` installs besides requirements.lock, for tests, tools and builds: compiled by `make lock` from the
# manifests. Every file is pinned by its hash.
""",
}


def manifests(root: Path) -> list[Path]:
    """The root's manifest and those of all workspace members."""
    members = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    members_manifests = [path for member in members for path in sorted(root.glob(f"{member}/pyproject.toml"))]
    return [root / "pyproject.toml", *members_manifests]


def requirements(root: Path) -> list[str]:
    """Everything that some manifest names, without the local packages."""
    names: set[str] = set()
    for path in manifests(root):
        manifest = tomllib.loads(path.read_text())
        names.update(manifest["project"].get("dependencies", []))
        names.update(manifest.get("build-system", {}).get("requires", []))
        for group in manifest.get("dependency-groups", {}).values():
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
        together, runtime_only = Path(folder) / "together.txt", Path(folder) / "runtime.txt"
        together.write_text("".join(lock.read_text() for lock in locks if lock.exists()))
        everything = _compile(requirements(ROOT), together)
        runtime = _compile(runtime_requirements(ROOT), runtime_only, "--constraint", str(together))
    development = {name: block for name, block in everything.items() if name not in runtime}
    for name, blocks in ((RUNTIME_LOCK, runtime), (DEVELOPMENT_LOCK, development)):
        (ROOT / name).write_text(HEADERS[name] + "".join(blocks.values()))


if __name__ == "__main__":
    main()
