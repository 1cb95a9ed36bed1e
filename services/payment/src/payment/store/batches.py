"""Batches of payments and their items: insert, read, and record what became of each."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from common.database import Tx
from payment.domain.batches import Batch, BatchItem, ItemStatus

_INSERT = """
insert into payment_batches (id, merchant_id, user_id, created_at) values (:id, :merchant_id, :user_id, :at)
"""
_INSERT_ITEMS = """
insert into payment_batch_items (id, batch_id, position, status, error_code, updated_at)
select id, :batch_id, position, status, error_code, :at
from unnest(cast(:ids as uuid[]), cast(:positions as integer[]), cast(:statuses as text[]), cast(:codes as text[]))
     as row (id, position, status, error_code)
"""
_READ = "select id, merchant_id, user_id, created_at from payment_batches where id = :id"
_ITEMS = """
select id, position, status, payment_id, error_code from payment_batch_items where batch_id = :id order by position
"""
_SAVE_ITEMS = """
update payment_batch_items i
set status = row.status, payment_id = row.payment_id, error_code = row.error_code, updated_at = :at
from unnest(cast(:ids as uuid[]), cast(:statuses as text[]), cast(:payment_ids as text[]), cast(:codes as text[]))
     as row (id, status, payment_id, error_code)
where i.id = row.id and i.status = 'PENDING'
"""


async def insert(tx: Tx, batch: Batch) -> None:
    await tx.write(
        "payment_batches",
        _INSERT,
        id=batch.id,
        merchant_id=batch.merchant_id,
        user_id=batch.user_id,
        at=batch.created_at,
    )
    await tx.write(
        "payment_batch_items",
        _INSERT_ITEMS,
        batch_id=batch.id,
        ids=[item.id for item in batch.items],
        positions=[item.position for item in batch.items],
        statuses=[item.status.value for item in batch.items],
        codes=[item.error_code for item in batch.items],
        at=batch.created_at,
    )


async def batch_by_id(tx: Tx, batch_id: UUID) -> Batch | None:
    row = (await tx.execute(_READ, id=batch_id)).first()
    if row is None:
        return None
    items = [
        BatchItem(each.id, each.position, ItemStatus(each.status), each.payment_id, each.error_code)
        for each in await tx.execute(_ITEMS, id=batch_id)
    ]
    return Batch(id=row.id, merchant_id=row.merchant_id, user_id=row.user_id, items=items, created_at=row.created_at)


async def save_items(tx: Tx, items: Collection[tuple[UUID, ItemStatus, str, str]], at: datetime) -> None:
    """By item: what it came to, its payment and the code of its refusal."""
    ordered: Sequence[tuple[UUID, ItemStatus, str, str]] = sorted(items)
    await tx.write(
        "payment_batch_items",
        _SAVE_ITEMS,
        ids=[each[0] for each in ordered],
        statuses=[each[1].value for each in ordered],
        payment_ids=[each[2] for each in ordered],
        codes=[each[3] for each in ordered],
        at=at,
    )
