"""Merchants from the command line: make an account, list them, show one, suspend it and take it up again."""

import json
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.identity.v1 import identity_pb2 as pb
from common.grpc_client import error_from
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10
PAGE = 200

merchant = typer.Typer(no_args_is_help=True, help="Merchants: accounts with a live and a test environment.")

Reference = Annotated[str, typer.Argument(help="An account (acc_…) or one of its merchants (mer_…).")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the audit log.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the operator's command line."""
    app.add_typer(merchant, name="merchant")


@merchant.command()
def create(
    name: Annotated[str, typer.Argument(help="What customers read.")],
    owner: Annotated[str, typer.Option(help="The e-mail address of the user who becomes its owner.")],
    legal_name: Annotated[str, typer.Option(help="As it is registered.")] = "",
    website: Annotated[str, typer.Option(help="It begins with https.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an account with a live and a test environment."""
    account = pb.NewAccount(name=name, legal_name=legal_name, website=website, owner_email=owner)

    async def work(fleet: FleetClient) -> pb.Account:
        request = pb.CreateAccountsRequest(accounts=[account], actor=operator())
        answer = await fleet.identity().CreateAccounts(request, timeout=TIMEOUT_SECONDS)
        return _account(answer.results)

    _print([with_fleet(work)], as_json)


@merchant.command("list")
def list_accounts(as_json: AsJson = False) -> None:
    """All accounts with their merchants."""
    _print(with_fleet(accounts), as_json)


@merchant.command()
def show(reference: Reference, as_json: AsJson = False) -> None:
    """An account, its merchants and members."""

    async def work(fleet: FleetClient) -> pb.GetAccountResponse:
        request = pb.GetAccountRequest(reference=reference)
        answer: pb.GetAccountResponse = await fleet.identity().GetAccount(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if as_json:
        members = [_plain(member) for member in answer.members]
        typer.echo(json.dumps({**_plain(answer.account), "members": members}, indent=2))
        return
    _print([answer.account], as_json)
    table = Table("member", "address", "roles", box=None)
    for member in answer.members:
        table.add_row(member.user_id, member.email, " ".join(member.roles))
    print_table(table)


@merchant.command()
def suspend(reference: Reference, reason: Reason, as_json: AsJson = False) -> None:
    """Suspend an account: its members get no tokens for it, and those that they have are refused."""
    _set(reference, "SUSPENDED", reason, as_json)


@merchant.command()
def resume(reference: Reference, reason: Reason, as_json: AsJson = False) -> None:
    """Take a suspended account up again."""
    _set(reference, "ACTIVE", reason, as_json)


async def accounts(fleet: FleetClient) -> list[pb.Account]:
    """All of them, page by page."""
    found: list[pb.Account] = []
    while True:
        request = pb.ListAccountsRequest(after_id=found[-1].account_id if found else "", limit=PAGE)
        page = (await fleet.identity().ListAccounts(request, timeout=TIMEOUT_SECONDS)).accounts
        found += page
        if len(page) < PAGE:
            return found


def _set(reference: str, status: str, reason: str, as_json: bool) -> None:
    async def work(fleet: FleetClient) -> pb.Account:
        request = pb.SetAccountStatusRequest(references=[reference], status=status, actor=operator(), reason=reason)
        answer = await fleet.identity().SetAccountStatus(request, timeout=TIMEOUT_SECONDS)
        return _account(answer.results)

    _print([with_fleet(work)], as_json)


def _account(results: Any) -> pb.Account:
    """Raises DomainError."""
    [result] = results
    if result.HasField("error"):
        raise error_from(result.error)
    account: pb.Account = result.account
    return account


def _print(found: list[pb.Account], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in found], indent=2))
        return
    table = Table("account", "name", "status", "live", "test", box=None)
    for account in found:
        ids = {each.environment: each.merchant_id for each in account.merchants}
        table.add_row(account.account_id, account.name, account.status, ids.get("live", ""), ids.get("test", ""))
    print_table(table)


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(message)
