"""Queue consumers: what payment reports about webhooks."""

from collections.abc import Sequence

from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common.database import Tx
from common.errors import DomainError
from common.subscriptions import Subscription
from webhook_ingest import use_cases
from webhook_ingest.domain import Report
from webhook_ingest.wire import events

QUEUE = "webhook.status"


def subscriptions() -> list[Subscription]:
    return [
        Subscription(QUEUE, pb.WebhookProcessing, decode=events.processing, handle=on_reports, low_priority=True),
        Subscription(QUEUE, pb.WebhookProcessed, decode=events.processed, handle=on_reports, low_priority=True),
        Subscription(QUEUE, pb.WebhookRetried, decode=events.retried, handle=on_reports, low_priority=True),
        Subscription(QUEUE, pb.WebhookFailed, decode=events.failed, handle=on_reports, low_priority=True),
        Subscription(QUEUE, pb.WebhookDeadLettered, decode=events.dead_lettered, handle=on_reports, low_priority=True),
    ]


async def on_reports(tx: Tx, reports: Sequence[Report]) -> list[DomainError | None]:
    return await use_cases.follow_reports(tx, reports)
