"""Domain ⇄ the events of the broker."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import events, ids
from webhook_ingest.domain import Report, Status, Webhook

SERVICE = "webhook-ingest"
UNREADABLE = "unreadable"
# At most so many webhook ids in an alert.
ALERT_IDS_MAX = 5
_OUTCOMES = {"APPLIED": Status.SUCCESS, "NO_EFFECT": Status.SUCCESS, "PARKED": Status.PARKED}


def received(webhooks: Iterable[Webhook], bodies: Mapping[UUID, bytes]) -> list[pb.WebhookReceived]:
    """With their sealed *bodies*."""
    return [
        pb.WebhookReceived(
            **events.head(webhook.received_at, webhook.webhook_id),
            gateway=webhook.gateway,
            gateway_account_id=webhook.account_id,
            type=webhook.summary.type,
            version=webhook.version,
            body=bodies[webhook.webhook_id],
        )
        for webhook in webhooks
        if webhook.is_announced
    ]


def unreadable_alerts(webhooks: Iterable[Webhook]) -> list[AdminAlertRaised]:
    """Well signed and yet unreadable: the gateway changed its format, or somebody has the secret."""
    unreadable = [webhook for webhook in webhooks if not webhook.summary.type]
    if not unreadable:
        return []
    return [
        _alert(
            "webhook_failures",
            f"{len(unreadable)} webhook(s) with a good signature cannot be read and are parked",
            unreadable[0].received_at,
            {"webhookIds": _ids([webhook.webhook_id for webhook in unreadable]), "reason": UNREADABLE},
        )
    ]


def failure_analytics(reports: Iterable[Report]) -> list[pb.AnalyticsWebhookFailed]:
    """One event for every webhook that failed or was given up; the alert is raised where its dead letter is kept."""
    return [
        _analytics(report.gateway, report.reason, report.at)
        for report in reports
        if report.status in (Status.FAILED, Status.DEAD)
    ]


def unreadable_analytics(webhooks: Iterable[Webhook]) -> list[pb.AnalyticsWebhookFailed]:
    return [
        _analytics(webhook.gateway, UNREADABLE, webhook.received_at) for webhook in webhooks if not webhook.summary.type
    ]


def refusal_analytics(counts: Mapping[tuple[str, str], int], now: datetime) -> list[pb.AnalyticsWebhookFailed]:
    return [_analytics(gateway, reason, now) for gateway, reason in sorted(counts)]


def refusal_alerts(counts: Mapping[tuple[str, str], int], now: datetime) -> list[AdminAlertRaised]:
    return [
        _alert(
            "webhook_failures",
            f"{count} webhooks of {gateway} were refused: {reason}",
            now,
            {"gateway": gateway, "reason": reason, "count": str(count)},
        )
        for (gateway, reason), count in sorted(counts.items())
    ]


def processing(message: pb.WebhookProcessing) -> Report:
    return _report(message, Status.PROCESSING)


def retried(message: pb.WebhookRetried) -> Report:
    return _report(message, Status.PROCESSING, attempt=message.attempt)


def processed(message: pb.WebhookProcessed) -> Report:
    """An outcome that a newer payment may add counts as success: it was processed."""
    payment_id = ids.decode("pay", message.payment_id) if message.payment_id else None
    status = _OUTCOMES.get(message.outcome, Status.SUCCESS)
    return _report(message, status, outcome=message.outcome, payment_id=payment_id)


def failed(message: pb.WebhookFailed) -> Report:
    return _report(message, Status.FAILED)


def dead_lettered(message: pb.WebhookDeadLettered) -> Report:
    return _report(message, Status.DEAD)


_Message = pb.WebhookProcessing | pb.WebhookProcessed | pb.WebhookRetried | pb.WebhookFailed | pb.WebhookDeadLettered


def _report(
    message: _Message, status: Status, attempt: int = 0, outcome: str = "", payment_id: UUID | None = None
) -> Report:
    return Report(
        event_id=ids.decode("evt", message.event_id),
        webhook_id=ids.decode("evt", message.webhook_id),
        gateway=message.gateway,
        status=status,
        reason=message.reason,
        attempt=max(attempt, 0),
        at=events.from_micros(message.time_unix_micros),
        outcome=outcome,
        payment_id=payment_id,
    )


def _analytics(gateway: str, reason: str, at: datetime) -> pb.AnalyticsWebhookFailed:
    return pb.AnalyticsWebhookFailed(**events.head(at), gateway=gateway, reason=reason)


def _ids(webhook_ids: Sequence[UUID]) -> str:
    return ", ".join(ids.encode("evt", webhook_id) for webhook_id in webhook_ids[:ALERT_IDS_MAX])


def _alert(cause: str, summary: str, at: datetime, fields: Mapping[str, str]) -> AdminAlertRaised:
    return events.alert(cause, summary, service=SERVICE, at=at, fields=fields)
