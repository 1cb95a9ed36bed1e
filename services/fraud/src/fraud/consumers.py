"""The queue door: what becomes of payments feeds the counters."""

from functools import partial

from commdesk.payment.v1 import events_pb2 as pb
from common.clock import Clock
from common.consuming import Subscription
from fraud import use_cases, wire
from fraud.in_flight import InFlight

QUEUE = "fraud.detection"


def subscriptions(in_flight: InFlight, clock: Clock) -> tuple[Subscription, ...]:
    count = partial(use_cases.count_payments, in_flight, clock)
    return (
        Subscription(QUEUE, pb.PaymentCreated, wire.created, count, unhurried=True),
        Subscription(QUEUE, pb.PaymentSucceeded, wire.succeeded, count, unhurried=True),
        Subscription(QUEUE, pb.PaymentFailed, wire.failed, count, unhurried=True),
        Subscription(QUEUE, pb.PaymentCancelled, wire.cancelled, count, unhurried=True),
        Subscription(QUEUE, pb.PaymentExpired, wire.expired, count, unhurried=True),
    )
