"""Refunds as people and other services read them: with the payment's method and the credit note."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from common.database import Tx
from payment.domain.refund_records import RefundFilter, RefundRecord
from payment.domain.refunds import Refund
from payment.store import refunds
from payment.store.credit_notes import credit_notes_of

_METHODS = "select id, payment_method from payments where id = any(cast(:ids as uuid[]))"
_CHANGED = f"""
select {refunds.SELECT} from refunds
where (updated_at, id) > (:after_at, cast(:after as uuid)) and updated_at >= :since and updated_at < :until
order by updated_at, id limit :rows
"""


async def page(tx: Tx, wanted: RefundFilter) -> list[RefundRecord]:
    conditions, values = ["merchant_id = :merchant_id"], {"merchant_id": wanted.merchant_id, "rows": wanted.limit}
    if wanted.status is not None:
        conditions.append("status = :status")
        values["status"] = wanted.status.value
    if wanted.payment_id is not None:
        conditions.append("payment_id = :payment_id")
        values["payment_id"] = wanted.payment_id
    if wanted.before is not None:
        conditions.append("id < :before")
        values["before"] = wanted.before
    sql = f"select {refunds.SELECT} from refunds where {' and '.join(conditions)} order by id desc limit :rows"
    return await _records(tx, [refunds.read(row) for row in await tx.execute(sql, **values)])


async def of_merchant(tx: Tx, merchant_id: str, refund_id: UUID) -> RefundRecord | None:
    """The refund with this id, None when it is not the merchant's."""
    refund = (await refunds.refunds_by_id(tx, [refund_id])).get(refund_id)
    if refund is None or refund.merchant_id != merchant_id:
        return None
    return (await _records(tx, [refund]))[0]


async def changed_between(
    tx: Tx, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int
) -> list[Refund]:
    """Refunds that changed last in [since, until), after the one whose time and id are *after*; oldest change first."""
    rows = await tx.execute(_CHANGED, since=since, until=until, after_at=after[0], after=after[1], rows=limit)
    return [refunds.read(row) for row in rows]


async def _records(tx: Tx, found: Collection[Refund]) -> list[RefundRecord]:
    if not found:
        return []
    rows = await tx.execute(_METHODS, ids=sorted({refund.payment_id for refund in found}))
    methods = {row.id: row.payment_method for row in rows}
    notes = await credit_notes_of(tx, [refund.id for refund in found])
    numbers = {refund_id: row.credit_note_number for refund_id, row in notes.items()}
    return [RefundRecord(each, methods[each.payment_id], numbers.get(each.id, "")) for each in found]
