"""The queue door: what is to be mailed."""

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1 import events_pb2 as pb
from common.consuming import Subscription
from notifier import wire
from notifier.use_cases import Desk

QUEUE = "notifications.billing"


def subscriptions(desk: Desk) -> tuple[Subscription, ...]:
    return (
        Subscription(QUEUE, pb.EmailPaymentSucceeded, wire.payment_succeeded, desk.queue, unhurried=True),
        Subscription(QUEUE, pb.EmailPaymentFailed, wire.payment_failed, desk.queue, unhurried=True),
        Subscription(QUEUE, AdminAlertRaised, wire.alert, desk.take_alerts, unhurried=True),
    )
