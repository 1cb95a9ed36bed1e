"""The queue door: what payment reports about webhooks."""

from commdesk.webhook_ingest.v1 import events_pb2 as pb
from common.consuming import Subscription
from webhook_ingest import use_cases, wire

QUEUE = "webhook.status"


def subscriptions() -> tuple[Subscription, ...]:
    return (
        Subscription(QUEUE, pb.WebhookProcessing, wire.processing, use_cases.follow_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookProcessed, wire.processed, use_cases.follow_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookRetried, wire.retried, use_cases.follow_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookFailed, wire.failed, use_cases.follow_reports, unhurried=True),
        Subscription(QUEUE, pb.WebhookDeadLettered, wire.dead_lettered, use_cases.follow_reports, unhurried=True),
    )
