"""Merchants' orders: insert, lock, read, mark as paid. They are locked in the order of their ids, after payments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Select, select

from common import statements
from common.database import Row, Tx
from common.money import Money
from payment.domain.merchant_orders import MerchantOrder, OrderFilter, OrderStatus
from payment.domain.metadata import Metadata
from payment.domain.payments import Payment
from payment.store import payment_rows
from payment.store.tables import orders

# How many payments of one order are read: each but the last ended unpaid.
PAYMENTS_MAX: Final = 100

_COLUMNS: Final = (
    "id, merchant_id, user_id, amount_minor, currency, receipt, cast(notes as text) as notes, status, payment_id, "
    "created_at, updated_at"
)
_INSERT = """
insert into orders (id, merchant_id, user_id, amount_minor, currency, receipt, notes, created_at, updated_at)
values (:id, :merchant_id, :user_id, :amount_minor, :currency, :receipt, cast(:notes as jsonb), :at, :at)
"""
_LOCK = f"select {_COLUMNS} from orders where id = any(cast(:ids as uuid[])) order by id for no key update"
_BY_ID = f"select {_COLUMNS} from orders where id = :id"
_ATTEMPTED = """
update orders set status = 'ATTEMPTED', updated_at = :now where id = any(cast(:ids as uuid[])) and status = 'CREATED'
"""
_PAID = """
update orders set status = 'PAID', payment_id = paid.payment_id, updated_at = :now
from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[])) as paid (id, payment_id)
where orders.id = paid.id and (orders.payment_id is null or orders.payment_id = paid.payment_id)
returning orders.id
"""
# Of a payment that named no order until now.
_ADOPT = "update payments set parent_order_id = :order_id where id = :payment_id and parent_order_id is null"
_PAYMENTS = f"""
select {payment_rows.SELECT} from payments where parent_order_id = any(cast(:ids as uuid[]))
order by id desc limit :rows
"""

_encode = msgspec.json.Encoder().encode
_notes = msgspec.json.Decoder(Metadata).decode


async def insert(tx: Tx, order: MerchantOrder) -> None:
    await tx.write(
        "orders",
        _INSERT,
        id=order.id,
        merchant_id=order.merchant_id,
        user_id=order.user_id,
        amount_minor=order.amount.minor,
        currency=order.amount.currency,
        receipt=order.receipt,
        notes=_encode(order.notes).decode(),
        at=order.created_at,
    )


async def adopt(tx: Tx, order: MerchantOrder, payment: Payment) -> None:
    """*payment*, whose lock the caller holds, is the first of *order*."""
    await tx.write("payments", _ADOPT, order_id=order.id, payment_id=payment.id)
    await mark_attempted(tx, [order.id], order.updated_at)


async def lock(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, MerchantOrder]:
    """The orders as they are now; nobody else may change them until *tx* ends. Costs nothing for none."""
    if not order_ids:
        return {}
    return {row.id: _read(row) for row in await tx.execute(_LOCK, ids=sorted(order_ids))}


async def order_by_id(tx: Tx, order_id: UUID) -> MerchantOrder | None:
    row = (await tx.execute(_BY_ID, id=order_id)).first()
    return _read(row) if row else None


async def payments_of(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, list[Payment]]:
    """The payments of these orders, newest first."""
    payments: dict[UUID, list[Payment]] = {order_id: [] for order_id in order_ids}
    if order_ids:
        rows = PAYMENTS_MAX * len(order_ids)
        for row in await tx.execute(_PAYMENTS, ids=sorted(order_ids), rows=rows):
            payment = payment_rows.read(row)
            assert payment.parent_order_id is not None
            payments[payment.parent_order_id].append(payment)
    return payments


async def mark_attempted(tx: Tx, order_ids: Collection[UUID], now: datetime) -> None:
    if order_ids:
        await tx.write("orders", _ATTEMPTED, ids=sorted(order_ids), now=now)


async def mark_paid(tx: Tx, payers: Mapping[UUID, UUID], now: datetime) -> set[UUID]:
    """Note by order which payment paid it; the orders of which that is so now. An order that another payment paid is
    not among them.
    """
    if not payers:
        return set()
    ordered = sorted(payers)
    paid = await tx.execute(_PAID, ids=ordered, payment_ids=[payers[each] for each in ordered], now=now)
    return set(paid.scalars())


async def page(tx: Tx, wanted: OrderFilter) -> Sequence[MerchantOrder]:
    return [_read(row) for row in await statements.run(tx, _page(wanted))]


def _page(wanted: OrderFilter) -> Select[tuple[object, ...]]:
    statement = (
        select(orders)
        .where(orders.c.merchant_id == wanted.merchant_id)
        .order_by(orders.c.id.desc())
        .limit(wanted.limit)
    )
    if wanted.user_id is not None:
        statement = statement.where(orders.c.user_id == wanted.user_id)
    if wanted.status is not None:
        statement = statement.where(orders.c.status == wanted.status.value)
    if wanted.receipt:
        statement = statement.where(orders.c.receipt == wanted.receipt)
    if wanted.before is not None:
        statement = statement.where(orders.c.id < wanted.before)
    return statement


def _read(row: Row) -> MerchantOrder:
    notes = row.notes
    return MerchantOrder(
        id=row.id,
        merchant_id=row.merchant_id,
        user_id=row.user_id,
        amount=Money(row.amount_minor, row.currency),
        receipt=row.receipt,
        notes=_notes(notes) if isinstance(notes, str) else notes,
        status=OrderStatus(row.status),
        payment_id=row.payment_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
