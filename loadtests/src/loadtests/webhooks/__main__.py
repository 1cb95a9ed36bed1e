"""python -m loadtests.webhooks: a storm of webhooks against a running stack, and whether any was lost."""

import json
from typing import Annotated

import asyncpg
import typer
import uvloop
from rich.console import Console

from loadtests import session
from loadtests.report import between, markdown_sheets, show_sheets
from loadtests.webhooks import report
from loadtests.webhooks.bench import bench
from loadtests.webhooks.config import Plan
from ops.ports import Layout
from ops.progress import Progress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    seconds: Annotated[int, typer.Option(envvar="SECONDS_OF_STORM", help="How long the storm lasts.")] = 60,
    rate: Annotated[int, typer.Option(envvar="RATE", help="Deliveries a second, however slow the answers.")] = 2_000,
    record: Annotated[
        bool, typer.Option("--record", help="Only write the last result into docs/log/numbers.md.")
    ] = False,
) -> None:
    layout, progress = Layout.from_environment(), Progress()
    file = layout.run_dir / "bench-webhooks.json"
    if record:
        if not file.is_file():
            progress.failed(f"no result in {file}: run the storm first")
            raise typer.Exit(1)
        found = json.loads(file.read_text())
        text = "\n\n".join([report.introduction(found), *markdown_sheets(report.sheets(found), found["problems"])])
        session.NUMBERS.write_text(between(session.NUMBERS.read_text(), report.BEGIN, report.END, text))
        progress.done(f"numbers of {file} are in docs/log/numbers.md")
        return
    try:
        plan = Plan(seconds, rate)
        description = session.stack_at(layout)
        progress.note(
            f"{plan.deliveries:,} webhooks in {seconds} s, {plan.orders:,} orders before that, all on 127.0.0.1"
        )
        progress.note(f"the generator will hold about {plan.memory_bytes / 1e6:,.0f} MB of requests")
        session.announce_disk_use(plan.disk_bytes, layout, progress)
        found = uvloop.run(bench(description, plan, progress))
    except (ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError) as error:
        progress.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None
    except ExceptionGroup as group:
        progress.failed("; ".join(str(error) or type(error).__name__ for error in group.exceptions))
        raise typer.Exit(1) from None
    session.save(found, file, report.draw, progress)
    show_sheets(report.sheets(found), found["problems"], Console())
    raise typer.Exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    app()
