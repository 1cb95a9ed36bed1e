"""Reconciliation from the command line: a run now, open cases, the daily close, a bank's statement."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from ops.commands import operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 30
# A full run reads all that changed since the last.
RUN_SECONDS = 600
FILE_BYTES_MAX = 3 << 20

recon = typer.Typer(no_args_is_help=True, help="Reconciliation of payments with gateway, bank, wallets and books.")


@recon.command("run")
def run_reconciliation() -> None:
    """Compare everything now; says what is open."""

    async def work(fleet: FleetClient) -> pb.RunResponse:
        answer: pb.RunResponse = await fleet.reconciler().Run(pb.RunRequest(actor=operator()), timeout=RUN_SECONDS)
        return answer

    with_fleet(work)
    list_cases()


@recon.command("cases")
def list_cases(
    status: Annotated[str, typer.Option(help="OPEN, RESOLVED or ANY.")] = "OPEN",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
) -> None:
    """What is or was wrong, newest first."""
    request = pb.ListCasesRequest(status=status.upper(), limit=limit)

    async def work(fleet: FleetClient) -> pb.ListCasesResponse:
        answer: pb.ListCasesResponse = await fleet.reconciler().ListCases(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if not answer.cases:
        typer.echo("no cases")
        return
    table = Table("case", "kind", "about", "amount", "owner", "what", box=None)
    for each in answer.cases:
        amount = f"{each.amount_minor} {each.currency}" if each.currency else "-"
        table.add_row(each.case_id, each.kind, each.payment_id or each.reference, amount, each.owner, each.detail)
    print_table(table)


@recon.command("close")
def close_day(
    day: Annotated[str, typer.Option(help="A date that is over in India; yesterday unless given.")] = "",
) -> None:
    """State what of a day's payments is matched, explained and open, and keep it. Minor units."""
    request = pb.CloseDayRequest(day=day, actor=operator())

    async def work(fleet: FleetClient) -> pb.CloseDayResponse:
        answer: pb.CloseDayResponse = await fleet.reconciler().CloseDay(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    typer.echo(f"{answer.close_id}  {answer.day}")
    table = Table("currency", "payments", "total", "matched", "explained", "open", box=None)
    others = Table("currency", "other cases", "in question", "settlements", "net", "seen at the bank", box=None)
    for each in answer.currencies:
        sums = (each.payments, each.total_minor, each.matched_minor, each.explained_minor, each.open_minor)
        table.add_row(each.currency, *map(str, sums))
        rest = (each.other_cases, each.other_minor, each.settlements, each.settled_net_minor, each.banked_minor)
        others.add_row(each.currency, *map(str, rest))
    print_table(table)
    print_table(others)


@recon.command("statement")
def store_statement(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or MT940.")],
    account: Annotated[str, typer.Option(help="The bank account of a CSV; MT940 names its own.")] = "",
    currency: Annotated[str, typer.Option(help="Of a CSV.")] = "INR",
) -> None:
    """Store a bank's statement; the next run looks for settlements in it."""
    if file.stat().st_size > FILE_BYTES_MAX:
        raise typer.BadParameter(f"the file is larger than {FILE_BYTES_MAX >> 20} MiB: split it by days")
    request = pb.StoreStatementRequest(
        file=file.read_bytes(), account=account, currency=currency.upper(), actor=operator()
    )

    async def work(fleet: FleetClient) -> pb.StoreStatementResponse:
        answer: pb.StoreStatementResponse = await fleet.reconciler().StoreStatement(request, timeout=TIMEOUT_SECONDS)
        return answer

    stored = with_fleet(work)
    typer.echo(
        f"{stored.statement_id}  {stored.format}  {stored.first_on} to {stored.last_on}:"
        f" {stored.lines} lines, {stored.lines_added} of them new"
    )
