"""Verify the books of a running fleet: part after part, each of bounded size."""

from collections.abc import Iterable

from msgspec import Struct

from commdesk.ledger.v1 import ledger_pb2 as pb
from ops.fleet_client import FleetClient

# A part of a verification reads up to 20 blocks of 10,000 rows.
PART_SECONDS = 120
FINDINGS_MAX = 1_000


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
