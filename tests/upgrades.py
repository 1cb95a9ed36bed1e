"""Start a released version, and have this checkout take its place, on its data.

`at-rest v1.0.0` stops the one and starts the other. `rolling v1.0.0` replaces one replica at a time under payments, and
brings the released version back on the newer schema. The release is installed from its own commit, with its own locks,
beside this checkout.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
import uvloop

from loadtests import restarts
from ops import rolling_upgrade, stack, structures
from ops.ports import ROOT, Layout
from ops.private_files import write_private
from ops.progress import Progress
from ops.rolling_restart import Restarted
from ops.stack import Stack

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

PORT_BASE = 27000
REPLICAS = 2
# A release that is not installed yet, on a slow machine.
STEP_SECONDS = 900
HERE = "this checkout"

Revision = Annotated[str, typer.Argument(metavar="RELEASE", help="A tag, or any revision.")]


class Trial:
    """A stack of its own, and the checkout of a release beside this one."""

    def __init__(self, release: str, replicas: int) -> None:
        self.release = release
        self.folder = Path(os.environ.get("RUN_DIR") or ROOT / ".run" / "upgrade").absolute()
        lowest = int(os.environ.get("PORT_BASE") or PORT_BASE)
        self.layout = Layout(self.folder / "stack", stack.free_port_base(lowest, replicas), replicas=replicas)
        self.older = self.folder / "checkout"

    def check_out(self) -> None:
        """Raises CalledProcessError for a revision that does not exist."""
        self.older.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", self.release], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "--extract", "--directory", self.older], input=archive.stdout, check=True)

    def run(self, checkout: Path, *command: str) -> None:
        """Raises CalledProcessError or TimeoutExpired."""
        chosen = {"RUN_DIR": self.layout.run_dir, "PORT_BASE": self.layout.port_base, "REPLICAS": self.layout.replicas}
        # What `make` was called with is not for the other checkout's.
        inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES")}
        environment = {**inherited, **{name: str(value) for name, value in chosen.items()}}
        subprocess.run(
            command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, timeout=STEP_SECONDS, check=True
        )


@contextmanager
def started(release: str, replicas: int, progress: Progress) -> Iterator[Trial]:
    """The release's fleet, which has taken the demo's payment and found that all invariants hold; its logs are kept."""
    trial = Trial(release, replicas)
    stack.down(trial.layout, wipe=True, progress=progress)
    shutil.rmtree(trial.older, ignore_errors=True)
    try:
        trial.check_out()
        trial.run(trial.older, "make", "--no-print-directory", "demo")
        progress.done(f"{release} took a payment")
        yield trial
    finally:
        stack.down(trial.layout, wipe=False, progress=progress)
        shutil.rmtree(trial.folder / "logs", ignore_errors=True)
        if trial.layout.logs.is_dir():
            shutil.copytree(trial.layout.logs, trial.folder / "logs")
        stack.down(trial.layout, wipe=True, progress=progress)
        shutil.rmtree(trial.older, ignore_errors=True)


def at_rest(release: str, progress: Progress) -> None:
    """Raises CalledProcessError or TimeoutExpired for the first step that fails."""
    with started(release, 1, progress) as trial:
        trial.run(trial.older, ".venv/bin/commdesk", "down")
        trial.run(ROOT, ".venv/bin/commdesk", "up")
        progress.done("this checkout migrated its data and runs on it")
        trial.run(ROOT, ".venv/bin/commdesk", "demo")
        trial.run(ROOT, ".venv/bin/commdesk", "doctor")
        progress.done("this checkout took a payment, all invariants hold, doctor finds nothing")


def rolling(release: str, rate: float, progress: Progress) -> dict[str, dict[str, Any]]:
    """The figures of the way forward and of the way back; what went wrong is listed under "problems".

    Raises as `at_rest`, `restarts.under_load` and `rolling_upgrade.running` do.
    """
    found = {}
    with started(release, REPLICAS, progress) as trial:
        here = Stack(trial.layout)
        old, new = rolling_upgrade.running(here, release), rolling_upgrade.of_checkout(here, HERE)
        uvloop.run(restarts.warm_up(json.loads(old.description), rate))
        # It waits until the fleet is quiet, with the release's own tools: ours know queues that are not there yet.
        trial.run(trial.older, ".venv/bin/commdesk", "demo")
        for to, steps, checkout in (
            (new, rolling_upgrade.forward(trial.layout), ROOT),
            (old, rolling_upgrade.back(trial.layout), trial.older),
        ):

            def work(to: rolling_upgrade.Release = to, steps: list[rolling_upgrade.Step] = steps) -> list[Restarted]:
                return rolling_upgrade.take(here, steps, to, progress)

            found[to.name] = uvloop.run(restarts.under_load(json.loads(new.description), rate, progress, work))
            progress.done(f"all replicas are those of {to.name}")
            trial.run(checkout, ".venv/bin/commdesk", "demo")
    write_private(trial.folder / "rolling-upgrade.json", json.dumps(found, indent=2) + "\n")
    return found


@contextmanager
def _failures_shown(progress: Progress) -> Iterator[None]:
    try:
        yield
    except (
        *(subprocess.CalledProcessError, subprocess.TimeoutExpired, stack.StackFailed, structures.TakenAway),
        *(ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError),
    ) as error:
        progress.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None


@app.command("at-rest")
def stopped_and_started(release: Revision) -> None:
    """Pay, stop the release, start this checkout on its data, pay again, check."""
    progress = Progress()
    with _failures_shown(progress):
        at_rest(release, progress)


@app.command("rolling")
def replaced_under_payments(
    release: Revision,
    rate: Annotated[float, typer.Option(envvar="RATE", min=1, max=1000, help="Payments a second.")] = 30.0,
) -> None:
    """Replace the release by this checkout under payments, and bring it back: no request may fail, nothing be lost."""
    progress = Progress()
    with _failures_shown(progress):
        found = rolling(release, rate, progress)
    for name, figures in found.items():
        typer.echo(f"\nto {name}:")
        for line in restarts.lines(figures):
            typer.echo(line)
    problems = [f"to {name}: {problem}" for name, figures in found.items() for problem in figures["problems"]]
    for problem in problems:
        progress.failed(problem)
    raise typer.Exit(1 if problems else 0)


if __name__ == "__main__":
    app()
