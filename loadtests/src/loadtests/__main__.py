"""python -m loadtests: the capacity of the whole payment lifecycle on a running stack, and what it costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
import uvloop
from rich.console import Console

from loadtests import config, report
from loadtests.bench import bench
from loadtests.config import Plan
from ops import stack
from ops.files import write_private
from ops.layout import ROOT, Layout, from_environment
from ops.steps import Steps

README = ROOT / "README.md"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    payments: Annotated[int, typer.Option(envvar="PAYMENTS", help="Payments of a round.")] = 3_000,
    rounds: Annotated[int, typer.Option(envvar="ROUNDS", help="The median of them is told.")] = 3,
    warm_up: Annotated[int, typer.Option(envvar="WARM_UP", help="Payments before the first round.")] = 500,
    clients: Annotated[int, typer.Option(envvar="CLIENTS", help="Closed model: clients that never pause.")] = 64,
    rate: Annotated[float, typer.Option(envvar="RATE", help="Open model: payments a second, come what may.")] = 0.0,
    floors: Annotated[bool, typer.Option(help="Measure the bare building blocks too.")] = True,
    readme: Annotated[bool, typer.Option("--readme", help="Only write the last result into the README.")] = False,
) -> None:
    layout, steps = from_environment(), Steps()
    file = layout.run_dir / "bench.json"
    if readme:
        if not file.is_file():
            steps.failed(f"no result in {file}: run the benchmark first")
            raise typer.Exit(1)
        README.write_text(report.with_numbers(README.read_text(), json.loads(file.read_text())))
        steps.done(f"numbers of {file} are in the README")
        return
    try:
        plan = Plan(payments, rounds, warm_up, clients, rate, floors)
        description = _stack(layout)
        _say_what_it_writes(plan, layout, steps)
        found = uvloop.run(bench(description, plan, steps))
    except (ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError) as error:
        steps.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None
    _keep(found, file, steps)
    report.show(found, Console())
    raise typer.Exit(1 if found["problems"] else 0)


def _stack(layout: Layout) -> dict[str, Any]:
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


def _say_what_it_writes(plan: Plan, layout: Layout, steps: Steps) -> None:
    """Before it is written. Raises RuntimeError when the disk has not that much to spare."""
    free = shutil.disk_usage(layout.run_dir).free
    steps.note(f"{plan.model}: {plan.warm_up} + {plan.rounds} × {plan.payments} payments, all of them on 127.0.0.1")
    steps.note(f"will write about {plan.disk_bytes / 1e6:,.0f} MB below {layout.run_dir}, of {free / 1e9:,.0f} GB free")
    if free < plan.disk_bytes + config.DISK_BYTES_SPARED:
        raise RuntimeError("that is too little room: fewer payments, or `commdesk down --wipe` an old stack")


def _keep(found: dict[str, Any], file: Path, steps: Steps) -> None:
    write_private(file, json.dumps(found, indent=2) + "\n")
    steps.done(f"wrote {file}")
    try:
        from loadtests import plot

        plot.draw(found, file.with_suffix(".png"))
        steps.done(f"drew {file.with_suffix('.png')}")
    except ImportError:
        steps.note("no picture: matplotlib is not installed")


if __name__ == "__main__":
    app()
