"""Consumers of the queue notifications.billing: what is to be mailed."""

from collections.abc import Sequence
from functools import partial

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.identity.v1.events_pb2 import AccountMailRequested
from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import EmailPaymentRefunded
from common.database import Tx
from common.seals import Sealer
from common.subscriptions import Subscription
from notifier import wire
from notifier.domain.account_mails import AccountMailRequest
from notifier.domain.alert_digests import Alert
from notifier.domain.mails import FailedPayment, RefundedPayment, SucceededPayment
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue

QUEUE = "notifications.billing"


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


def subscriptions(queue: MailQueue, digests: AlertDigests, sealer: Sealer) -> list[Subscription]:
    succeeded = partial(on_payments_succeeded, queue=queue)
    failed = partial(on_payments_failed, queue=queue)
    refunded = partial(on_payments_refunded, queue=queue)
    parse_refunded = partial(wire.payment_refunded, sealer)
    requested = partial(on_account_mails_requested, queue=queue)
    parse_requested = partial(wire.account_mail_requested, sealer)
    raised = partial(on_alerts_raised, digests=digests)
    parse_succeeded = partial(wire.payment_succeeded, sealer)
    parse_failed = partial(wire.payment_failed, sealer)
    return [
        Subscription(QUEUE, EmailPaymentSucceeded, parse_succeeded, succeeded, low_priority=True),
        Subscription(QUEUE, EmailPaymentFailed, parse_failed, failed, low_priority=True),
        Subscription(QUEUE, EmailPaymentRefunded, parse_refunded, refunded, low_priority=True),
        Subscription(QUEUE, AccountMailRequested, parse_requested, requested, low_priority=True),
        Subscription(QUEUE, AdminAlertRaised, wire.alert_raised, raised, low_priority=True),
    ]
