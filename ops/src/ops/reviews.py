"""The review queue from the command line: what waits for a person, with its evidence, and the decisions."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.table import Table

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import payment_pb2 as pb
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

review = typer.Typer(no_args_is_help=True, help="Payments that somebody has to decide about.")

PaymentId = Annotated[str, typer.Argument(help="pay_…, as `review list` shows it.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept permanently in the audit log: no personal data.")]
Version = Annotated[str, typer.Option(help="Of the review that was looked at; as it is now unless given.")]
ReceiptId = Annotated[str, typer.Option("--receipt", help="rcp_…; needed when several receipts are open.")]


@review.command("list")
def list_reviews(
    kind: Annotated[str, typer.Option(help="QUARANTINED, FLAGGED or DUPLICATE.")] = "",
    merchant: Annotated[str, typer.Option(help="Only of this merchant.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    as_json: AsJson = False,
) -> None:
    """What waits for a decision, newest payment first."""
    request = pb.ListReviewsRequest(kind=kind.upper(), merchant_id=merchant, limit=limit, cursor=cursor)

    async def work(fleet: FleetClient) -> pb.ListReviewsResponse:
        answer: pb.ListReviewsResponse = await fleet.reviews().ListReviews(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if as_json:
        typer.echo(json.dumps(_plain(answer), indent=2))
        return
    if not answer.reviews:
        typer.echo("nothing waits for a decision")
        return
    table = Table("payment", "kind", "status", "price", "left of receipts", "why", box=None)
    for each in answer.reviews:
        table.add_row(
            each.payment.payment_id,
            ", ".join(each.kinds),
            pb.PaymentStatus.Name(each.payment.status).removeprefix("PAYMENT_STATUS_"),
            _amount(each.payment.amount),
            ", ".join(_amount(_left(receipt)) for receipt in each.receipts if _left(receipt).minor) or "-",
            each.reason,
        )
    print_table(table)
    if answer.next_cursor:
        typer.echo(f"more: --cursor {answer.next_cursor}")


@review.command("show")
def show_review(payment_id: PaymentId, as_json: AsJson = False) -> None:
    """A payment with its receipts, attempts, the gateway's answers, its moves and the decisions about it."""

    async def work(fleet: FleetClient) -> pb.GetReviewResponse:
        return await _get(fleet, payment_id)

    shown = with_fleet(work)
    if as_json:
        typer.echo(json.dumps(_plain(shown), indent=2))
        return
    typer.echo(f"{payment_id}  {', '.join(shown.review.kinds) or 'decided'}  {shown.review.reason}")
    typer.echo(
        f"price {_amount(shown.review.payment.amount)}, fraud review {shown.review.fraud_review},"
        f" version {shown.review.version}"
    )
    receipts = Table("receipt", "gateway's payment", "why", "taken", "applied", "refunded", "by", box=None)
    for receipt in shown.review.receipts:
        figures = (_amount(receipt.amount), _amount(receipt.applied), _amount(receipt.refunded))
        receipts.add_row(
            receipt.receipt_id, receipt.gateway_payment_id, receipt.reason, *figures, _given_back_by(receipt)
        )
    print_table(receipts)
    attempts = Table("attempt", "status", "amount", "method", "reason", box=None)
    for attempt in shown.attempts:
        attempts.add_row(
            attempt.gateway_payment_id, attempt.status, _amount(attempt.amount), attempt.method, attempt.reason
        )
    print_table(attempts)
    happened = Table("time (UTC)", "what", "", "by", box=None)
    for each in shown.evidence:
        at = datetime.fromtimestamp(each.time_unix_micros / 1_000_000, UTC)
        happened.add_row(at.isoformat(timespec="milliseconds"), each.kind, each.summary, each.actor)
    print_table(happened)


@review.command()
def fulfil(payment_id: PaymentId, reason: Why, receipt: ReceiptId = "", version: Version = "") -> None:
    """Make a receipt the payment's success; its credits are granted."""
    _decide(pb.DecideReviewRequest(payment_id=payment_id, action="FULFIL", receipt_id=receipt), reason, version)


@review.command()
def refund(payment_id: PaymentId, reason: Why, receipt: ReceiptId = "", version: Version = "") -> None:
    """Give a receipt back through the gateway; it stays in the queue until the gateway has."""
    _decide(pb.DecideReviewRequest(payment_id=payment_id, action="REFUND", receipt_id=receipt), reason, version)


@review.command()
def refunded(
    payment_id: PaymentId,
    refund: Annotated[str, typer.Option(help="The gateway's id of the refund, from its dashboard.")],
    reason: Why,
    receipt: ReceiptId = "",
    version: Version = "",
) -> None:
    """Record that a receipt was given back in the gateway's dashboard."""
    request = pb.DecideReviewRequest(
        payment_id=payment_id, action="REFUNDED", receipt_id=receipt, gateway_refund_id=refund
    )
    _decide(request, reason, version)


@review.command()
def dismiss(payment_id: PaymentId, reason: Why, version: Version = "") -> None:
    """Close a quarantine behind which there is no money."""
    _decide(pb.DecideReviewRequest(payment_id=payment_id, action="DISMISS"), reason, version)


def _decide(request: pb.DecideReviewRequest, reason: str, version: str) -> None:
    request.reason, request.actor = reason, operator()

    async def work(fleet: FleetClient) -> pb.Review:
        request.version = version or (await _get(fleet, request.payment_id)).review.version
        answer: pb.DecideReviewResponse = await fleet.reviews().DecideReview(request, timeout=TIMEOUT_SECONDS)
        return answer.review

    after = with_fleet(work)
    status = pb.PaymentStatus.Name(after.payment.status).removeprefix("PAYMENT_STATUS_")
    typer.echo(f"{request.payment_id} is {status}; {', '.join(after.kinds) or 'nothing is left to decide'}")


async def _get(fleet: FleetClient, payment_id: str) -> pb.GetReviewResponse:
    request = pb.GetReviewRequest(payment_id=payment_id)
    answer: pb.GetReviewResponse = await fleet.reviews().GetReview(request, timeout=TIMEOUT_SECONDS)
    return answer


def _given_back_by(receipt: pb.Receipt) -> str:
    if receipt.refund_due_unix_micros:
        return f"due {datetime.fromtimestamp(receipt.refund_due_unix_micros / 1_000_000, UTC):%Y-%m-%d %H:%M}"
    return receipt.gateway_refund_id or (f"{receipt.refund_id}, under way" if receipt.refund_id else "")


def _left(receipt: pb.Receipt) -> Money:
    minor = receipt.amount.minor - receipt.applied.minor - receipt.refunded.minor
    return Money(minor=minor, currency=receipt.amount.currency)


def _amount(amount: Money) -> str:
    return f"{amount.minor} {amount.currency}" if amount.currency else "-"


def _plain(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
