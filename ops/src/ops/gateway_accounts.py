"""Merchants' own gateway accounts from the command line. Secrets are typed in or come from the environment."""

import json
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.payment.v1 import routing_pb2 as pb
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

gateway_accounts = typer.Typer(no_args_is_help=True, help="Merchants' own accounts at gateways.")

Account = Annotated[str, typer.Argument(help="gwa_…, as `gateway-account list` shows it.")]
WebhookSecret = Annotated[
    str,
    typer.Option(envvar="GATEWAY_WEBHOOK_SECRET", help="What the gateway signs webhooks with.", show_default=False),
]


@gateway_accounts.command("list")
def list_accounts(
    merchant: Annotated[str, typer.Option(help="mer_…; all merchants' without it.")] = "", as_json: AsJson = False
) -> None:
    """The accounts, without their secrets."""

    async def work(fleet: FleetClient) -> pb.ListAccountsResponse:
        answer: pb.ListAccountsResponse = await fleet.gateway_accounts().ListAccounts(
            pb.ListAccountsRequest(merchant_id=merchant), timeout=TIMEOUT_SECONDS
        )
        return answer

    answer = with_fleet(work)
    if as_json:
        print(json.dumps(MessageToDict(answer, always_print_fields_with_no_presence=True), indent=2))
        return
    table = Table("account", "merchant", "gateway", "mode", "key", "priority", "methods", "status", box=None)
    for it in answer.accounts:
        methods = ", ".join(it.methods) or "all"
        table.add_row(
            it.gateway_account_id, it.merchant_id, it.gateway, it.mode, it.key_id, str(it.priority), methods, it.status
        )
    print_table(table)


@gateway_accounts.command("create")
def create_account(
    merchant: Annotated[str, typer.Argument(help="mer_…")],
    gateway: Annotated[str, typer.Argument(help="cashfree, razorpay …")],
    key_id: Annotated[str, typer.Option(help="The key's public id.")],
    key_secret: Annotated[
        str, typer.Option(envvar="GATEWAY_KEY_SECRET", prompt=True, hide_input=True, show_default=False)
    ],
    webhook_secret: WebhookSecret = "",
    contact_phone: Annotated[str, typer.Option(help="The merchant's own, for customers who have none.")] = "",
    method: Annotated[list[str] | None, typer.Option(help="Only these; all without it.")] = None,
    priority: Annotated[int, typer.Option(min=1, max=1000, help="Lower is tried first.")] = 100,
) -> None:
    """Add an account: from then on the merchant's payments go to its own accounts only."""
    request = pb.CreateAccountRequest(
        merchant_id=merchant,
        gateway=gateway,
        key_id=key_id,
        key_secret=key_secret,
        webhook_secret=webhook_secret,
        contact_phone=contact_phone,
        methods=method or [],
        priority=priority,
        actor=operator(),
    )

    async def work(fleet: FleetClient) -> pb.CreateAccountResponse:
        answer: pb.CreateAccountResponse = await fleet.gateway_accounts().CreateAccount(
            request, timeout=TIMEOUT_SECONDS
        )
        return answer

    account = with_fleet(work).account
    typer.echo(f"{account.gateway_account_id}: {account.mode}, webhooks to {account.webhook_path}")


@gateway_accounts.command("rotate-webhook-secret")
def rotate_webhook_secret(
    account: Account,
    webhook_secret: Annotated[
        str, typer.Option(envvar="GATEWAY_WEBHOOK_SECRET", prompt=True, hide_input=True, show_default=False)
    ],
) -> None:
    """Replace what verifies the account's webhooks; the secret before verifies for another day."""
    request = pb.RotateWebhookSecretRequest(gateway_account_id=account, webhook_secret=webhook_secret, actor=operator())

    async def work(fleet: FleetClient) -> pb.RotateWebhookSecretResponse:
        answer: pb.RotateWebhookSecretResponse = await fleet.gateway_accounts().RotateWebhookSecret(
            request, timeout=TIMEOUT_SECONDS
        )
        return answer

    typer.echo(f"{with_fleet(work).account.gateway_account_id}: the new secret verifies")


@gateway_accounts.command("disable")
def disable_account(account: Account) -> None:
    """Send no new payments to the account; those that it has are followed and refunded on."""
    request = pb.DisableAccountRequest(gateway_account_id=account, actor=operator())

    async def work(fleet: FleetClient) -> pb.DisableAccountResponse:
        answer: pb.DisableAccountResponse = await fleet.gateway_accounts().DisableAccount(
            request, timeout=TIMEOUT_SECONDS
        )
        return answer

    it = with_fleet(work).account
    typer.echo(f"{it.gateway_account_id}: {it.status}")
