"""The queue consumers: what becomes of payments feeds the counters; what people decide about them closes reviews."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message

from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1 import events_pb2 as pb
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.seals import Sealer
from common.subscriptions import Subscription
from fraud.domain.history import PaymentOutcome
from fraud.domain.reviews import QueueDecision
from fraud.domain.velocity import PaymentActivity
from fraud.in_flight import InFlightRequests
from fraud.use_cases import history, payment_activity, reviews
from fraud.use_cases.rules import RuleCache
from fraud.wire import requests

QUEUE = "fraud.detection"
# A caller of Score has 50 ms, on the same event loop.
EVENTS_MAX = 128

_OUTCOMES: dict[type[Message], Callable[[Any], PaymentOutcome]] = {
    refunds_pb2.PaymentRefunded: requests.payment_refunded,
    disputes_pb2.PaymentDisputed: requests.payment_disputed,
    disputes_pb2.PaymentDisputeWon: requests.dispute_won,
    disputes_pb2.PaymentDisputeLost: requests.dispute_lost,
}

_DECODERS: dict[type[Message], Callable[[Sealer, Any], PaymentActivity]] = {
    pb.PaymentCreated: requests.payment_created,
    pb.PaymentSucceeded: requests.payment_succeeded,
    pb.PaymentFailed: requests.payment_failed,
    pb.PaymentAttemptFailed: requests.attempt_failed,
    pb.PaymentCancelled: requests.payment_cancelled,
    pb.PaymentExpired: requests.payment_expired,
}


async def on_payment_activities(
    tx: Tx, activities: Sequence[PaymentActivity], *, rule_cache: RuleCache, in_flight: InFlightRequests, clock: Clock
) -> None:
    """Feed the counters with what payment announced; nothing is ever refused."""
    await payment_activity.count_activities(tx, activities, rule_cache.rules, in_flight, clock)


async def on_payment_outcomes(tx: Tx, outcomes: Sequence[PaymentOutcome], *, clock: Clock) -> None:
    """Count refunds and disputes in the history of their users; nothing is ever refused."""
    await history.count_outcomes(tx, outcomes, clock)


async def on_reviews_decided(tx: Tx, decisions: Sequence[QueueDecision], *, clock: Clock) -> list[DomainError | None]:
    """Close the reviews of payments that people decided about in payment's review queue."""
    return await reviews.follow_queue_decisions(tx, decisions, clock)


def subscriptions(
    rule_cache: RuleCache, in_flight: InFlightRequests, clock: Clock, sealer: Sealer
) -> list[Subscription]:
    handle = partial(on_payment_activities, rule_cache=rule_cache, in_flight=in_flight, clock=clock)
    decided = Subscription(
        QUEUE,
        pb.PaymentReviewDecided,
        decode=requests.queue_decision,
        handle=partial(on_reviews_decided, clock=clock),
        low_priority=True,
        events_max=EVENTS_MAX,
    )
    return [
        decided,
        *(
            Subscription(
                QUEUE, message, decode=partial(decode, sealer), handle=handle, low_priority=True, events_max=EVENTS_MAX
            )
            for message, decode in _DECODERS.items()
        ),
        *(
            Subscription(
                QUEUE,
                message,
                decode=decode,
                handle=partial(on_payment_outcomes, clock=clock),
                low_priority=True,
                events_max=EVENTS_MAX,
            )
            for message, decode in _OUTCOMES.items()
        ),
    ]
