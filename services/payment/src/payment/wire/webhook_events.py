"""What payment did with a webhook → the messages for the history that webhook-ingest keeps."""

from datetime import datetime
from uuid import UUID

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import events, ids
from common.events import head
from payment.domain.unhandled_webhooks import advice
from payment.wire.events import SERVICE


def processed(
    gateway: str, webhook_id: str, outcome: str, reason: str, payment_id: UUID | None, at: datetime
) -> pb.WebhookProcessed:
    return pb.WebhookProcessed(
        **head(at),
        gateway=gateway,
        webhook_id=webhook_id,
        outcome=outcome,
        reason=reason,
        payment_id=ids.encode("pay", payment_id) if payment_id else "",
    )


def processing(gateway: str, webhook_id: str, reason: str, at: datetime) -> pb.WebhookProcessing:
    return pb.WebhookProcessing(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)


def retried(gateway: str, webhook_id: str, reason: str, attempt: int, at: datetime) -> pb.WebhookRetried:
    return pb.WebhookRetried(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason, attempt=attempt)


def dead_lettered(gateway: str, webhook_id: str, reason: str, at: datetime) -> pb.WebhookDeadLettered:
    return pb.WebhookDeadLettered(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)


def failed(gateway: str, webhook_id: str, reason: str, at: datetime) -> pb.WebhookFailed:
    return pb.WebhookFailed(**head(at), gateway=gateway, webhook_id=webhook_id, reason=reason)


def unhandled_alert(account_id: str, type_name: str, webhook_id: str, at: datetime) -> AdminAlertRaised:
    """The first webhook of this type and window; those that follow within the window are counted by webhook-ingest."""
    return events.alert(
        "webhook_unhandled",
        f"{type_name} came for {account_id}: {advice(type_name)}",
        service=SERVICE,
        at=at,
        fields={"gatewayAccountId": account_id, "type": type_name, "webhookId": webhook_id},
    )
