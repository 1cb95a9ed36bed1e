"""The books from the command line."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from commdesk.ledger.v1 import ledger_pb2 as pb
from ops import journey
from ops.book_verification import FINDINGS_MAX, Verified, verify_books
from ops.commands import AsJson, print_table, with_fleet
from ops.fleet_client import FleetClient

ledger = typer.Typer(no_args_is_help=True, help="The books.")


@ledger.command("trial-balance")
def trial_balance(
    merchant: Annotated[str, typer.Option(help="The merchant's id.")] = journey.MERCHANT, as_json: AsJson = False
) -> None:
    """Debits and credits of every account. Exit code 1 when an asset does not come to zero."""

    async def work(fleet: FleetClient) -> pb.TrialBalanceResponse:
        answer: pb.TrialBalanceResponse = await fleet.ledger().TrialBalance(
            pb.TrialBalanceRequest(merchant_id=merchant), timeout=30
        )
        return answer

    accounts = with_fleet(work).accounts
    differences: dict[str, int] = {}
    for account in accounts:
        differences[account.asset] = differences.get(account.asset, 0) + account.debit - account.credit
    if as_json:
        rows = [MessageToDict(account, preserving_proto_field_name=True) for account in accounts]
        typer.echo(json.dumps({"accounts": rows, "differences": differences}, indent=2))
    else:
        table = Table("asset", "account", box=None)
        for column in ("debit", "credit", "balance"):
            table.add_column(column, justify="right")
        for account in accounts:
            figures = (account.debit, account.credit, account.debit - account.credit)
            table.add_row(account.asset, account.account, *(f"{figure:,}" for figure in figures))
        print_table(table)
        typer.echo(
            "  ".join(f"{asset}: {total}" for asset, total in sorted(differences.items())) or "the books are empty"
        )
    raise typer.Exit(1 if any(differences.values()) else 0)


@ledger.command()
def proposals(
    approval_id: Annotated[str, typer.Argument(help="apr_…: this one with every line; all without.")] = "",
    merchant: Annotated[str, typer.Option(help="Only of this merchant.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Manual journals that wait for a second person, or had one: what whoever decides answers for."""
    request = pb.ListProposalsRequest(approval_id=approval_id, merchant_id=merchant, limit=limit)

    async def work(fleet: FleetClient) -> pb.ListProposalsResponse:
        answer: pb.ListProposalsResponse = await fleet.ledger().ListProposals(request, timeout=30)
        return answer

    found = with_fleet(work).proposals
    if as_json:
        typer.echo(json.dumps([MessageToDict(each, preserving_proto_field_name=True) for each in found], indent=2))
        return
    table = Table("proposal", "status", "journals", "debits", "by", "reason", "decided by", box=None)
    for each in found:
        debits = ", ".join(f"{debit:,} {asset}" for asset, debit in sorted(each.debits.items()))
        decided = f"{each.decided_by}: {each.decision_reason}" if each.decided_by else ""
        table.add_row(
            each.approval_id, each.status, str(each.journals_count), debits, each.proposed_by, each.reason, decided
        )
    print_table(table)
    lines = Table("counts at (UTC)", "account", "debit", "credit", "asset", "reason", box=None)
    for journal in (journal for each in found for journal in each.journals):
        at = datetime.fromtimestamp(journal.effective_unix_micros / 1_000_000, UTC).isoformat(timespec="seconds")
        for entry in journal.entries:
            figures = (f"{entry.debit:,}" if entry.debit else "", f"{entry.credit:,}" if entry.credit else "")
            lines.add_row(at, entry.account, *figures, journal.asset, journal.reason)
    if lines.row_count:
        print_table(lines)


@ledger.command()
def verify(
    from_height: Annotated[
        int, typer.Option("--from", min=1, help="The first block; those before were verified, or are known to differ.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of the books, name what is not as it was sealed, and compare it with the anchor.

    Exit code 1 when something is named, and 2 when nothing is and the chain has no anchor.
    """
    verified = with_fleet(lambda fleet: verify_books(fleet, from_height))
    if as_json:
        typer.echo(json.dumps({name: getattr(verified, name) for name in verified.__struct_fields__}, indent=2))
    else:
        _print(verified)
    raise typer.Exit(1 if verified.findings else 0 if verified.anchor_url else 2)


def _print(verified: Verified) -> None:
    if verified.findings:
        table = Table("what", "block", "of", "line", "", box=None)
        for finding in verified.findings:
            block, line = (str(finding[name] or "") for name in ("height", "line"))
            table.add_row(str(finding["kind"]), block, str(finding["subject"]), line, str(finding["detail"]))
        print_table(table)
        if len(verified.findings) == FINDINGS_MAX:
            typer.echo(f"these are the first {FINDINGS_MAX}")
    if not verified.height:
        typer.echo("nothing is sealed yet")
    else:
        typer.echo(
            f"blocks {verified.from_height} to {verified.height}: {verified.journals:,} journals, {verified.entries:,}"
            f" entries, {verified.audit_entries:,} audit records; head {verified.head}"
        )
        if verified.anchor_url:
            typer.echo(f"anchored in {verified.anchor_url}: {_spans(verified.anchored)}")
            typer.echo(f"not anchored: {_spans(verified.unanchored)}")
        else:
            typer.echo("no head is anchored: set LEDGER_ANCHOR_URL, or a rebuilt chain is not noticed")
    typer.echo(
        f"not sealed yet: {verified.unsealed_journals:,} journals, {verified.unsealed_audit_entries:,} audit records"
    )
    typer.echo(f"{len(verified.findings)} findings" if verified.findings else "the books are as they were sealed")


def _spans(runs: list[tuple[int, int]]) -> str:
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in runs[:20]]
    return ", ".join(shown) + (" …" if len(runs) > 20 else "") if shown else "none"
