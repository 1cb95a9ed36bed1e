"""What every bench does before and after it measures: find the stack, announce its disk use, save the result."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadtests import config
from ops import stack
from ops.ports import ROOT, Layout
from ops.private_files import write_private
from ops.progress import Progress

NUMBERS = ROOT / "docs" / "log" / "numbers.md"


def stack_at(layout: Layout) -> dict[str, Any]:
    """What stack.json says of a stack that is up in full. Raises RuntimeError."""
    try:
        description: dict[str, Any] = json.loads(layout.description.read_text())
    except (OSError, ValueError):
        raise RuntimeError(f"no stack runs in {layout.run_dir}: `make up` starts one") from None
    if description["engines_only"]:
        raise RuntimeError(f"the stack in {layout.run_dir} has its engines only: `make up` starts the rest")
    # Who was restarted since has another pid than the one written down.
    running = {state.name: state.pid for state in stack.states(layout) if state.pid}
    if missing := description["pids"].keys() - running.keys():
        raise RuntimeError(f"{', '.join(sorted(missing))} does not run: `make up` starts it again")
    return {**description, "pids": running}


def announce_disk_use(disk_bytes: int, layout: Layout, progress: Progress) -> None:
    """Before it is written. Raises RuntimeError when the disk has not that much to spare."""
    free = shutil.disk_usage(layout.run_dir).free
    progress.note(f"will write about {disk_bytes / 1e6:,.0f} MB below {layout.run_dir}, of {free / 1e9:,.0f} GB free")
    if free < disk_bytes + config.DISK_BYTES_SPARED:
        raise RuntimeError("that is too little room: ask for less, or `commdesk down --wipe` an old stack")


def save(
    result: dict[str, Any], file: Path, draw: Callable[[Mapping[str, Any], Path], None], progress: Progress
) -> None:
    """Write the result, and its picture where matplotlib is installed."""
    write_private(file, json.dumps(result, indent=2) + "\n")
    progress.done(f"wrote {file}")
    try:
        draw(result, file.with_suffix(".png"))
        progress.done(f"drew {file.with_suffix('.png')}")
    except ImportError:
        progress.note("no picture: matplotlib is not installed")
