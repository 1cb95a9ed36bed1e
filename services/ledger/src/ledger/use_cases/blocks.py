"""Seal what is booked into blocks, and write their heads outside the database."""

from collections.abc import Sequence
from typing import Final

from loguru import logger

from common import outbox, telemetry
from common.clock import Clock
from common.database import Database, Tx, retried
from ledger.anchors import Anchor
from ledger.domain import blocks as chain
from ledger.domain.blocks import NO_HEAD, Anchored, Block, Finding, Range
from ledger.signing import HeadSigner
from ledger.store import audit_origins
from ledger.store import blocks as store
from ledger.wire import announcements

# What one run of the job anchors at most.
ANCHORED_MAX: Final = 1_000

_SEALED = telemetry.counter("ledger_sealed_rows_total", "Journals and audit records that were sealed into blocks.")
_HEIGHT = telemetry.gauge("ledger_chain_blocks", "The height of the hash chain.")
_UNANCHORED = telemetry.gauge("ledger_unanchored_blocks", "Blocks whose head is not in the anchor yet.")


@retried
async def begin_epoch(db: Database) -> int:
    """The epoch of what is booked from now on. Before a process posts: rows of one epoch are of one cluster."""
    async with db.begin() as tx:
        return await store.begin_epoch(tx)


async def seal_blocks(db: Database, clock: Clock, signer: HeadSigner, rows_max: int = store.ROWS_MAX) -> int:
    """Seal what can no longer change, unless another replica is at it; says how many blocks that made."""
    epoch = await begin_epoch(db)
    made = 0
    while await _seal_block(db, clock, signer, epoch, rows_max):
        made += 1
    return made


async def _seal_block(db: Database, clock: Clock, signer: HeadSigner, epoch: int, rows_max: int) -> bool:
    async with db.begin() as tx:
        if not await store.claim_sealing(tx) or not await audit_origins.are_old_sealed(tx):
            return False
        last = await store.last_block(tx)
        range = await _next_range(tx, last, epoch, rows_max)
        if range is None:
            return False
        contents = await store.contents_of(tx, range)
        cluster = await store.cluster_of(tx, range.epoch)
        height, previous = (last.height + 1, last.head) if last else (1, NO_HEAD)
        sealed_at = clock.now()
        head = chain.head_of(height, cluster, range, previous, contents, sealed_at)
        signature = signer.sign(chain.signed_text(cluster, height, head))
        block = Block(height, cluster, range, previous, head, contents, sealed_at, signature, signer.key_id)
        await store.add(tx, block)
        await outbox.append(tx, [announcements.block_sealed(block)])
    _SEALED.of().inc(contents.journals + contents.audit_entries)
    _HEIGHT.of().set(height)
    return True


async def _next_range(tx: Tx, last: Block | None, epoch: int, rows_max: int) -> Range | None:
    tail = chain.tail_of(last)
    if tail.epoch == epoch:
        horizon = await store.horizon(tx)
        if horizon <= tail.xid_from:
            return None
        return await store.next_range(tx, Range(epoch, tail.xid_from, horizon), rows_max)
    # An epoch that is over is sealed to its end, also when nothing is left of it: whatever is added to it later shows.
    return await store.next_range(tx, tail, rows_max) or tail


async def anchor_blocks(db: Database, anchor: Anchor, signer: HeadSigner) -> int:
    """Write the heads that are not there yet to the anchor, in the order of their heights; says how many.

    Every replica may do it: an object is made once, and making it again changes nothing.
    """
    async with db.begin() as tx:
        waiting = await store.unanchored_blocks(tx, ANCHORED_MAX)
    _UNANCHORED.of().set(len(waiting))
    if not waiting:
        return 0
    for block in waiting:
        await anchor.put(block, signer.public_key)
    async with db.begin() as tx:
        await store.mark_anchored(tx, [block.height for block in waiting])
    _UNANCHORED.of().set(0)
    for finding in await anchor_findings(anchor, waiting):
        logger.error("block {}: {}", finding.height, finding.detail)
    return len(waiting)


async def anchor_findings(anchor: Anchor, blocks: Sequence[Block]) -> list[Finding]:
    """What the anchor says of *blocks* that the chain does not."""
    return chain.anchor_findings(blocks, await anchored_heads(anchor, blocks))


async def anchored_heads(anchor: Anchor, blocks: Sequence[Block]) -> list[Anchored]:
    """The heads of the heights of *blocks* that are in the anchor."""
    spans: dict[str, list[int]] = {}
    for block in blocks:
        spans.setdefault(block.cluster, []).append(block.height)
    return [head for cluster, heights in spans.items() for head in await anchor.heads(cluster, heights[0], heights[-1])]
