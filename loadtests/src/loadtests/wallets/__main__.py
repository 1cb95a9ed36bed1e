"""python -m loadtests.wallets: wallet transactions through a running stack, until the ledger has booked all."""

import json
from typing import Annotated

import asyncpg
import grpc
import psutil
import typer
import uvloop
from rich.console import Console

from loadtests import session, warm_memory
from loadtests.report import between, markdown_sheets, show_sheets
from loadtests.wallets import plot, report
from loadtests.wallets.bench import bench
from loadtests.wallets.plan import Plan
from ops.ports import Layout
from ops.progress import Progress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    transactions: Annotated[
        int, typer.Option("--transactions", "-n", envvar="N", help="Of the spread run.")
    ] = 10_000_000,
    wallets: Annotated[int, typer.Option(envvar="WALLETS", help="Of the spread run.")] = 100_000,
    zipf: Annotated[float, typer.Option(envvar="ZIPF", help="The wallet of rank r gets 1/r^zipf of the load.")] = 1.0,
    hot: Annotated[int, typer.Option(envvar="HOT", help="Transactions of the run on ten wallets; -1: a tenth.")] = -1,
    grpc_share: Annotated[float, typer.Option(envvar="GRPC_SHARE", help="Of the spends; the others by broker.")] = 0.5,
    keep_rows: Annotated[
        bool, typer.Option("--keep", envvar="KEEP", help="Leave what was written in the stack.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Only write the last result into docs/log/numbers.md.")
    ] = False,
) -> None:
    layout, progress = Layout.from_environment(), Progress()
    file = layout.run_dir / "bench-wallet.json"
    if record:
        if not file.is_file():
            progress.failed(f"no result in {file}: run the benchmark first")
            raise typer.Exit(1)
        found = json.loads(file.read_text())
        text = "\n\n".join([report.introduction(found), *markdown_sheets(report.sheets(found), found["problems"])])
        session.NUMBERS.write_text(between(session.NUMBERS.read_text(), report.BEGIN, report.END, text))
        progress.done(f"numbers of {file} are in docs/log/numbers.md")
        return
    try:
        plan = Plan(transactions, wallets, zipf, transactions // 10 if hot < 0 else hot, 10, grpc_share, keep_rows)
        description = session.stack_at(layout)
        for run in plan.runs:
            progress.note(
                f"{run.name}: {run.transactions:,} transactions over {run.wallets:,} wallets of the running stack"
            )
        progress.note("the rows stay" if plan.keep else "what the bench writes is removed at the end")
        unused = warm_memory.to_use(plan.disk_bytes, psutil.virtual_memory().free)
        session.announce_disk_use(plan.disk_bytes + unused, layout, progress)
        with warm_memory.used(layout.run_dir, unused):
            if unused:
                progress.done(f"{unused / 1e9:.0f} GB of unused memory used once")
            found = uvloop.run(bench(layout, description, plan, progress))
    except (ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError, grpc.aio.AioRpcError) as error:
        progress.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None
    session.save(found, file, plot.draw, progress)
    show_sheets(report.sheets(found), found["problems"], Console())
    raise typer.Exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    app()
