"""Domain ⇄ HTTP, protobuf and the operators' story. No decisions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from starlette.requests import Request

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common import ids
from common.delivery import Story, StoryEntry
from webhook_ingest.domain import Report, Status, Stored, Webhook
from webhook_ingest.store import Line

SERVICE = "webhook-ingest"
UNREADABLE = "unreadable"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOMES = {"APPLIED": Status.SUCCESS, "NO_EFFECT": Status.SUCCESS, "PARKED": Status.PARKED}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST of a gateway as it came; header names are lower case."""

    gateway: str
    body: bytes
    headers: Mapping[str, str]
    peer: str


@lru_cache(maxsize=1024)
def _header_name(raw: bytes) -> str:
    """Gateways send the same few names again and again."""
    return raw.decode("latin-1").lower()


def delivery(gateway: str, request: Request, body: bytes) -> Delivery:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = _header_name(raw_name), raw_value.decode("latin-1")
        # A header that comes twice is one list, and an allow-list looks at its end: what our own proxy appended.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Delivery(gateway, body, headers, request.client.host if request.client else "")


def stored_json(stored: Stored) -> dict[str, object]:
    return {"eventId": ids.encode("evt", stored.webhook_id), "duplicate": stored.duplicate}


def received_events(webhooks: Iterable[Webhook]) -> list[pb.WebhookReceived]:
    return [
        pb.WebhookReceived(
            event_id=ids.encode("evt", webhook.webhook_id),
            time_unix_micros=micros(webhook.received_at),
            merchant_id=webhook.merchant_id,
            gateway=webhook.gateway,
            type=webhook.summary.type,
            version=webhook.version,
            body=webhook.body,
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
            {"webhookIds": _ids([webhook.webhook_id for webhook in unreadable], 5), "reason": UNREADABLE},
        )
    ]


def failure_figures(reports: Iterable[Report]) -> list[pb.AnalyticsWebhookFailed]:
    """A figure for every webhook that failed or was given up."""
    return [
        _figure(report.gateway, report.reason, report.at)
        for report in reports
        if report.status in (Status.FAILED, Status.DEAD)
    ]


def unreadable_figures(webhooks: Iterable[Webhook]) -> list[pb.AnalyticsWebhookFailed]:
    return [
        _figure(webhook.gateway, UNREADABLE, webhook.received_at) for webhook in webhooks if not webhook.summary.type
    ]


def failure_alerts(reports: Iterable[Report], ids_max: int) -> list[AdminAlertRaised]:
    """One alert per status and reason for the webhooks that failed or were given up."""
    failed: defaultdict[tuple[Status, str], list[Report]] = defaultdict(list)
    for report in reports:
        if report.status in (Status.FAILED, Status.DEAD):
            failed[report.status, report.reason].append(report)
    return [
        _alert(
            "webhook_failures" if status is Status.FAILED else "dead_letter",
            f"{len(group)} webhook(s) {'were refused' if status is Status.FAILED else 'were given up'}: {reason}",
            max(report.at for report in group),
            {"webhookIds": _ids([report.webhook_id for report in group], ids_max), "reason": reason},
        )
        for (status, reason), group in failed.items()
    ]


def refusal_figures(counts: Mapping[tuple[str, str], int], now: datetime) -> list[pb.AnalyticsWebhookFailed]:
    return [_figure(gateway, reason, now) for gateway, reason in sorted(counts)]


def refusal_alerts(counts: Mapping[tuple[str, str], int], now: datetime) -> list[AdminAlertRaised]:
    return [
        _alert(
            "webhook_failures",
            f"{count} webhooks of {gateway} were refused at the door: {reason}",
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
        at=datetime.fromtimestamp(message.time_unix_micros / 1_000_000, UTC),
        outcome=outcome,
        payment_id=payment_id,
    )


def story(lines: Sequence[Line]) -> Story:
    """What happened to the webhooks, and the order and payment that they are about."""
    orders = {line.order_id for line in lines if line.order_id}
    payments = {ids.encode("pay", line.payment_id) for line in lines if line.payment_id}
    return Story([_story_entry(line) for line in lines], sorted(orders | payments))


def _story_entry(line: Line) -> StoryEntry:
    return StoryEntry(
        line.at,
        "webhook",
        f"{line.event_type or 'unreadable'} {line.status.lower()}",
        {
            name: value
            for name, value in {
                "webhookId": ids.encode("evt", line.webhook_id),
                "orderId": line.order_id,
                "gatewayPaymentId": line.gateway_payment_id,
                "paymentId": ids.encode("pay", line.payment_id) if line.payment_id else "",
                "detail": line.detail,
                "duplicates": str(line.duplicates) if line.duplicates else "",
            }.items()
            if value
        },
    )


def reference_ids(reference: str) -> dict[str, UUID | None]:
    """The row ids that *reference* may stand for, by the name that the store gives them."""
    return {"webhook_id": _decoded("evt", reference), "payment_id": _decoded("pay", reference)}


def _decoded(prefix: str, text: str) -> UUID | None:
    try:
        return ids.decode(prefix, text)
    except ids.InvalidId:
        return None


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _figure(gateway: str, reason: str, at: datetime) -> pb.AnalyticsWebhookFailed:
    return pb.AnalyticsWebhookFailed(
        event_id=ids.encode("evt", ids.new()), time_unix_micros=micros(at), gateway=gateway, reason=reason
    )


def _ids(webhook_ids: Sequence[UUID], ids_max: int) -> str:
    return ", ".join(ids.encode("evt", webhook_id) for webhook_id in webhook_ids[:ids_max])


def _alert(cause: str, summary: str, at: datetime, fields: Mapping[str, str]) -> AdminAlertRaised:
    return AdminAlertRaised(
        event_id=ids.encode("evt", ids.new()),
        time_unix_micros=micros(at),
        cause=cause,
        service=SERVICE,
        summary=summary,
        fields=dict(fields),
    )
