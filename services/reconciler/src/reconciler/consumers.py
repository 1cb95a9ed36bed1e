"""Consumer of the queue analytics.billing."""

from collections.abc import Sequence

from commdesk.payment.v1.events_pb2 import AnalyticsPaymentCreated, AnalyticsPaymentFailed, AnalyticsPaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import AnalyticsRefundCreated
from commdesk.webhook_ingest.v1.events_pb2 import AnalyticsWebhookFailed
from common.database import Tx
from common.subscriptions import Subscription
from reconciler.domain.billing import BillingEvent
from reconciler.use_cases import billing
from reconciler.wire import events

QUEUE = "analytics.billing"


async def on_billing_events(tx: Tx, batch: Sequence[BillingEvent]) -> None:
    """Count each event."""
    await billing.record_billing_events(tx, batch)


def subscriptions() -> list[Subscription]:
    return [
        Subscription(QUEUE, AnalyticsPaymentCreated, events.payment_created, on_billing_events, low_priority=True),
        Subscription(QUEUE, AnalyticsPaymentSucceeded, events.payment_succeeded, on_billing_events, low_priority=True),
        Subscription(QUEUE, AnalyticsPaymentFailed, events.payment_failed, on_billing_events, low_priority=True),
        Subscription(QUEUE, AnalyticsRefundCreated, events.refund_created, on_billing_events, low_priority=True),
        Subscription(QUEUE, AnalyticsWebhookFailed, events.webhook_failed, on_billing_events, low_priority=True),
    ]
