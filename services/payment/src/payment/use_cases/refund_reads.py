"""Show refunds: to a merchant's staff, and to other services and operators."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from common.database import Database
from payment.domain.errors import PaymentNotFound
from payment.domain.refund_errors import RefundNotFound
from payment.domain.refund_records import RefundFilter, RefundRecord
from payment.domain.refunds import Refund
from payment.store import queries, refund_queries, refunds


async def refund_page(db: Database, wanted: RefundFilter) -> list[RefundRecord]:
    """A page, and one more when there are more."""
    async with db.begin() as tx:
        return await refund_queries.page(tx, wanted)


async def refund_by_id(db: Database, merchant_id: str, refund_id: UUID) -> RefundRecord:
    """Raises RefundNotFound."""
    async with db.begin() as tx:
        record = await refund_queries.of_merchant(tx, merchant_id, refund_id)
    if record is None:
        raise RefundNotFound("there is no such refund")
    return record


async def payment_refunds(db: Database, wanted: RefundFilter) -> list[RefundRecord]:
    """The refunds of one payment. Raises PaymentNotFound."""
    assert wanted.payment_id is not None
    async with db.begin() as tx:
        payments = await queries.payments_by_id(tx, [wanted.payment_id])
        if not any(payment.merchant_id == wanted.merchant_id for payment in payments):
            raise PaymentNotFound("there is no such payment")
        return await refund_queries.page(tx, wanted)


async def refunds_of_payments(db: Database, payment_ids: Collection[UUID]) -> list[Refund]:
    async with db.begin() as tx:
        found = await refunds.refunds_of(tx, payment_ids)
    return [refund for each in found.values() for refund in each]


async def changed_refunds(
    db: Database, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int
) -> list[Refund]:
    """See store.refund_queries.changed_between."""
    async with db.begin() as tx:
        return await refund_queries.changed_between(tx, since, until, after, limit)
