"""Door from the queue analytics.billing."""

from __future__ import annotations

from collections.abc import Sequence

from commdesk.payment.v1.events_pb2 import AnalyticsPaymentCreated, AnalyticsPaymentFailed, AnalyticsPaymentSucceeded
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common.consuming import Subscription
from common.database import Tx
from reconciler import use_cases, wire
from reconciler.domain import BillingEvent

QUEUE = "analytics.billing"


async def on_billing_events(tx: Tx, events: Sequence[BillingEvent]) -> None:
    await use_cases.keep_billing(tx, events)


def subscriptions() -> tuple[Subscription, ...]:
    return (
        Subscription(QUEUE, AnalyticsPaymentCreated, wire.payment_created, on_billing_events, unhurried=True),
        Subscription(QUEUE, AnalyticsPaymentSucceeded, wire.payment_succeeded, on_billing_events, unhurried=True),
        Subscription(QUEUE, AnalyticsPaymentFailed, wire.payment_failed, on_billing_events, unhurried=True),
        Subscription(QUEUE, AnalyticsWebhookFailed, wire.webhook_failed, on_billing_events, unhurried=True),
    )
