"""What comes in: calls, and payment's events."""

from uuid import UUID

from commdesk.fraud.v1 import fraud_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.events import from_micros
from common.money import Money
from fraud.domain.fraud_events import FRAUD_EVENTS_MAX, FraudEventsFilter
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


def payment_id(text: str) -> UUID | None:
    """The payment id that *text* is, if it is one."""
    try:
        return ids.decode("pay", text)
    except ids.IdInvalid:
        return None


def payment_created(message: payment_events.PaymentCreated) -> PaymentActivity:
    return _activity(Metric.CREATED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def payment_succeeded(message: payment_events.PaymentSucceeded) -> PaymentActivity:
    return _activity(Metric.SUCCEEDED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def payment_failed(message: payment_events.PaymentFailed) -> PaymentActivity:
    return _activity(Metric.FAILED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def payment_cancelled(message: payment_events.PaymentCancelled) -> PaymentActivity:
    return _activity(Metric.ABANDONED, message.payment, message.time_unix_micros)


def payment_expired(message: payment_events.PaymentExpired) -> PaymentActivity:
    return _activity(Metric.ABANDONED, message.payment, message.time_unix_micros)


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
