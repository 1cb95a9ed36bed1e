"""All tests, on engines of their own that are gone afterwards."""

import os
import subprocess
import sys
from pathlib import Path

from ops import stack
from ops.ports import ROOT, Layout
from ops.progress import Progress

# Quick and close to the code first; the whole fleet last.
ORDER = (
    "protos",
    "libs",
    "services",
    "sandbox",
    "ops",
    "loadtests",
    "tests/test_architecture.py",
    "tests/simulation",
    "tests/faults",
    "tests/contract",
    "tests/e2e",
)
PORT_BASE = 19000


def targets(root: Path) -> list[str]:
    """What pytest is given: every path in ORDER that exists, then whatever else lies in tests/."""
    listed = [path for path in ORDER if (root / path).exists()]
    others = sorted(f"tests/{path.name}" for path in (root / "tests").glob("*") if path.name.startswith("test_"))
    extra = [path for path in others if path not in listed]
    last = [path for path in listed if path in ("tests/contract", "tests/e2e")]
    return [*(path for path in listed if path not in last), *extra, *last]


def run(arguments: list[str], progress: Progress) -> int:
    """Run pytest over everything, or over the paths among `arguments`; its exit code."""
    layout = Layout(ROOT / ".run" / "test", stack.free_port_base(PORT_BASE))
    stack.down(layout, wipe=False, progress=progress)
    try:
        stack.up(layout, engines_only=True, progress=progress, disposable=True)
        chosen = [] if any((ROOT / argument.split("::")[0]).exists() for argument in arguments) else targets(ROOT)
        return subprocess.call(
            [sys.executable, "-m", "pytest", *chosen, *arguments],
            cwd=ROOT,
            env={**os.environ, "COMMDESK_TEST_STACK": str(layout.description)},
        )
    finally:
        stack.down(layout, wipe=True, progress=progress)
