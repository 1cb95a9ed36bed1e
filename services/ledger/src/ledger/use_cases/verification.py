"""Verify the book: recompute its blocks, and compare them with the signatures and with the anchor.

In parts, so that none takes long or much memory; the caller goes on where the last part ended.
"""

from typing import Final
from uuid import UUID

from msgspec import Struct

from common.database import Database, Tx
from ledger.anchors import Anchor
from ledger.domain import blocks as chain
from ledger.domain.blocks import Anchored, Block, Finding, Kind
from ledger.signing import HeadSigner
from ledger.store import blocks as store
from ledger.use_cases.blocks import anchored_heads

BLOCKS_MAX: Final = 20
# More than any chain will have.
HEIGHT_MAX: Final = 10**12
ENTRIES_PER_PART: Final = 200_000


class VerifiedBlocks(Struct, frozen=True):
    """What came out of some blocks. *next_height* goes on; it is 0 behind the last block."""

    findings: list[Finding]
    last: Block | None
    next_height: int
    anchored: list[int]
    journals: int
    entries: int
    audit_entries: int


async def verify_blocks(
    db: Database, signer: HeadSigner, anchor: Anchor | None, from_height: int, limit: int
) -> VerifiedBlocks:
    """Recompute *limit* blocks from *from_height* on. Raises what the anchor raises when it cannot be read."""
    async with db.begin() as tx:
        previous = await store.block_at(tx, from_height - 1)
        blocks = await store.blocks_from(tx, from_height, limit)
        recorded = await store.anchored_heights(tx, from_height, from_height + limit)
    findings: list[Finding] = []
    for block in blocks:
        findings += chain.chain_findings(previous, block)
        if not signer.has_signed(block.key_id, _signed(block), block.signature):
            what = f"its head is not signed by a key that is known here ({block.key_id})"
            findings.append(Finding(Kind.SIGNATURE_INVALID, block.height, what))
        async with db.begin() as tx:
            findings += await _row_findings(tx, block)
        previous = block
    anchored: list[Anchored] = []
    if anchor and blocks:
        anchored = await anchored_heads(anchor, blocks)
        findings += chain.anchor_findings(blocks, anchored, recorded)
    contents = [block.contents for block in blocks]
    return VerifiedBlocks(
        findings,
        previous,
        blocks[-1].height + 1 if len(blocks) == limit else 0,
        sorted({each.height for each in anchored}),
        sum(each.journals for each in contents),
        sum(each.entries for each in contents),
        sum(each.audit_entries for each in contents),
    )


def _signed(block: Block) -> bytes:
    return chain.signed_text(block.cluster, block.height, block.head)


async def _row_findings(tx: Tx, block: Block) -> list[Finding]:
    try:
        journals = list(chain.journal_leaves(block.contents.journal_leaves))
    except ValueError:
        return []  # its head, which is a hash of them, says so already
    audit = chain.audit_leaves(block.contents.audit_leaves)
    return [
        *chain.row_findings(block.height, journals, await store.journals_in(tx, block.range), is_audit=False),
        *chain.row_findings(block.height, audit, await store.audit_in(tx, block.range), is_audit=True),
    ]


class VerifiedTail(Struct, frozen=True):
    """What lies behind the last block, and what the anchor has beyond it."""

    findings: list[Finding]
    last: Block | None
    # The greatest height that the anchor has; 0 without an anchor, or when it is empty.
    anchored_to: int
    unsealed_journals: int
    unsealed_audit_entries: int


async def verify_tail(db: Database, anchor: Anchor | None) -> VerifiedTail:
    """Whether the chain ends where the anchor says, and whether something is booked that no block can ever seal."""
    # Before the chain is read, which only grows.
    heights = await anchor.last_heights() if anchor else {}
    async with db.begin() as tx:
        last = await store.last_block(tx)
        journals, audit = await store.unsealed(tx, chain.tail_of(last))
        stray_journals, stray_audit = await store.strays(tx)
    end = last.height if last else 0
    findings = [
        Finding(Kind.TRUNCATED, end + 1, f"blocks {end + 1} to {height} of cluster {cluster} are in the anchor alone")
        for cluster, height in sorted(heights.items())
        if height > end
    ]
    what = "its epoch or its transaction does not exist: it was not booked by the service"
    findings += [Finding(Kind.INSERTED, 0, what, row.id) for row in stray_journals]
    findings += [Finding(Kind.INSERTED, 0, what, row.id, is_audit=True) for row in stray_audit]
    return VerifiedTail(findings, last, max(heights.values(), default=0), journals, audit)


async def verify_entries(db: Database, after: UUID) -> tuple[list[Finding], UUID | None]:
    """Entries of journals that are not there, in the next part of them; and where to go on, None at the end."""
    async with db.begin() as tx:
        missing, last = await store.orphans(tx, after, ENTRIES_PER_PART)
    what = "its entries are in the book, it is not"
    return [Finding(Kind.REMOVED, 0, what, journal_id) for journal_id in missing], last
