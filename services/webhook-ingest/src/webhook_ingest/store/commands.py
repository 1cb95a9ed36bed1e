"""What changes the tables: webhooks stored once, moved as their reports say."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from common.database import Tx
from webhook_ingest.domain import Progress, Report, Status, Webhook

_encode = msgspec.json.Encoder().encode

# One statement claims what is new and counts what is not: a row that comes back with another webhook's id was there
# before. Sorted, so that two replicas with the same webhooks wait for one another instead of deadlocking.
_CLAIM = """
insert into webhook_keys as existing (gateway_account_id, key, webhook_id)
select gateway_account_id, key, webhook_id
from unnest(cast(:account_ids as text[]), cast(:keys as bytea[]), cast(:webhook_ids as uuid[]))
     as row (gateway_account_id, key, webhook_id)
order by gateway_account_id, key
on conflict (gateway_account_id, key) do update set duplicates = existing.duplicates + 1
returning gateway_account_id, key, webhook_id
"""

_LOG_COLUMNS = (
    "id", "gateway", "gateway_account_id", "event_type", "event_version", "attempt", "event_time", "order_id",
    "gateway_payment_id", "gateway_refund_id", "gateway_status", "payload", "headers", "signature", "hash",
    "processing_status", "received_at",
)  # fmt: skip

_LOCK = """
select id, processing_status, retry_count, failure_reason, processed_at from webhook_logs
where id = any(cast(:ids as uuid[])) order by id for no key update
"""

_SAVE_PROGRESS = """
update webhook_logs set processing_status = row.status, retry_count = row.retry_count,
                        failure_reason = row.failure_reason, processed_at = row.processed_at
from unnest(cast(:ids as uuid[]), cast(:statuses as text[]), cast(:retry_counts as integer[]),
            cast(:reasons as text[]), cast(:processed as timestamptz[]))
     as row (id, status, retry_count, failure_reason, processed_at)
where webhook_logs.id = row.id
"""

_ADD_REPORTS = """
insert into webhook_history (id, webhook_id, status, outcome, reason, attempt, payment_id, reported_at)
select * from unnest(cast(:ids as uuid[]), cast(:webhook_ids as uuid[]), cast(:statuses as text[]),
                     cast(:outcomes as text[]), cast(:reasons as text[]), cast(:attempts as integer[]),
                     cast(:payment_ids as uuid[]), cast(:times as timestamptz[]))
on conflict (id) do nothing
"""


async def claim(tx: Tx, webhooks: Sequence[Webhook]) -> dict[UUID, UUID]:
    """For each webhook the id that its event is stored under: its own when it is new, else the earlier one's.

    The webhooks must differ from one another in every key.
    """
    rows = [(webhook.account_id, key, webhook.webhook_id) for webhook in webhooks for key in webhook.unique_keys]
    returned = await tx.execute(
        _CLAIM,
        account_ids=[row[0] for row in rows],
        keys=[row[1] for row in rows],
        webhook_ids=[row[2] for row in rows],
    )
    owners = {(row.gateway_account_id, row.key): row.webhook_id for row in returned}
    claimed = {webhook.webhook_id: webhook.webhook_id for webhook in webhooks}
    for account_id, key, webhook_id in rows:
        # The event's key comes after the body's and knows better: a body that came as a duplicate owns no stored row.
        if (owner := owners[account_id, key]) != webhook_id:
            claimed[webhook_id] = owner
    return claimed


async def insert(tx: Tx, webhooks: Sequence[Webhook], bodies: Mapping[UUID, bytes]) -> None:
    """Store *webhooks* with their sealed *bodies*."""
    if webhooks:
        rows = [_log_row(webhook, bodies[webhook.webhook_id]) for webhook in webhooks]
        await tx.copy("webhook_logs", _LOG_COLUMNS, rows)


def _log_row(webhook: Webhook, body: bytes) -> tuple[object, ...]:
    summary = webhook.summary
    return (
        webhook.webhook_id, webhook.gateway, webhook.account_id, summary.type or None, webhook.version,
        webhook.attempt, summary.event_time, summary.order_id, summary.gateway_payment_id, summary.gateway_refund_id,
        summary.gateway_status, body, _encode(webhook.headers).decode(), webhook.signature, webhook.body_hash,
        webhook.status, webhook.received_at,
    )  # fmt: skip


async def lock(tx: Tx, webhook_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Where the webhooks stand; nobody else may move them until *tx* ends."""
    rows = await tx.execute(_LOCK, ids=sorted(webhook_ids))
    return {
        row.id: Progress(
            webhook_id=row.id,
            status=Status(row.processing_status),
            retry_count=row.retry_count,
            failure_reason=row.failure_reason,
            processed_at=row.processed_at,
        )
        for row in rows
    }


async def save(tx: Tx, moved: Mapping[UUID, Progress], reports: Sequence[Report]) -> None:
    """Write the webhooks that moved, and every report into the history."""
    if moved:
        progress = [moved[webhook_id] for webhook_id in sorted(moved)]
        await tx.write(
            "webhook_logs",
            _SAVE_PROGRESS,
            ids=[each.webhook_id for each in progress],
            statuses=[each.status for each in progress],
            retry_counts=[each.retry_count for each in progress],
            reasons=[each.failure_reason for each in progress],
            processed=[each.processed_at for each in progress],
        )
    if reports:
        await tx.write(
            "webhook_history",
            _ADD_REPORTS,
            ids=[report.event_id for report in reports],
            webhook_ids=[report.webhook_id for report in reports],
            statuses=[report.status for report in reports],
            outcomes=[report.outcome for report in reports],
            reasons=[report.reason for report in reports],
            attempts=[report.attempt for report in reports],
            payment_ids=[report.payment_id for report in reports],
            times=[report.at for report in reports],
        )
