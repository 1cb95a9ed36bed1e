"""What reads the tables without a lock: the moments of a timeline, totals."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx
from webhook_ingest.domain import Status

_MOMENTS = """
with webhooks as materialized (
    select id from webhook_logs where order_id = :reference
    union select id from webhook_logs where gateway_payment_id = :reference
    union select id from webhook_logs where id = cast(:webhook_id as uuid)
    union select webhook_id from webhook_history where payment_id = cast(:payment_id as uuid)
    limit 500
)
select log.id as webhook_id, log.received_at as at, 'RECEIVED' as status, coalesce(log.event_type, '') as event_type,
       coalesce(log.order_id, '') as order_id, coalesce(log.gateway_payment_id, '') as gateway_payment_id,
       coalesce(log.gateway_status, '') as detail,
       coalesce((select duplicates from webhook_keys as keys
                 where keys.gateway_account_id = log.gateway_account_id and keys.key = log.hash), 0) as duplicates,
       cast(null as uuid) as payment_id
from webhooks join webhook_logs as log on log.id = webhooks.id
union all
select log.id, history.reported_at, history.status, coalesce(log.event_type, ''), coalesce(log.order_id, ''),
       coalesce(log.gateway_payment_id, ''), trim(history.outcome || ' ' || history.reason), 0,
       history.payment_id
from webhooks join webhook_logs as log on log.id = webhooks.id
     join webhook_history as history on history.webhook_id = log.id
order by 2
"""

_COUNT = "select processing_status as status, count(*) as number from webhook_logs group by processing_status"


class Moment(msgspec.Struct, frozen=True):
    """A moment in a webhook's life, as operators read it."""

    webhook_id: UUID
    at: datetime
    status: str
    event_type: str
    order_id: str
    gateway_payment_id: str
    detail: str
    duplicates: int
    payment_id: UUID | None


async def moments(tx: Tx, *, reference: str, webhook_id: UUID | None, payment_id: UUID | None) -> list[Moment]:
    """Receipts and reports of the webhooks about an order id, the gateway's payment id or one of our own ids."""
    rows = await tx.execute(_MOMENTS, reference=reference, webhook_id=webhook_id, payment_id=payment_id)
    return [
        Moment(
            webhook_id=row.webhook_id,
            at=row.at,
            status=row.status,
            event_type=row.event_type,
            order_id=row.order_id,
            gateway_payment_id=row.gateway_payment_id,
            detail=row.detail,
            duplicates=row.duplicates,
            payment_id=row.payment_id,
        )
        for row in rows
    ]


async def counts(tx: Tx) -> Mapping[Status, int]:
    """How many webhooks have each status."""
    return {Status(row.status): int(row.number) for row in await tx.execute(_COUNT)}
