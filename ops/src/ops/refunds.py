"""Refunds from the command line: give money back, and what became of it."""

import json
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.common.v1.common_pb2 import Money as MoneyMessage
from commdesk.payment.v1 import refunds_pb2 as pb
from common import ids, money
from common.errors import DomainError
from common.money import Money
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

PaymentId = Annotated[str, typer.Argument(help="pay_…")]


def refund(
    payment_id: PaymentId,
    reason: Annotated[str, typer.Option(help="Why; it is kept permanently: no personal data.")],
    amount: Annotated[
        str, typer.Option(help="In rupees, as 499 or 499.50; all that can still be refunded unless given.")
    ] = "",
    instant: Annotated[bool, typer.Option(help="As an instant refund, where gateway and method allow it.")] = False,
    key: Annotated[str, typer.Option(help="Makes a repeated command safe; a fresh one unless given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give money of a payment back. The credits that it bought are taken in proportion."""
    request = pb.RefundRequest(
        payment_id=payment_id,
        amount=_amount(amount) if amount else None,
        reason=reason,
        idempotency_key=key or f"operator:{ids.new()}",
        speed="INSTANT" if instant else "STANDARD",
        operator=operator(),
    )

    async def work(fleet: FleetClient) -> pb.RefundResult:
        asked = pb.RequestRefundsRequest(items=[request])
        answer: pb.RequestRefundsResponse = await fleet.refunds().RequestRefunds(asked, timeout=TIMEOUT_SECONDS)
        [result] = answer.results
        return result

    result = with_fleet(work)
    if result.HasField("error"):
        typer.echo(f"{result.error.code}: {result.error.message}", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(_plain(result.refund), indent=2))
        return
    _print([result.refund])


def list_refunds(payment_id: PaymentId, as_json: AsJson = False) -> None:
    """The refunds of a payment, oldest first."""

    async def work(fleet: FleetClient) -> list[pb.Refund]:
        request = pb.ListRefundsRequest(payment_ids=[payment_id], limit=1000)
        return list((await fleet.refunds().ListRefunds(request, timeout=TIMEOUT_SECONDS)).refunds)

    refunds = with_fleet(work)
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in refunds], indent=2))
        return
    if not refunds:
        typer.echo("nothing of it was refunded")
        return
    _print(refunds)


def _print(refunds: list[pb.Refund]) -> None:
    table = Table("refund", "status", "amount", "credits", "when spent", "gateway's id", "by", "why not", box=None)
    for each in refunds:
        credits = each.credits_paid + each.credits_bonus
        table.add_row(
            each.refund_id,
            pb.RefundStatus.Name(each.status).removeprefix("REFUND_STATUS_"),
            money.format(Money(each.amount.minor, each.amount.currency)),
            f"{credits:,}",
            pb.SpentCreditsPolicy.Name(each.policy).removeprefix("SPENT_CREDITS_POLICY_").lower(),
            each.gateway_refund_id or "-",
            each.requested_by,
            each.failure_reason or "-",
        )
    print_table(table)


def _amount(text: str) -> MoneyMessage:
    try:
        amount = money.parse(text)
    except DomainError as error:
        raise typer.BadParameter(str(error), param_hint="--amount") from error
    return MoneyMessage(minor=amount.minor, currency=amount.currency)


def _plain(refund: pb.Refund) -> dict[str, Any]:
    return MessageToDict(refund, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
