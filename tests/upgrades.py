"""python -m tests.upgrades v1.0.0: start a released version, pay, start this checkout on its data, pay again, check.

The release is installed from its own commit, with its own locks, beside this checkout. Both payments are the demo's,
which checks all invariants at its end.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ops import stack
from ops.ports import ROOT
from ops.progress import Progress

STATE = ROOT / ".run" / "upgrade"
PORT_BASE = 27000
# A release that is not installed yet, on a slow machine.
STEP_SECONDS = 900


def upgrade(release: str, progress: Progress) -> None:
    """Raises CalledProcessError or TimeoutExpired for the first step that fails."""
    shutil.rmtree(STATE, ignore_errors=True)
    older = STATE / "checkout"
    older.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", release], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", older], input=archive.stdout, check=True)
    port_base = stack.free_port_base(PORT_BASE)
    try:
        _run(older, port_base, "make", "--no-print-directory", "demo")
        _run(older, port_base, ".venv/bin/commdesk", "down")
        progress.done(f"{release} took a payment")
        _run(ROOT, port_base, ".venv/bin/commdesk", "up")
        progress.done("this checkout migrated its data and runs on it")
        _run(ROOT, port_base, ".venv/bin/commdesk", "demo")
        _run(ROOT, port_base, ".venv/bin/commdesk", "doctor")
        progress.done("this checkout took a payment, all invariants hold, doctor finds nothing")
    finally:
        _run(ROOT, port_base, ".venv/bin/commdesk", "down", "--wipe")
        shutil.rmtree(STATE, ignore_errors=True)


def _run(checkout: Path, port_base: int, *command: str) -> None:
    environment = {**os.environ, "RUN_DIR": str(STATE / "stack"), "PORT_BASE": str(port_base)}
    subprocess.run(command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, timeout=STEP_SECONDS, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrades", description=__doc__)
    parser.add_argument("release", help="a tag, or any revision")
    progress = Progress()
    try:
        upgrade(parser.parse_args().release, progress)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        progress.failed(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
