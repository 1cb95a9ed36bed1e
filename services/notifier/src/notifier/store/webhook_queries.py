"""Reads about webhooks."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

from common.database import Row, Tx
from notifier.domain.webhook_deliveries import (
    Answer,
    Attempt,
    AttemptError,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    Trigger,
)
from notifier.domain.webhook_endpoints import DisabledReason, Endpoint, EndpointStatus, WebhookSecret
from notifier.domain.webhook_events import WebhookEvent
from notifier.store.webhook_kinds import ANSWER, HEADERS, SECRETS

DELIVERY_COLUMNS: Final = (
    "id, endpoint_id, event_id, merchant_id, type, object_id, status, attempts, trigger, next_retry_at, created_at,"
    " finished_at"
)
_ENABLED = """
select * from webhook_endpoints
where merchant_id = any(cast(:merchant_ids as text[])) and status = 'ENABLED' order by id
"""
_OF_MERCHANT = """
select * from webhook_endpoints where merchant_id = :merchant_id and status <> 'DELETED' order by id
"""
_DELIVERIES = f"""
select {DELIVERY_COLUMNS} from webhook_deliveries
where merchant_id = :merchant_id
  and (cast(:endpoint_id as uuid) is null or endpoint_id = :endpoint_id)
  and (:status = '' or status = :status)
  and (:type = '' or type = :type)
  and (:object_id = '' or object_id = :object_id)
  and (cast(:since as timestamptz) is null or created_at >= :since)
  and (cast(:until as timestamptz) is null or created_at < :until)
  and (cast(:before as uuid) is null or id < :before)
order by id desc limit :limit
"""
_ATTEMPTS = "select * from webhook_attempts where delivery_id = :id order by number"
_EVENTS = """
select * from webhook_events
where merchant_id = :merchant_id and (:type = '' or type = :type) and (cast(:after as uuid) is null or id > :after)
order by id limit :limit
"""

_headers = msgspec.json.Decoder(dict[str, str]).decode
_secrets = msgspec.json.Decoder(tuple[WebhookSecret, ...]).decode


async def enabled_endpoints(tx: Tx, merchant_ids: Collection[str]) -> list[Endpoint]:
    rows = await tx.execute(_ENABLED, merchant_ids=sorted(merchant_ids))
    return [endpoint_of(tx, row) for row in rows]


async def endpoints_of_merchant(tx: Tx, merchant_id: str) -> list[Endpoint]:
    """Those that are not deleted, oldest first."""
    return [endpoint_of(tx, row) for row in await tx.execute(_OF_MERCHANT, merchant_id=merchant_id)]


async def deliveries(tx: Tx, wanted: DeliveryFilter) -> list[Delivery]:
    """Newest first."""
    return [delivery_of(row) for row in await tx.execute(_DELIVERIES, **msgspec.structs.asdict(wanted))]


async def delivery(tx: Tx, delivery_id: UUID) -> Delivery | None:
    rows = await tx.execute(f"select {DELIVERY_COLUMNS} from webhook_deliveries where id = :id", id=delivery_id)
    return next((delivery_of(row) for row in rows), None)


async def attempts(tx: Tx, delivery_id: UUID) -> list[Attempt]:
    """In their order."""
    return [_attempt(tx, row) for row in await tx.execute(_ATTEMPTS, id=delivery_id)]


async def events(tx: Tx, merchant_id: str, event_type: str, after: UUID | None, limit: int) -> list[WebhookEvent]:
    """Oldest first."""
    rows = await tx.execute(_EVENTS, merchant_id=merchant_id, type=event_type, after=after, limit=limit)
    return [
        WebhookEvent(
            id=row.id,
            merchant_id=row.merchant_id,
            type=row.type,
            object_id=row.object_id,
            seq=row.seq,
            at=row.at,
            body=row.body,
        )
        for row in rows
    ]


def endpoint_of(tx: Tx, row: Row) -> Endpoint:
    return Endpoint(
        id=row.id,
        merchant_id=row.merchant_id,
        url=row.url,
        description=row.description,
        events=tuple(row.events),
        headers=_headers(tx.sealer.open(HEADERS, row.headers)) if row.headers else {},
        secrets=_secrets(tx.sealer.open(SECRETS, row.secrets)),
        status=EndpointStatus(row.status),
        disabled_reason=DisabledReason(row.disabled_reason) if row.disabled_reason else None,
        failing_since=row.failing_since,
        created_by=row.created_by,
        created_at=row.created_at,
    )


def delivery_of(row: Row) -> Delivery:
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        merchant_id=row.merchant_id,
        type=row.type,
        object_id=row.object_id,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        trigger=Trigger(row.trigger),
        next_retry_at=row.next_retry_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _attempt(tx: Tx, row: Row) -> Attempt:
    answer = Answer(
        row.status_code,
        AttemptError(row.error) if row.error else None,
        row.ms,
        tx.sealer.open(ANSWER, row.answer),
    )
    return Attempt(row.delivery_id, row.number, row.at, Trigger(row.trigger), answer)
