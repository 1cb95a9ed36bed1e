"""Settlements from the command line: what the gateways paid to the bank, and reading it at once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.payment.v1 import settlements_pb2 as pb
from common.events import micros
from ops.commands import AsJson, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 60

settlements = typer.Typer(no_args_is_help=True, help="What the gateways paid to the bank.")


@settlements.command("import")
def import_settlements(
    days: Annotated[int, typer.Option(min=0, max=366, help="How far back; 0: as the settings say.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read what the gateways show now, as far as their quotas let; the rest follows by itself. Exit code 1 if some is
    left."""

    async def work(fleet: FleetClient) -> pb.ImportSettlementsResponse:
        request = pb.ImportSettlementsRequest(days=days)
        answer: pb.ImportSettlementsResponse = await fleet.settlements().ImportSettlements(
            request, timeout=TIMEOUT_SECONDS
        )
        return answer

    answer = with_fleet(work)
    if as_json:
        print(json.dumps(MessageToDict(answer, always_print_fields_with_no_presence=True), indent=2))
    else:
        rest = "" if answer.is_complete else "; more follows: a quota, the gateway or another process ended it"
        typer.echo(f"{answer.settlements} settlements and {answer.rows} rows read{rest}")
    raise typer.Exit(0 if answer.is_complete else 1)


@settlements.command("list")
def list_settlements(
    days: Annotated[int, typer.Option(min=1, max=366, help="That changed in so many days.")] = 30,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    as_json: AsJson = False,
) -> None:
    """Settlements that changed, oldest change first."""
    since = micros(datetime.now(UTC) - timedelta(days=days))
    request = pb.ListSettlementsRequest(changed_from_unix_micros=since, limit=limit, cursor=cursor)

    async def work(fleet: FleetClient) -> pb.ListSettlementsResponse:
        answer: pb.ListSettlementsResponse = await fleet.settlements().ListSettlements(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if as_json:
        print(json.dumps(MessageToDict(answer), indent=2))
        return
    table = Table("settlement", "gateway's", "UTR", "status", "gross", "fee", "GST", "net", "rows", box=None)
    for each in answer.settlements:
        table.add_row(
            each.settlement_id,
            each.gateway_settlement_id,
            each.utr or "-",
            each.status,
            *(f"{minor / 100:.2f}" for minor in (each.gross_minor, each.fee_minor, each.fee_tax_minor, each.net_minor)),
            f"{each.conflicts} conflicts" if each.conflicts else "all" if each.is_complete else "being read",
        )
    print_table(table)
    if answer.next_cursor:
        typer.echo(f"more: --cursor {answer.next_cursor}")
