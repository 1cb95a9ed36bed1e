"""The books from the command line."""

import json
from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from msgspec import Struct
from rich.table import Table

from commdesk.ledger.v1 import ledger_pb2 as pb
from ops import journey
from ops.commands import AsJson, print_table, with_fleet
from ops.fleet_client import FleetClient

# A part of a verification reads up to 20 blocks of 10,000 rows.
PART_SECONDS = 120
FINDINGS_MAX = 1_000

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


class Verified(Struct, frozen=True):
    """What a verification came to. Heights are those of blocks; ranges of them are given by both their ends."""

    from_height: int
    height: int
    head: str
    anchor_url: str
    anchored: list[tuple[int, int]]
    unanchored: list[tuple[int, int]]
    journals: int
    entries: int
    audit_entries: int
    unsealed_journals: int
    unsealed_audit_entries: int
    findings: list[dict[str, object]]


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


async def verify_books(fleet: FleetClient, from_height: int = 1) -> Verified:
    """Verify part after part, each of bounded size."""
    stub = fleet.ledger()
    findings: dict[bytes, pb.VerificationFinding] = {}
    anchored: list[int] = []
    journals = entry_count = audit_entries = 0
    following = from_height
    while following:
        request = pb.VerifyBlocksRequest(from_height=following)
        part: pb.VerifyBlocksResponse = await stub.VerifyBlocks(request, timeout=PART_SECONDS)
        _collect(findings, part.findings)
        anchored += part.anchored_heights
        journals += part.journals
        entry_count += part.entries
        audit_entries += part.audit_entries
        following = part.next_height
    position = ""
    while True:
        entries: pb.VerifyEntriesResponse = await stub.VerifyEntries(
            pb.VerifyEntriesRequest(position=position), timeout=PART_SECONDS
        )
        _collect(findings, entries.findings)
        position = entries.next_position
        if not position:
            break
    tail: pb.VerifyTailResponse = await stub.VerifyTail(pb.VerifyTailRequest(), timeout=PART_SECONDS)
    _collect(findings, tail.findings)
    heights = range(from_height, tail.height + 1)
    return Verified(
        from_height,
        tail.height,
        tail.head,
        tail.anchor_url,
        ranges(anchored),
        ranges(sorted(set(heights).difference(anchored))),
        journals,
        entry_count,
        audit_entries,
        tail.unsealed_journals,
        tail.unsealed_audit_entries,
        [_plain(each) for each in findings.values()],
    )


def _collect(findings: dict[bytes, pb.VerificationFinding], more: Iterable[pb.VerificationFinding]) -> None:
    for finding in more:
        if len(findings) < FINDINGS_MAX:
            findings.setdefault(finding.SerializeToString(deterministic=True), finding)


def ranges(heights: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending *heights* as first and last of each run of them."""
    runs: list[tuple[int, int]] = []
    for height in heights:
        if runs and height == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], height)
        else:
            runs.append((height, height))
    return runs


def _plain(finding: pb.VerificationFinding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "height": finding.height,
        "subject": finding.subject,
        "line": finding.line,
        "detail": finding.detail,
    }


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
