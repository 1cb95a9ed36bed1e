"""Compile requirements.lock from all manifests: what they need, what the tools need, what builds them.

The local packages are left out: they come from this checkout, and no index may answer for their names.
"""

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from ops.ports import ROOT

LOCAL = "commdesk"
HEADER = """\
# What `make install` installs: compiled by `make lock` from the manifests. Every file is pinned by its hash.
"""


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
    return sorted(name for name in names if not name.startswith(LOCAL))


def main() -> None:
    lock = ROOT / "requirements.lock"
    subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "uv",
            *("pip", "compile", "-", "--output-file", str(lock)),
            *("--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"),
        ],
        input="\n".join(requirements(ROOT)),
        text=True,
        check=True,
    )
    compiled = lock.read_text()
    if "://" in compiled or str(ROOT) in compiled:
        sys.exit("requirements.lock names an index or a path; see what the configuration of uv adds")
    lock.write_text(HEADER + compiled)


if __name__ == "__main__":
    main()
