"""python -m loadtests: the capacity of the whole payment lifecycle on a running stack, and what it costs."""

import json
from typing import Annotated

import asyncpg
import typer
import uvloop
from rich.console import Console

from loadtests import plot, report, session
from loadtests.bench import bench
from loadtests.config import Plan
from ops.ports import Layout
from ops.progress import Progress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    payments: Annotated[int, typer.Option(envvar="PAYMENTS", help="Payments of a round.")] = 3_000,
    rounds: Annotated[int, typer.Option(envvar="ROUNDS", help="The median of them is reported.")] = 3,
    warm_up: Annotated[int, typer.Option(envvar="WARM_UP", help="Payments before the first round.")] = 500,
    clients: Annotated[int, typer.Option(envvar="CLIENTS", help="Closed model: clients that never pause.")] = 256,
    rate: Annotated[
        float, typer.Option(envvar="RATE", help="Open model: payments a second, however slow the answers.")
    ] = 0.0,
    floors: Annotated[bool, typer.Option(help="Measure the bare building blocks too.")] = True,
    record: Annotated[
        bool, typer.Option("--record", help="Only write the last result into docs/log/numbers.md.")
    ] = False,
) -> None:
    layout, progress = Layout.from_environment(), Progress()
    file = layout.run_dir / "bench.json"
    if record:
        if not file.is_file():
            progress.failed(f"no result in {file}: run the benchmark first")
            raise typer.Exit(1)
        session.NUMBERS.write_text(report.with_numbers(session.NUMBERS.read_text(), json.loads(file.read_text())))
        progress.done(f"numbers of {file} are in docs/log/numbers.md")
        return
    try:
        plan = Plan(payments, rounds, warm_up, clients, rate, floors)
        description = session.stack_at(layout)
        progress.note(
            f"{plan.model}: {plan.warm_up} + {plan.rounds} × {plan.payments} payments, all of them on 127.0.0.1"
        )
        session.announce_disk_use(plan.disk_bytes, layout, progress)
        found = uvloop.run(bench(description, plan, progress))
    except (ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError) as error:
        progress.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None
    session.save(found, file, plot.draw, progress)
    report.show(found, Console())
    raise typer.Exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    app()
