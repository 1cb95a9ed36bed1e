"""All tests, on engines of their own that are gone afterwards."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops import stack
from ops.ports import ROOT, Layout, is_on
from ops.progress import Progress

# Run at the same time, each on engines of its own: most tests wait for an engine or for a time limit.
# In a lane what is quick and close to the code comes first, the whole fleet last.
LANES = (
    ("protos", "libs", "services", "tests/scale_out", "tests/state_machine"),
    (
        "sandbox",
        "loadtests",
        "tests/test_architecture.py",
        "tests/chart",
        "tests/simulation",
        "tests/faults",
        "ops",
        "tests/contract",
        "tests/hardened",
        "tests/e2e",
    ),
)
# The lane that a process runs, "" for a run of chosen paths.
LANE = "TEST_LANE"
PORT_BASE = 19000


def lanes(root: Path) -> list[list[str]]:
    """What pytest is given in each lane: the paths of LANES that exist, and in the last the other files in tests/."""
    listed = [[path for path in lane if (root / path).exists()] for lane in LANES]
    named = {path for lane in LANES for path in lane}
    others = sorted(f"tests/{path.name}" for path in (root / "tests").glob("test_*.py"))
    listed[-1][:0] = [path for path in others if path not in named]
    return listed


def run(arguments: list[str], progress: Progress) -> int:
    """Run pytest over everything, in lanes, or over the paths among `arguments`; its exit code."""
    if any((ROOT / argument.split("::")[0]).exists() for argument in arguments):
        return _run_paths(arguments, progress)
    chosen = lanes(ROOT)
    with ThreadPoolExecutor(len(chosen)) as threads:
        numbers = range(1, len(chosen) + 1)
        results = list(threads.map(lambda number: _run_lane(number, [*chosen[number - 1], *arguments]), numbers))
    for number, (code, summary) in zip(numbers, results, strict=True):
        for line in summary:
            print(f"{number}| {line}")
        (progress.failed if code else progress.done)(f"lane {number}: {' '.join(chosen[number - 1])}")
    return next((code for code, _ in results if code), 0)


def _run_lane(number: int, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Run a lane in a process, its lines shown as they come; its exit code, and what pytest sums up at the end."""
    summary: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "test", *arguments],
        cwd=ROOT,
        env={**os.environ, LANE: str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{number}| {line}", end="", flush=True)
            if line.startswith(("FAILED", "ERROR")) or (line.startswith("===") and " in " in line):
                summary.append(line.rstrip())
    return process.returncode, summary


def _run_paths(arguments: Sequence[str], progress: Progress) -> int:
    lane = os.environ.get(LANE, "")
    layout = Layout(ROOT / ".run" / f"test{lane}", stack.free_port_base(PORT_BASE + 250 * int(lane or 0)))
    stack.down(layout, wipe=False, progress=progress)
    try:
        stack.up(layout, engines_only=True, progress=progress, disposable=True)
        measured = ["-m", "coverage", "run"] if is_on(os.environ, "COVERAGE", default=False) else []
        return subprocess.call(
            [sys.executable, *measured, "-m", "pytest", *arguments],
            cwd=ROOT,
            env={**os.environ, "COMMDESK_TEST_STACK": str(layout.description)},
        )
    finally:
        stack.down(layout, wipe=True, progress=progress)
