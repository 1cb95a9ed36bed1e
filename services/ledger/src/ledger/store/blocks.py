"""Blocks: what they seal is hashed where it lies, so that sealing brings no row into this process."""

from collections.abc import Sequence
from uuid import UUID

from common.database import Row, Tx
from ledger.domain.blocks import Block, Contents, Leaf, Range, markers

# What a block seals at most: what one statement hashes, and what verifying holds in memory.
ROWS_MAX = 10_000
# What an auditor may see in one answer of rows that no block can seal.
STRAYS_MAX = 100

# `record_send` is PostgreSQL's binary form of a row: how many columns, and of each its type, its length, its content.
_JOURNAL_DIGEST = """sha256(record_send(row(
        merchant_id, template, asset, cause_id, reference_prefix, reference, payment_id, lines, effective_at, booked_at,
        reverses, xid, epoch, actor_id, owner_id, reason, accounted_at, entry.content)))"""
# One probe of the entries' key for each journal, whatever the planner thinks of the table. A marker tells entries of
# one journal apart: a change of the account or of an amount changes it.
_ENTRIES_OF_EACH = """cross join lateral (
        select count(*) as entries,
               string_agg(record_send(row(line, account_id, debit, credit, xid)), '') as content,
               string_agg(int8send((cast(account_id as bigint) << 40) # debit # (credit << 1)), '') as markers,
               array_agg(line) as line_numbers
        from (
            -- Aggregates take their input in this order: it is that of the key, so that nothing is sorted.
            select line, account_id, debit, credit, xid from ledger_entries
            where journal_id = journals.journal_id order by line offset 0
        ) ordered
        offset 0
    ) entry"""
_AUDIT_DIGEST = """sha256(record_send(row(
        merchant_id, actor_id, action, resource_type, resource_id, before_state, after_state, ip_address, user_agent,
        trace_id, request_id, correlation_id, service, created_at, recorded_at, xid, epoch)))"""
_IN_RANGE = """epoch = :epoch and xid >= cast(cast(:xid_from as text) as xid8)
    and xid < cast(cast(:xid_to as text) as xid8)"""


async def claim_sealing(tx: Tx) -> bool:
    """Whether *tx* is the only one that seals now."""
    claimed = await tx.execute("select pg_try_advisory_xact_lock(hashtextextended('ledger.blocks', 0))")
    return bool(claimed.scalar_one())


async def begin_epoch(tx: Tx) -> int:
    """The epoch of what is booked from now on: a new one when the book lives in another cluster than before."""
    return int((await tx.execute("select begin_epoch()")).scalar_one())


async def cluster_of(tx: Tx, epoch: int) -> str:
    """The cluster in which the rows of *epoch* were booked."""
    return str((await tx.execute("select cluster from ledger_epochs where epoch = :epoch", epoch=epoch)).scalar_one())


async def horizon(tx: Tx) -> int:
    """Below it every transaction is over: what it booked is visible, and no row can join it later."""
    return int((await tx.execute("select cast(pg_snapshot_xmin(pg_current_snapshot()) as text)")).scalar_one())


_CUT = f"""
select cast(least(
    (select xid from journals where {_IN_RANGE} order by xid offset :rows limit 1),
    (select xid from audit_logs where {_IN_RANGE} order by xid offset :rows limit 1)
) as text) as cut,
cast(least(
    (select xid from journals where {_IN_RANGE} order by xid limit 1),
    (select xid from audit_logs where {_IN_RANGE} order by xid limit 1)
) as text) as first
"""


async def next_range(tx: Tx, range: Range, rows_max: int = ROWS_MAX) -> Range | None:
    """The first part of *range* with at most *rows_max* journals and as many audit records, more only when a single
    transaction booked more; None when nothing is in it."""
    row = (await tx.execute(_CUT, **_bounds(range), rows=rows_max)).one()
    if row.first is None:
        return None
    if row.cut is None:
        return range
    return Range(range.epoch, range.xid_from, max(int(row.cut), int(row.first) + 1))


_JOURNALS = f"""
select count(*) as journals, cast(coalesce(sum(entries), 0) as bigint) as entries, coalesce(string_agg(
    uuid_send(journal_id) || {_JOURNAL_DIGEST} || int2send(cast(entries as smallint)) || coalesce(entry.markers, ''), ''
    order by journal_id), '') as leaves
from journals {_ENTRIES_OF_EACH}
where {_IN_RANGE}
"""
_AUDIT = f"""
select count(*) as records,
       coalesce(string_agg(uuid_send(audit_id) || {_AUDIT_DIGEST}, '' order by audit_id), '') as leaves
from audit_logs where {_IN_RANGE}
"""


async def contents_of(tx: Tx, range: Range) -> Contents:
    """What a block of *range* seals."""
    journals = (await tx.execute(_JOURNALS, **_bounds(range))).one()
    audit = (await tx.execute(_AUDIT, **_bounds(range))).one()
    return Contents(journals.journals, journals.entries, audit.records, journals.leaves, audit.leaves)


_ADD = """
insert into ledger_blocks (height, epoch, previous, head, xid_from, xid_to, journals, entries, audit_entries,
                           journal_leaves, audit_leaves, sealed_at, signature, key_id)
values (:height, :epoch, :previous, :head, cast(cast(:xid_from as text) as xid8), cast(cast(:xid_to as text) as xid8),
        :journals, :entries, :audit_entries, :journal_leaves, :audit_leaves, :sealed_at, :signature, :key_id)
"""


async def add(tx: Tx, block: Block) -> None:
    contents = block.contents
    await tx.write(
        "ledger_blocks",
        _ADD,
        height=block.height,
        previous=block.previous,
        head=block.head,
        journals=contents.journals,
        entries=contents.entries,
        audit_entries=contents.audit_entries,
        journal_leaves=contents.journal_leaves,
        audit_leaves=contents.audit_leaves,
        sealed_at=block.sealed_at,
        signature=block.signature,
        key_id=block.key_id,
        **_bounds(block.range),
    )


def _bounds(range: Range) -> dict[str, object]:
    return {"epoch": range.epoch, "xid_from": str(range.xid_from), "xid_to": str(range.xid_to)}


_COLUMNS = """height, epoch, cluster, cast(xid_from as text) as xid_from, cast(xid_to as text) as xid_to,
       previous, head, journals, entries, audit_entries, {leaves}, sealed_at, signature, key_id"""
_WITH_LEAVES = _COLUMNS.format(leaves="journal_leaves, audit_leaves")
_WITHOUT_LEAVES = _COLUMNS.format(leaves="cast('' as bytea) as journal_leaves, cast('' as bytea) as audit_leaves")
_LAST = f"select {_WITHOUT_LEAVES} from ledger_blocks join ledger_epochs using (epoch) order by height desc limit 1"
_AT = f"select {_WITHOUT_LEAVES} from ledger_blocks join ledger_epochs using (epoch) where height = :height"
_FROM = f"""
select {_WITH_LEAVES} from ledger_blocks join ledger_epochs using (epoch) where height >= :height
order by height limit :limit
"""
_PAGE = f"""
select {_WITHOUT_LEAVES} from ledger_blocks join ledger_epochs using (epoch)
where cast(:before as bigint) is null or height < :before order by height desc limit :limit
"""


async def last_block(tx: Tx) -> Block | None:
    """The head of the chain, without its leaves."""
    rows = await tx.execute(_LAST)
    return _block(rows[0]) if rows else None


async def block_at(tx: Tx, height: int) -> Block | None:
    """The block of *height*, without its leaves."""
    rows = await tx.execute(_AT, height=height)
    return _block(rows[0]) if rows else None


async def blocks_from(tx: Tx, height: int, limit: int) -> list[Block]:
    """The next *limit* blocks from *height* on."""
    return [_block(row) for row in await tx.execute(_FROM, height=height, limit=limit)]


async def page_of_blocks(tx: Tx, before: int | None, limit: int) -> list[Block]:
    """Blocks below *before*, the last one first, without their leaves."""
    return [_block(row) for row in await tx.execute(_PAGE, before=before, limit=limit)]


def _block(row: Row) -> Block:
    contents = Contents(row.journals, row.entries, row.audit_entries, row.journal_leaves, row.audit_leaves)
    span = Range(row.epoch, int(row.xid_from), int(row.xid_to))
    return Block(
        row.height, row.cluster, span, row.previous, row.head, contents, row.sealed_at, row.signature, row.key_id
    )


_PRESENT_JOURNALS = f"""
select journal_id as id, {_JOURNAL_DIGEST} as digest, entry.markers, entry.line_numbers
from journals {_ENTRIES_OF_EACH}
where {_IN_RANGE} order by journal_id
"""
_PRESENT_AUDIT = f"select audit_id as id, {_AUDIT_DIGEST} as digest from audit_logs where {_IN_RANGE} order by audit_id"


async def journals_in(tx: Tx, range: Range) -> list[Leaf]:
    """The journals of *range* as they are in the book now, by id."""
    return [
        Leaf(row.id, row.digest, dict(zip(row.line_numbers or (), markers(row.markers or b"").values(), strict=True)))
        for row in await tx.execute(_PRESENT_JOURNALS, **_bounds(range))
    ]


async def audit_in(tx: Tx, range: Range) -> list[Leaf]:
    """The audit records of *range* as they are now, by id."""
    return [Leaf(row.id, row.digest) for row in await tx.execute(_PRESENT_AUDIT, **_bounds(range))]


_UNSEALED = f"""
select (select count(*) from journals where {_IN_RANGE}) as journals,
       (select count(*) from audit_logs where {_IN_RANGE}) as audit_entries
"""


async def unsealed(tx: Tx, tail: Range) -> tuple[int, int]:
    """How many journals and audit records are in *tail*, which no block seals yet."""
    row = (await tx.execute(_UNSEALED, **_bounds(tail))).one()
    return row.journals, row.audit_entries


# No transaction has such an id yet, or no epoch such a number: nobody but who went around the service booked it.
_STRAYS = """
select {id} as id from {table}
where epoch not in (select epoch from ledger_epochs)
   or epoch = (select max(epoch) from ledger_epochs) and xid >= pg_snapshot_xmax(pg_current_snapshot())
order by {id} limit :limit
"""
_LAST_OF_ROWS = """
select journal_id from ledger_entries where journal_id > :after order by journal_id offset :rows - 1 limit 1
"""
# A journal's own transaction books its entries, so an entry without a journal was inserted, or its journal removed.
_ORPHANS = """
select distinct journal_id from (
    select journal_id from ledger_entries where journal_id > :after order by journal_id limit :rows
) entry
where not exists (select from journals where journal_id = entry.journal_id)
order by journal_id limit :limit
"""


async def strays(tx: Tx) -> tuple[Sequence[Row], Sequence[Row]]:
    """Journals and audit records that no block can ever seal."""
    journals = await tx.execute(_STRAYS.format(id="journal_id", table="journals"), limit=STRAYS_MAX)
    audit = await tx.execute(_STRAYS.format(id="audit_id", table="audit_logs"), limit=STRAYS_MAX)
    return journals, audit


async def orphans(tx: Tx, after: UUID, rows: int) -> tuple[list[UUID], UUID | None]:
    """Journals that entries name and that are not there, in the next so many entries; and where to go on, if there are
    more."""
    last = (await tx.execute(_LAST_OF_ROWS, after=after, rows=rows)).first()
    missing = await tx.execute(_ORPHANS, after=after, rows=rows, limit=STRAYS_MAX)
    return missing.scalars(), last.journal_id if last else None


_ANCHORED = "select height from anchored_blocks where height between :first and :last"
_UNANCHORED = f"""
select {_WITHOUT_LEAVES} from ledger_blocks join ledger_epochs using (epoch)
where height > coalesce((select max(height) from anchored_blocks), 0) order by height limit :limit
"""
_MARK_ANCHORED = """
insert into anchored_blocks (height) select height from unnest(cast(:heights as bigint[])) as row (height)
on conflict do nothing
"""


async def anchored_heights(tx: Tx, first: int, last: int) -> frozenset[int]:
    """Which of these blocks were written to the anchor."""
    return frozenset(row.height for row in await tx.execute(_ANCHORED, first=first, last=last))


async def unanchored_blocks(tx: Tx, limit: int) -> list[Block]:
    """The next blocks whose heads are not in the anchor, in the order of their heights."""
    return [_block(row) for row in await tx.execute(_UNANCHORED, limit=limit)]


async def mark_anchored(tx: Tx, heights: Sequence[int]) -> None:
    await tx.write("anchored_blocks", _MARK_ANCHORED, heights=list(heights))
