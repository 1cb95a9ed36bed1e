"""What comes in: calls, and payment's events."""

from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta

from commdesk.fraud.v1 import fraud_pb2
from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.events import from_micros
from common.http_server import Body
from common.money import Money
from common.pages import PageQuery, decode_cursor
from common.seals import DEVICE, IP, Sealer
from common.texts import Reason
from fraud.domain.fraud_events import FRAUD_EVENTS_MAX, FraudEventsFilter
from fraud.domain.history import Outcome, PaymentOutcome
from fraud.domain.reviews import QueueDecision, QueueDecisionUnknown, ReviewsFilter, Verdict
from fraud.domain.subjects import Subject
from fraud.domain.velocity import Metric, PaymentActivity

_VALUE_CHARACTERS_MAX = 256
_REQUEST_KEY_CHARACTERS_MAX = 255


def subjects(request: fraud_pb2.ScoreRequest) -> list[Subject]:
    """Raises IdInvalid for a payment id that is none."""
    return [
        Subject(
            payment_id=ids.decode("pay", subject.payment_id),
            merchant_id=subject.merchant_id,
            user_id=_bounded(subject.user_id),
            ip=_bounded(subject.ip),
            device_id=_bounded(subject.device_id),
            amount=Money(subject.amount.minor, subject.amount.currency or "INR"),
            request_key=subject.request_key[:_REQUEST_KEY_CHARACTERS_MAX],
        )
        for subject in request.subjects
    ]


def fraud_events_filter(request: fraud_pb2.ListFraudEventsRequest) -> FraudEventsFilter:
    """A limit of 0 is protobuf's "not given"."""
    return FraudEventsFilter(
        reference=_bounded(request.reference),
        payment_id=payment_id(request.reference),
        limit=request.limit or FRAUD_EVENTS_MAX,
    )


class ReviewsQuery(PageQuery, frozen=True):
    """Reviews of flagged payments, newest payment first."""

    status: Annotated[
        Literal["OPEN", "DECIDED", "ANY"], Meta(description="OPEN, DECIDED or ANY.", examples=["OPEN"])
    ] = "OPEN"


class DecisionBody(Body, frozen=True):
    """What a person decides about a flagged payment."""

    verdict: Annotated[Verdict, Meta(description="ALLOW: the payment is fine. BLOCK: it is not.", examples=["ALLOW"])]
    reason: Reason


def reviews_filter(query: ReviewsQuery, merchant_id: str) -> ReviewsFilter:
    """One more than the page, so that it shows whether there is a next one. Raises CursorInvalid."""
    before = decode_cursor(query.cursor, UUID)[0] if query.cursor is not None else None
    is_open = {"OPEN": True, "DECIDED": False, "ANY": None}[query.status]
    return ReviewsFilter(merchant_id, is_open, before, query.limit + 1)


def payment_id(text: str) -> UUID | None:
    """The payment id that *text* is, if it is one."""
    try:
        return ids.decode("pay", text)
    except ids.IdInvalid:
        return None


def payment_created(sealer: Sealer, message: payment_events.PaymentCreated) -> PaymentActivity:
    return _activity(Metric.CREATED, message.payment, message.time_unix_micros, *_source(sealer, message))


def payment_succeeded(sealer: Sealer, message: payment_events.PaymentSucceeded) -> PaymentActivity:
    return _activity(Metric.SUCCEEDED, message.payment, message.time_unix_micros, *_source(sealer, message))


def payment_failed(sealer: Sealer, message: payment_events.PaymentFailed) -> PaymentActivity:
    return _activity(Metric.FAILED, message.payment, message.time_unix_micros, *_source(sealer, message))


def attempt_failed(sealer: Sealer, message: payment_events.PaymentAttemptFailed) -> PaymentActivity:
    return _activity(Metric.ATTEMPT_FAILED, message.payment, message.time_unix_micros, *_source(sealer, message))


def payment_cancelled(sealer: Sealer, message: payment_events.PaymentCancelled) -> PaymentActivity:
    return _activity(Metric.ABANDONED, message.payment, message.time_unix_micros)


def payment_expired(sealer: Sealer, message: payment_events.PaymentExpired) -> PaymentActivity:
    return _activity(Metric.ABANDONED, message.payment, message.time_unix_micros)


# What a person decided about a flagged payment's money, as a verdict.
_QUEUE_VERDICTS: Final = {"FULFIL": Verdict.ALLOW, "REFUNDED": Verdict.BLOCK}


def queue_decision(message: payment_events.PaymentReviewDecided) -> QueueDecision:
    """Raises QueueDecisionUnknown, and IdInvalid for a payment id that is none."""
    verdict = _QUEUE_VERDICTS.get(message.action)
    if verdict is None or not message.actor_id:
        raise QueueDecisionUnknown("an action that is not known, or nobody's")
    return QueueDecision(
        payment_id=ids.decode("pay", message.payment.payment_id),
        verdict=verdict,
        actor_id=message.actor_id,
        reason=f"{message.action} in payment's review queue",
        at=from_micros(message.time_unix_micros),
    )


def payment_refunded(message: refunds_pb2.PaymentRefunded) -> PaymentOutcome:
    return _outcome(Outcome.REFUNDED, message)


def payment_disputed(message: disputes_pb2.PaymentDisputed) -> PaymentOutcome:
    return _outcome(Outcome.DISPUTED, message)


def dispute_won(message: disputes_pb2.PaymentDisputeWon) -> PaymentOutcome:
    return _outcome(Outcome.DISPUTE_WON, message)


def dispute_lost(message: disputes_pb2.PaymentDisputeLost) -> PaymentOutcome:
    return _outcome(Outcome.DISPUTE_LOST, message)


def _outcome(
    outcome: Outcome,
    message: refunds_pb2.PaymentRefunded
    | disputes_pb2.PaymentDisputed
    | disputes_pb2.PaymentDisputeWon
    | disputes_pb2.PaymentDisputeLost,
) -> PaymentOutcome:
    payment = message.payment
    return PaymentOutcome(
        outcome, payment.merchant_id, _bounded(payment.user_id), from_micros(message.time_unix_micros)
    )


def _source(
    sealer: Sealer,
    message: payment_events.PaymentCreated
    | payment_events.PaymentSucceeded
    | payment_events.PaymentFailed
    | payment_events.PaymentAttemptFailed,
) -> tuple[str, str]:
    """Address and device, which travel sealed."""
    return sealer.open(IP, message.ip), sealer.open(DEVICE, message.device_id)


def _activity(
    metric: Metric, payment: Payment, time_unix_micros: int, ip: str = "", device_id: str = ""
) -> PaymentActivity:
    return PaymentActivity(
        metric=metric,
        payment_id=ids.decode("pay", payment.payment_id),
        merchant_id=payment.merchant_id,
        user_id=_bounded(payment.user_id),
        ip=_bounded(ip),
        device_id=_bounded(device_id),
        amount=Money(payment.amount.minor, payment.amount.currency or "INR"),
        at=from_micros(time_unix_micros),
    )


def _bounded(text: str) -> str:
    """A client can send what it likes as an address or a device; a column takes 256 characters and no NUL."""
    return text[:_VALUE_CHARACTERS_MAX].replace("\0", "")
