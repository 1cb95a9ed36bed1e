"""What the sweep looks up: payments whose next check is due, leased to one process."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx
from payment.domain.orders import OrderKey

_DUE = """
update payments set next_check_at = :again, retry_count = retry_count + 1
where id in (
    select id from payments where next_check_at <= :now order by next_check_at limit :rows for no key update skip locked
)
returning id, gateway_account_id, order_id, gateway_order_id
"""
_SCHEDULE = """
update payments p set next_check_at = row.at
from unnest(cast(:ids as uuid[]), cast(:ats as timestamptz[])) as row (id, at)
where p.id = row.id and p.status in ('CREATED', 'PENDING', 'AUTHORIZING', 'PROCESSING') and p.review <> 'QUARANTINED'
"""


class DuePayment(msgspec.Struct, frozen=True, gc=False):
    """A payment that the sweep has leased."""

    payment_id: UUID
    order: OrderKey
    gateway_order_id: str


async def lease_due(tx: Tx, now: datetime, due_again_at: datetime, limit: int) -> list[DuePayment]:
    """Lease what is due: it is due again at *due_again_at* unless it is scheduled or resolved before."""
    rows = await tx.execute(_DUE, now=now, again=due_again_at, rows=limit)
    return [DuePayment(row.id, OrderKey(row.gateway_account_id, row.order_id), row.gateway_order_id) for row in rows]


async def schedule(tx: Tx, checks: Sequence[tuple[UUID, datetime]]) -> None:
    """Check again at these times, as long as the payments are unresolved."""
    if checks:
        ordered = sorted(checks)
        await tx.execute(_SCHEDULE, ids=[payment_id for payment_id, _ in ordered], ats=[at for _, at in ordered])
