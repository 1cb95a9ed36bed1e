"""Wallets from the command line: what one holds and owes, and debts that somebody forgives."""

import secrets
from typing import Annotated

import typer
from rich.table import Table

from commdesk.wallet.v1 import wallet_pb2 as pb
from ops.commands import operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

wallet = typer.Typer(no_args_is_help=True, help="What a wallet holds and owes.")

OwnerId = Annotated[str, typer.Argument(help="Whose wallet: usr_… unless --kind says otherwise.")]
Merchant = Annotated[str, typer.Option(help="mer_… of the environment that the wallet is in.")]
Kind = Annotated[str, typer.Option(help="USER, COMMUNITY or PLATFORM.")]


@wallet.command("show")
def show_wallet(owner_id: OwnerId, merchant: Merchant = "mer_commdesk", kind: Kind = "USER") -> None:
    """Available and locked credits, and what is owed."""
    request = pb.GetWalletsRequest(owners=[pb.Owner(merchant_id=merchant, kind=kind.upper(), id=owner_id)])

    async def work(fleet: FleetClient) -> pb.GetWalletsResponse:
        response: pb.GetWalletsResponse = await fleet.wallet().GetWallets(request, timeout=TIMEOUT_SECONDS)
        return response

    table = Table("wallet", "available", "locked", "owed", "transactions", box=None)
    for each in with_fleet(work).wallets:
        figures = (each.available, each.locked, each.debt, each.seq)
        table.add_row(each.wallet_id or "never used", *map(str, figures))
    print_table(table)


@wallet.command("forgive-debt")
def forgive_debt(
    owner_id: OwnerId,
    credits: Annotated[int, typer.Option(min=1, help="Whole credits, at most what is owed.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept permanently in the audit log: no personal data.")],
    merchant: Merchant = "mer_commdesk",
    kind: Kind = "USER",
    key: Annotated[str, typer.Option(help="To repeat a call whose answer was lost: the key that it printed.")] = "",
) -> None:
    """Take credits off what a wallet owes after a refund of spent ones."""
    key = key or secrets.token_hex(16)
    item = pb.DebtForgiveness(
        idempotency_key=key,
        owner=pb.Owner(merchant_id=merchant, kind=kind.upper(), id=owner_id),
        credits=credits,
        reason=reason,
        actor=operator(),
    )
    typer.echo(f"key {key}")

    async def work(fleet: FleetClient) -> pb.ForgiveDebtsResponse:
        request = pb.ForgiveDebtsRequest(items=[item])
        response: pb.ForgiveDebtsResponse = await fleet.wallet().ForgiveDebts(request, timeout=TIMEOUT_SECONDS)
        return response

    [result] = with_fleet(work).results
    if result.HasField("error"):
        fields = ", ".join(f"{name}: {text}" for name, text in sorted(result.error.fields.items()))
        typer.echo(f"refused: {result.error.code} {result.error.message} {fields}".rstrip(), err=True)
        raise typer.Exit(1)
    typer.echo(f"{-result.transaction.debt} credits forgiven: {result.transaction.transaction_id}")
