"""commdesk: the operator's command line."""

import json
import os
import subprocess
import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from common.services import SERVICES
from ops import (
    api_keys,
    backup_commands,
    commands,
    disputes,
    fleet_status,
    gateway_accounts,
    ledger,
    merchants,
    personal_data,
    reconciliation,
    refunds,
    reviews,
    rolling_restart,
    routing,
    settlements,
    stack,
    wallets,
)
from ops.commands import AsJson
from ops.pgbackrest import BackupFailed
from ops.ports import Layout, SwitchUnreadable
from ops.progress import Progress
from ops.supervision import Supervisor

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Names = Annotated[list[str], typer.Argument(help="As `commdesk status` shows them: rabbitmq, payment, edge …")]


@app.command()
def up(
    engines_only: Annotated[bool, typer.Option(help="PostgreSQL, RabbitMQ, Redis and the mail sink alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the local stack, or whatever of it does not run, and wait until it works."""
    progress = Progress()
    where = Layout.from_environment()
    try:
        described = stack.up(where, engines_only=engines_only, progress=progress)
    except (stack.StackFailed, BackupFailed, FileNotFoundError, TimeoutError, RuntimeError) as error:
        progress.failed(str(error))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(described, indent=2))
        return
    progress.done("up")
    print(f"\n  stack     {where.description}\n  mail      {where.mail_url}")
    if not engines_only:
        print(f"  edge      {where.edge_url}\n  sandbox   {where.sandbox_url}")


@app.command()
def down(
    wipe: Annotated[bool, typer.Option(help="Delete the stack's data as well.")] = False,
) -> None:
    """Stop the local stack: no process and no open port is left."""
    stack.down(Layout.from_environment(), wipe=wipe, progress=Progress())


@app.command()
def status(as_json: AsJson = False) -> None:
    """What runs, where, and whether it is ready. Exit code 1 when something is not."""
    where = Layout.from_environment()
    rows = fleet_status.rows(where)
    if as_json:
        print(json.dumps([msgspec.structs.asdict(row) for row in rows], indent=2))
    elif not rows:
        print(f"nothing runs in {where.run_dir}")
    else:
        table = Table("process", "state", "ready", "pid", "up", "health", box=None)
        for row in rows:
            up_for = f"{row.up_seconds} s" if row.pid else ""
            table.add_row(row.name, row.state, "yes" if row.ready else "no", str(row.pid or ""), up_for, row.url)
        Console().print(table)
    raise typer.Exit(0 if rows and all(row.ready for row in rows) else 1)


@app.command()
def logs(
    process: Annotated[str, typer.Argument(help="One process; without it, all.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 50,
) -> None:
    """Show the end of the logs."""
    where = Layout.from_environment()
    files = sorted(where.logs.glob(f"{process or '*'}.log"))
    if not files:
        print(f"no log of {process or 'anything'} in {where.logs}", file=sys.stderr)
        raise typer.Exit(1)
    command = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), *(str(file) for file in files)]
    os.execvp(command[0], command)  # noqa: S606 - nothing of ours is left to do


@app.command()
def start(names: Names) -> None:
    """Start processes of a running stack."""
    supervisor = _supervisor()
    for name in names:
        supervisor.start(name, wait=True)


@app.command()
def stop(names: Names) -> None:
    """Stop processes of a running stack; they stay stopped until started."""
    _supervisor().stop(*names)


@app.command()
def restart(names: Names) -> None:
    """Stop processes of a running stack and start them again."""
    stop(names)
    start(names)


@app.command("rolling-restart")
def restart_in_turn(
    services: Annotated[list[str] | None, typer.Argument(help="Services; without any, all of them.")] = None,
) -> None:
    """Restart services one replica at a time: the others answer meanwhile."""
    where, progress = Layout.from_environment(), Progress()
    if unknown := set(services or ()) - set(SERVICES):
        progress.failed(f"there is no service {', '.join(sorted(unknown))}")
        raise typer.Exit(2)
    try:
        rolling_restart.restart(where, progress, rolling_restart.replicas(where, services or ()))
    except (rolling_restart.NotReplicated, stack.StackFailed, TimeoutError) as error:
        progress.failed(str(error))
        raise typer.Exit(1) from None


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run all tests on engines of their own; everything after `test` goes to pytest."""
    from ops import suite

    raise typer.Exit(suite.run(context.args, Progress()))


def _supervisor() -> Supervisor:
    supervisor = stack.existing_supervisor(Layout.from_environment())
    if supervisor is None:
        print("nothing runs here: `commdesk up` first", file=sys.stderr)
        raise typer.Exit(1)
    return supervisor


commands.register(app)
merchants.register(app)
personal_data.register(app)
backup_commands.register(app)
app.add_typer(api_keys.key, name="key")
app.add_typer(reviews.review, name="review")
app.add_typer(reconciliation.recon, name="recon")
app.command()(refunds.refund)
app.command("refunds")(refunds.list_refunds)
app.add_typer(ledger.ledger, name="ledger")
app.add_typer(settlements.settlements, name="settlements")
app.add_typer(wallets.wallet, name="wallet")
app.add_typer(disputes.disputes, name="disputes")
app.add_typer(routing.routing, name="route")
app.add_typer(gateway_accounts.gateway_accounts, name="gateway-account")


def main() -> None:
    try:
        app()
    except subprocess.CalledProcessError as error:
        print(f"{error.cmd[0]} ended with {error.returncode}", file=sys.stderr)
        sys.exit(1)
    except SwitchUnreadable as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
