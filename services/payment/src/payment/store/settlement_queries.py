"""Reads of settlements, their rows, and what payment believes of payments; in pages, oldest change first."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Select, select

from common import ids, statements
from common.database import Row, Tx
from payment.domain.settlement_records import Changed, PaymentChange, PaymentRecord, SettlementFilter
from payment.domain.settlements import Settlement, StoredRow
from payment.store import payment_rows, settlements
from payment.store.tables import settlements as settlements_table

_CHANGED = """
select *, (select count(*) from settlement_conflicts c where c.settlement_id = s.id) as conflicts
from settlements s
where updated_at >= :since and updated_at < :until and (updated_at, id) > (:after_at, :after_id)
order by updated_at, id limit :rows
"""
_ONE = """
select *, (select count(*) from settlement_conflicts c where c.settlement_id = s.id) as conflicts
from settlements s where id = :id and merchant_id = :merchant_id
"""
# A gateway whose rows name its own refund: ours is the one that has it.
_REFUND = """
left join refunds f on r.kind = 'REFUND' and f.gateway = s.gateway and f.provider_refund_id = r.reference
                       and f.provider_refund_id <> ''
"""
_ROWS_OF_SETTLEMENTS = f"""
select r.*, s.gateway_settlement_id, f.id as refund_id
from settlement_rows r join settlements s on s.id = r.settlement_id {_REFUND}
where r.settlement_id = any(cast(:ids as uuid[])) and (r.settlement_id, r.row_id) > (:after_id, :after_row)
order by r.settlement_id, r.row_id limit :rows
"""
_ROWS_OF_PAYMENTS = f"""
select r.*, s.gateway_settlement_id, f.id as refund_id
from settlement_rows r join settlements s on s.id = r.settlement_id {_REFUND}
where r.payment_id = any(cast(:ids as uuid[])) and r.id > :after_id
order by r.id limit :rows
"""
# A payment changes by a move, which its history has, or by money that is no success, whose receipt has the time in its
# id.
_CHANGES = """
select at, payment_id from (
    (select distinct at, payment_id from payment_history
     where at >= :since and at < :until and (at, payment_id) > (:after_at, :after_id)
     order by at, payment_id limit :rows)
    union
    (select distinct received.at, received.payment_id
     from (select to_timestamp(cast(cast('x' || lpad(substr(replace(cast(id as text), '-', ''), 1, 12), 16, '0')
                                         as bit(64)) as bigint) / 1000.0) as at, payment_id
           from receipts where id >= :first_id and id < :last_id) as received
     where (received.at, received.payment_id) > (:after_at, :after_id)
     order by 1, 2 limit :rows)
) as change (at, payment_id)
order by at, payment_id limit :rows
"""
_RECORDS = f"""
select {
    ", ".join(
        f"p.{name.strip()}" if "metadata" not in name else "cast(p.metadata as text) as metadata"
        for name in payment_rows.SELECT.split(", ")
    )
},
    p.settlement_status, p.gateway_account_id as account_id,
    coalesce((select sum(r.amount_minor) from refunds r
              where r.payment_id = p.id and r.status = 'SUCCESS' and r.receipt_id is null), 0)
        as refunded_minor,
    exists (select from transactions t
            where t.payment_id = p.id and t.status = 'CAPTURED' and t.confirmed_at is not null) as is_confirmed,
    case when p.webhook_verified
         then (select min(a.created_at) from payment_attempts a where a.payment_id = p.id) end as webhook_at,
    coalesce((select sum(c.amount_minor - c.applied_minor - c.refunded_minor) from receipts c
              where c.payment_id = p.id), 0) as unapplied_minor
from payments p where p.id = any(cast(:ids as uuid[]))
"""


async def changed(tx: Tx, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int) -> list[Changed]:
    """Settlements that changed in the window, behind *after*."""
    rows = await tx.execute(_CHANGED, since=since, until=until, after_at=after[0], after_id=after[1], rows=limit)
    return [_changed(row) for row in rows]


async def of_merchant(tx: Tx, settlement_id: UUID, merchant_id: str) -> Changed | None:
    row = (await tx.execute(_ONE, id=settlement_id, merchant_id=merchant_id)).first()
    return _changed(row) if row else None


async def page(tx: Tx, filter: SettlementFilter) -> list[Settlement]:
    """A merchant's settlements, newest first."""
    return [settlements.read(row) for row in await statements.run(tx, _page(filter))]


def _page(filter: SettlementFilter) -> Select[tuple[object, ...]]:
    table = settlements_table
    statement = select(table).where(table.c.merchant_id == filter.merchant_id).order_by(table.c.id.desc())
    if filter.status is not None:
        statement = statement.where(table.c.status == filter.status)
    if filter.before is not None:
        statement = statement.where(table.c.id < filter.before)
    return statement.limit(filter.limit)


async def rows_of_settlements(
    tx: Tx, settlement_ids: Sequence[UUID], after: tuple[UUID, str], limit: int
) -> list[StoredRow]:
    rows = await tx.execute(
        _ROWS_OF_SETTLEMENTS, ids=sorted(settlement_ids), after_id=after[0], after_row=after[1], rows=limit
    )
    return [_row(row) for row in rows]


async def rows_of_payments(tx: Tx, payment_ids: Sequence[UUID], after: UUID, limit: int) -> list[StoredRow]:
    rows = await tx.execute(_ROWS_OF_PAYMENTS, ids=sorted(payment_ids), after_id=after, rows=limit)
    return [_row(row) for row in rows]


async def payment_changes(
    tx: Tx, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int
) -> list[PaymentChange]:
    """What changed in the window, behind *after*; a payment that changed twice comes twice."""
    rows = await tx.execute(
        _CHANGES,
        since=since,
        until=until,
        after_at=after[0],
        after_id=after[1],
        first_id=ids.lower_bound(since),
        last_id=ids.lower_bound(until),
        rows=limit,
    )
    return [PaymentChange(row.at, row.payment_id) for row in rows]


async def payment_records(tx: Tx, payment_ids: Sequence[UUID]) -> dict[UUID, PaymentRecord]:
    """By payment id; those that do not exist are left out."""
    if not payment_ids:
        return {}
    return {row["id"]: _record(row) for row in await tx.execute(_RECORDS, ids=sorted(payment_ids))}


def _row(row: Row) -> StoredRow:
    stored = settlements.read_row(row, row["gateway_settlement_id"])
    return msgspec.structs.replace(stored, refund_id=row["refund_id"])


def _changed(row: Row) -> Changed:
    return Changed(settlements.read(row), row["conflicts"])


def _record(row: Row) -> PaymentRecord:
    return PaymentRecord(
        payment=payment_rows.read(row),
        account_id=row["account_id"],
        refunded_minor=int(row["refunded_minor"]),
        is_confirmed=row["is_confirmed"],
        settlement_status=row["settlement_status"],
        webhook_at=row["webhook_at"],
        unapplied_minor=int(row["unapplied_minor"]),
    )
