"""The queue door: what becomes of payments feeds the counters."""

from functools import partial

from commdesk.payment.v1 import events_pb2 as pb
from common.clock import Clock
from common.consuming import Subscription
from fraud import use_cases, wire
from fraud.in_flight import InFlight

QUEUE = "fraud.detection"
# Whoever asks for a score has 50 ms, on the same loop.
EVENTS_MAX = 128


def subscriptions(in_flight: InFlight, clock: Clock) -> tuple[Subscription, ...]:
    count = partial(use_cases.count_payments, in_flight, clock)
    fed = partial(Subscription, QUEUE, handle=count, unhurried=True, events_max=EVENTS_MAX)
    return (
        fed(message=pb.PaymentCreated, decode=wire.created),
        fed(message=pb.PaymentSucceeded, decode=wire.succeeded),
        fed(message=pb.PaymentFailed, decode=wire.failed),
        fed(message=pb.PaymentCancelled, decode=wire.cancelled),
        fed(message=pb.PaymentExpired, decode=wire.expired),
    )
