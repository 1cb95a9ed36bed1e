"""Disputes from the command line: what is to be answered until when, and notes for the bank."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.payment.v1 import disputes_pb2 as pb
from common.events import from_micros, micros
from common.times import rfc3339
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

disputes = typer.Typer(no_args_is_help=True, help="Payments whose customers asked their bank for the money back.")


@disputes.command("list")
def list_disputes(
    payment: Annotated[list[str] | None, typer.Option(help="Only of these payments, pay_….")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="That changed in so many days.")] = 90,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    as_json: AsJson = False,
) -> None:
    """Disputes that changed, oldest change first."""
    since = micros(datetime.now(UTC) - timedelta(days=days))
    request = pb.ListDisputesRequest(
        payment_ids=payment or [], changed_from_unix_micros=since, limit=limit, cursor=cursor
    )

    async def work(fleet: FleetClient) -> pb.ListDisputesResponse:
        answer: pb.ListDisputesResponse = await fleet.disputes().ListDisputes(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if as_json:
        print(json.dumps(MessageToDict(answer), indent=2))
        return
    table = Table("dispute", "payment", "status", "amount", "reason", "answer until", "evidence", box=None)
    for each in answer.disputes:
        it = each.dispute
        table.add_row(
            it.dispute_id,
            it.payment_id,
            pb.DisputeStatus.Name(it.status).removeprefix("DISPUTE_STATUS_"),
            f"{it.amount.minor / 100:.2f} {it.amount.currency}",
            it.reason_code or "-",
            rfc3339(from_micros(it.respond_by_unix_micros)) if it.respond_by_unix_micros else "-",
            str(len(each.evidence)),
        )
    print_table(table)
    if answer.next_cursor:
        typer.echo(f"more: --cursor {answer.next_cursor}")


@disputes.command("evidence")
def add_evidence(
    dispute_id: Annotated[str, typer.Argument(help="dsp_…, as `disputes list` shows it.")],
    note: Annotated[str, typer.Option(help="What it shows; kept permanently in the audit log: no personal data.")],
    file: Annotated[str, typer.Option(help="Where the file lies: a URL or a name in your store.")] = "",
) -> None:
    """Note evidence for the bank; the file itself goes to the gateway in its dashboard."""
    request = pb.AddDisputeEvidenceRequest(dispute_id=dispute_id, note=note, file_reference=file, actor=operator())

    async def work(fleet: FleetClient) -> pb.AddDisputeEvidenceResponse:
        answer: pb.AddDisputeEvidenceResponse = await fleet.disputes().AddDisputeEvidence(
            request, timeout=TIMEOUT_SECONDS
        )
        return answer

    answer = with_fleet(work)
    typer.echo(f"{len(answer.dispute.evidence)} notes about {dispute_id}")
