"""Consumers: what is to be mailed (notifications.billing), and what merchants are told (webhooks.outbound)."""

from collections.abc import Sequence
from functools import partial

from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.identity.v1.events_pb2 import AccountMailRequested
from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import EmailPaymentRefunded
from common.clock import Clock
from common.database import Tx
from common.seals import Sealer
from common.subscriptions import Subscription
from notifier.domain.account_mails import AccountMailRequest
from notifier.domain.alert_digests import Alert
from notifier.domain.mails import FailedPayment, RefundedPayment, SucceededPayment
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue
from notifier.use_cases.webhook_events import Announced, queue_webhooks
from notifier.wire import mails as wire
from notifier.wire import webhook_events

QUEUE = "notifications.billing"
WEBHOOKS = "webhooks.outbound"

# By the type of our event: the merchants' name for it, and what it says.
_TOLD: dict[type[Message], tuple[str, webhook_events.Data]] = {
    pb.PaymentCreated: ("payment.created", webhook_events.payment_data),
    pb.PaymentProcessing: ("payment.pending", webhook_events.payment_data),
    pb.PaymentSucceeded: ("payment.success", webhook_events.payment_data),
    pb.PaymentFailed: ("payment.failed", webhook_events.payment_data),
    pb.PaymentCancelled: ("payment.cancelled", webhook_events.payment_data),
    pb.PaymentExpired: ("payment.expired", webhook_events.payment_data),
    refunds_pb2.RefundCreated: ("refund.created", webhook_events.refund_data),
    refunds_pb2.PaymentRefunded: ("refund.processed", webhook_events.refund_data),
    refunds_pb2.RefundFailed: ("refund.failed", webhook_events.refund_data),
    refunds_pb2.RefundReversed: ("refund.reversed", webhook_events.refund_data),
    disputes_pb2.PaymentDisputed: ("dispute.created", webhook_events.dispute_data),
    disputes_pb2.PaymentDisputeWon: ("dispute.won", webhook_events.dispute_data),
    disputes_pb2.PaymentDisputeLost: ("dispute.lost", webhook_events.dispute_data),
}


async def on_payments_succeeded(tx: Tx, events: Sequence[SucceededPayment], queue: MailQueue) -> None:
    """Queue the mail about each payment that succeeded."""
    await queue.queue_successes(tx, events)


async def on_payments_failed(tx: Tx, events: Sequence[FailedPayment], queue: MailQueue) -> None:
    """Queue the mail about each payment that failed."""
    await queue.queue_failures(tx, events)


async def on_payments_refunded(tx: Tx, events: Sequence[RefundedPayment], queue: MailQueue) -> None:
    """Queue the mail about each refund."""
    await queue.queue_refunds(tx, events)


async def on_account_mails_requested(tx: Tx, events: Sequence[AccountMailRequest], queue: MailQueue) -> None:
    """Queue each mail about an account."""
    await queue.queue_account_mails(tx, events)


async def on_alerts_raised(tx: Tx, events: Sequence[Alert], digests: AlertDigests) -> None:
    """Mail or count each alert."""
    await digests.absorb_alerts(tx, events)


async def on_events_announced(tx: Tx, events: Sequence[Announced], clock: Clock) -> None:
    """Queue the webhooks about each event, for the endpoints of its merchant."""
    await queue_webhooks(tx, events, clock)


def subscriptions(queue: MailQueue, digests: AlertDigests, clock: Clock, sealer: Sealer) -> list[Subscription]:
    succeeded = partial(on_payments_succeeded, queue=queue)
    failed = partial(on_payments_failed, queue=queue)
    refunded = partial(on_payments_refunded, queue=queue)
    parse_refunded = partial(wire.payment_refunded, sealer)
    requested = partial(on_account_mails_requested, queue=queue)
    parse_requested = partial(wire.account_mail_requested, sealer)
    raised = partial(on_alerts_raised, digests=digests)
    parse_succeeded = partial(wire.payment_succeeded, sealer)
    parse_failed = partial(wire.payment_failed, sealer)
    announced = partial(on_events_announced, clock=clock)
    return [
        Subscription(QUEUE, EmailPaymentSucceeded, parse_succeeded, succeeded, low_priority=True),
        Subscription(QUEUE, EmailPaymentFailed, parse_failed, failed, low_priority=True),
        Subscription(QUEUE, EmailPaymentRefunded, parse_refunded, refunded, low_priority=True),
        Subscription(QUEUE, AccountMailRequested, parse_requested, requested, low_priority=True),
        Subscription(QUEUE, AdminAlertRaised, wire.alert_raised, raised, low_priority=True),
        *(
            Subscription(WEBHOOKS, message, partial(webhook_events.announced, *told), announced, low_priority=True)
            for message, told in _TOLD.items()
        ),
    ]
