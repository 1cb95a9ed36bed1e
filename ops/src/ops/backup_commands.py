"""commdesk backup, restore and restore-drill."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ops import backup, pgbackrest, stack
from ops import restore_drill as drill
from ops.commands import AsJson
from ops.journey import StepFailed
from ops.pgbackrest import BackupFailed
from ops.ports import Layout
from ops.progress import Progress

MIB = 1024**2


def register(app: typer.Typer) -> None:
    """Add these commands to the operator's command line."""
    app.command("backup")(back_up)
    app.command()(restore)
    app.command("restore-drill")(restore_drill)


def back_up(
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what changed since the last one; without it, everything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up a stack that was started with BACKUP=on: PostgreSQL, the broker's definitions, the list of keys."""
    with _failures():
        made = backup.back_up(Layout.from_environment(), incremental=incremental)
    if as_json:
        typer.echo(json.dumps(pgbackrest.details([made])[0], indent=2))
        return
    seconds = (made.stopped - made.started).total_seconds()
    stored = f"{made.stored_bytes / MIB:.0f} MiB stored"
    typer.echo(f"{made.label}: {made.database_bytes / MIB:.0f} MiB in {seconds:.0f} s, {stored}")


def restore(
    repository: Annotated[Path, typer.Argument(help="The backup repository: BACKUP_DIR of the stack that was lost.")],
    at: Annotated[
        datetime | None,
        typer.Option(help="As of this moment (UTC) instead of the end of the archive.", formats=["%Y-%m-%dT%H:%M:%S"]),
    ] = None,
) -> None:
    """Restore a backup into a new RUN_DIR that holds the kept secrets.json and nothing else; then `commdesk up`."""
    with _failures():
        moment = at.replace(tzinfo=UTC) if at else None
        backup.restore(Layout.from_environment(), repository.absolute(), Progress(), at=moment)


def restore_drill(
    seconds: Annotated[float, typer.Option(min=5, help="Customers buy for so long before the backup.")] = 20,
    seconds_after: Annotated[float, typer.Option(min=5, help="And for so long from the backup to the loss.")] = 80,
    as_json: AsJson = False,
) -> None:
    """Lose a stack of its own while customers buy, restore it into another from its backup, check what came back."""
    where = Layout.from_environment()
    with _failures():
        folder, port_base = where.run_dir / "restore-drill", stack.free_port_base(where.port_base)
        work = drill.drill(folder, port_base, Progress(), before=seconds, after=seconds_after)
        result = asyncio.run(work)
    if as_json:
        typer.echo(json.dumps(drill.summary(result), indent=2))
        return
    for name, value in drill.summary(result).items():
        typer.echo(f"  {name.replace('_', ' '):20} {value:>14,}")


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong is one line and exit code 1."""
    try:
        yield
    except (BackupFailed, stack.StackFailed, drill.DrillFailed, StepFailed, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
