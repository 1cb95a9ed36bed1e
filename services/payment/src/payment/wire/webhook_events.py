"""What became of a webhook, for the history that webhook-ingest keeps."""

from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.webhook_ingest.v1 import events_pb2 as hooks
from common import ids
from payment.wire.events import SERVICE, head


def processed(
    gateway: str, webhook_id: str, outcome: str, reason: str, payment_id: UUID | None, at: datetime
) -> Message:
    return hooks.WebhookProcessed(
        **head(at),
        gateway=gateway,
        webhook_id=webhook_id,
        outcome=outcome,
        reason=reason,
        payment_id=ids.encode("pay", payment_id) if payment_id else "",
    )


def processing(gateway: str, webhook_id: str, reason: str, at: datetime) -> Message:
    return hooks.WebhookProcessing(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)


def retried(gateway: str, webhook_id: str, reason: str, attempt: int, at: datetime) -> Message:
    return hooks.WebhookRetried(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason, attempt=attempt)


def dead_lettered(gateway: str, webhook_id: str, reason: str, at: datetime) -> list[Message]:
    """No rung is left: history, and a person is told."""
    dead = hooks.WebhookDeadLettered(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)
    return [dead, _alert(webhook_id, reason, at)]


def failed(gateway: str, webhook_id: str, reason: str, at: datetime) -> list[Message]:
    """Refused for good: history, and a person is told."""
    failed = hooks.WebhookFailed(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)
    return [failed, _alert(webhook_id, reason, at)]


def _alert(webhook_id: str, reason: str, at: datetime) -> Message:
    return AdminAlertRaised(
        **head(at),
        cause="webhook_failures",
        service=SERVICE,
        summary=f"webhook {webhook_id} went to the dead letters: {reason}",
        fields={"webhookId": webhook_id, "reason": reason},
    )
