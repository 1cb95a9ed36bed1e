"""Queue consumers: what payment reports about webhooks."""

from collections.abc import Sequence

from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common.consuming import Refused, Subscription
from common.database import Tx
from webhook_ingest import use_cases
from webhook_ingest.domain import Report
from webhook_ingest.wire import events

QUEUE = "webhook.status"


def subscriptions() -> list[Subscription]:
    return [
        Subscription(QUEUE, pb.WebhookProcessing, events.processing, on_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookProcessed, events.processed, on_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookRetried, events.retried, on_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookFailed, events.failed, on_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookDeadLettered, events.dead_lettered, on_reports, unhurried=True),
    ]


async def on_reports(tx: Tx, reports: Sequence[Report]) -> list[Refused]:
    errors = await use_cases.follow_reports(tx, reports)
    return [Refused(report, error) for report, error in zip(reports, errors, strict=True) if error is not None]
