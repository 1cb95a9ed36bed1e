"""Tables and queries of webhook-ingest; the only SQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx
from webhook_ingest.domain import Progress, Report, Status, Webhook

_encode = msgspec.json.Encoder().encode

# One statement claims what is new and counts what is not: a row that comes back with another webhook's id was there
# before. Sorted, so that two replicas with the same webhooks wait for one another instead of deadlocking.
_CLAIM = """
insert into webhook_keys as known (gateway, key, webhook_id)
select gateway, key, webhook_id
from unnest(cast(:gateways as text[]), cast(:keys as bytea[]), cast(:webhook_ids as uuid[]))
     as row (gateway, key, webhook_id)
order by gateway, key
on conflict (gateway, key) do update set duplicates = known.duplicates + 1
returning gateway, key, webhook_id
"""

_LOG_COLUMNS = (
    "id", "merchant_id", "gateway", "event_type", "event_version", "attempt", "event_time", "order_id",
    "gateway_payment_id", "gateway_refund_id", "gateway_status", "payload", "headers", "signature", "hash",
    "processing_status", "received_at",
)  # fmt: skip


async def claim(tx: Tx, webhooks: Sequence[Webhook]) -> dict[UUID, UUID]:
    """For each webhook the id that its event is stored under: its own when nobody knew it, else the known one's.

    The webhooks must differ from one another in every key.
    """
    rows = [(webhook.gateway, key, webhook.webhook_id) for webhook in webhooks for key in webhook.unique_keys]
    known = await tx.execute(
        _CLAIM,
        gateways=[row[0] for row in rows],
        keys=[row[1] for row in rows],
        webhook_ids=[row[2] for row in rows],
    )
    owners = {(row.gateway, row.key): row.webhook_id for row in known}
    claimed = {webhook.webhook_id: webhook.webhook_id for webhook in webhooks}
    for gateway, key, webhook_id in rows:
        # The event's key comes after the body's and knows better: a body that came as a duplicate owns no stored row.
        if (owner := owners[gateway, key]) != webhook_id:
            claimed[webhook_id] = owner
    return claimed


async def insert(tx: Tx, webhooks: Sequence[Webhook]) -> None:
    """Store *webhooks*, bodies as they came."""
    if webhooks:
        await tx.copy("webhook_logs", _LOG_COLUMNS, map(_log_row, webhooks))


def _log_row(webhook: Webhook) -> tuple[object, ...]:
    summary = webhook.summary
    return (
        webhook.webhook_id, webhook.merchant_id, webhook.gateway, summary.type or None, webhook.version,
        webhook.attempt, summary.event_time, summary.order_id, summary.gateway_payment_id, summary.gateway_refund_id,
        summary.gateway_status, webhook.body, _encode(webhook.headers).decode(), webhook.signature, webhook.body_hash,
        webhook.status, webhook.received_at,
    )  # fmt: skip


async def lock(tx: Tx, webhook_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Where the webhooks stand; nobody else may move them until *tx* ends."""
    rows = await tx.execute(
        """
        select id, processing_status, retry_count, failure_reason, processed_at from webhook_logs
        where id = any(cast(:ids as uuid[])) order by id for no key update
        """,
        ids=sorted(webhook_ids),
    )
    return {
        row.id: Progress(row.id, Status(row.processing_status), row.retry_count, row.failure_reason, row.processed_at)
        for row in rows
    }


async def save(tx: Tx, moved: Mapping[UUID, Progress], reports: Sequence[Report]) -> None:
    """Write the webhooks that moved, and every report into the history."""
    if moved:
        progress = [moved[webhook_id] for webhook_id in sorted(moved)]
        await tx.write(
            """
            update webhook_logs set processing_status = row.status, retry_count = row.retry_count,
                                    failure_reason = row.failure_reason, processed_at = row.processed_at
            from unnest(cast(:ids as uuid[]), cast(:statuses as text[]), cast(:retry_counts as integer[]),
                        cast(:reasons as text[]), cast(:processed as timestamptz[]))
                 as row (id, status, retry_count, failure_reason, processed_at)
            where webhook_logs.id = row.id
            """,
            ids=[each.webhook_id for each in progress],
            statuses=[each.status for each in progress],
            retry_counts=[each.retry_count for each in progress],
            reasons=[each.failure_reason for each in progress],
            processed=[each.processed_at for each in progress],
        )
    if reports:
        await tx.write(
            """
            insert into webhook_history (id, webhook_id, status, outcome, reason, attempt, payment_id, reported_at)
            select * from unnest(cast(:ids as uuid[]), cast(:webhook_ids as uuid[]), cast(:statuses as text[]),
                                 cast(:outcomes as text[]), cast(:reasons as text[]), cast(:attempts as integer[]),
                                 cast(:payment_ids as uuid[]), cast(:times as timestamptz[]))
            on conflict (id) do nothing
            """,
            ids=[report.event_id for report in reports],
            webhook_ids=[report.webhook_id for report in reports],
            statuses=[report.status for report in reports],
            outcomes=[report.outcome for report in reports],
            reasons=[report.reason for report in reports],
            attempts=[report.attempt for report in reports],
            payment_ids=[report.payment_id for report in reports],
            times=[report.at for report in reports],
        )


@dataclass(frozen=True, slots=True)
class Line:
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


async def lines(tx: Tx, *, reference: str, webhook_id: UUID | None, payment_id: UUID | None) -> list[Line]:
    """Receipts and reports of the webhooks about an order id, the gateway's payment id or one of our own ids."""
    rows = await tx.execute(
        """
        with found as materialized (
            select id from webhook_logs where order_id = :reference
            union select id from webhook_logs where gateway_payment_id = :reference
            union select id from webhook_logs where id = cast(:webhook_id as uuid)
            union select webhook_id from webhook_history where payment_id = cast(:payment_id as uuid)
            limit 500
        )
        select log.id, log.received_at as at, 'RECEIVED' as status, coalesce(log.event_type, '') as event_type,
               coalesce(log.order_id, '') as order_id, coalesce(log.gateway_payment_id, '') as gateway_payment_id,
               coalesce(log.gateway_status, '') as detail,
               coalesce((select duplicates from webhook_keys as known
                         where known.gateway = log.gateway and known.key = log.hash), 0) as duplicates,
               cast(null as uuid) as payment_id
        from found join webhook_logs as log on log.id = found.id
        union all
        select log.id, history.reported_at, history.status, coalesce(log.event_type, ''), coalesce(log.order_id, ''),
               coalesce(log.gateway_payment_id, ''), trim(history.outcome || ' ' || history.reason), 0,
               history.payment_id
        from found join webhook_logs as log on log.id = found.id
             join webhook_history as history on history.webhook_id = log.id
        order by 2
        """,
        reference=reference,
        webhook_id=webhook_id,
        payment_id=payment_id,
    )
    return [
        Line(
            row.id,
            row.at,
            row.status,
            row.event_type,
            row.order_id,
            row.gateway_payment_id,
            row.detail,
            row.duplicates,
            row.payment_id,
        )
        for row in rows
    ]


async def totals(tx: Tx) -> dict[str, int]:
    """How many webhooks came in, and where they stand."""
    rows = await tx.execute(
        "select processing_status as status, count(*) as number from webhook_logs group by processing_status"
    )
    count = {Status(row.status): int(row.number) for row in rows}
    return {
        "webhooks.received": sum(count.values()),
        "webhooks.processed": count.get(Status.SUCCESS, 0),
        "webhooks.parked": count.get(Status.PARKED, 0),
        "webhooks.failed": count.get(Status.FAILED, 0) + count.get(Status.DEAD, 0),
        "webhooks.pending": count.get(Status.RECEIVED, 0) + count.get(Status.PROCESSING, 0),
    }
