"""Domain ⇄ protobuf. No decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.fraud.v1 import events_pb2, fraud_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.delivery import Story, StoryEntry
from common.money import Money
from fraud.domain import EVENTS_LISTED_MAX, SUBJECTS_MAX, Decision, Happened, Metric, Score, Subject, TooManySubjects
from fraud.store import FraudEvent

SERVICE = "fraud"
_VALUE_CHARACTERS_MAX = 256
_REQUEST_KEY_CHARACTERS_MAX = 255
_ALERT_IDS_MAX = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def subjects(request: fraud_pb2.ScoreRequest) -> list[Subject]:
    """Raises TooManySubjects, or InvalidId for a payment id that is none."""
    if len(request.subjects) > SUBJECTS_MAX:
        raise TooManySubjects(f"{len(request.subjects)} subjects in a call")
    return [
        Subject(
            ids.decode("pay", each.payment_id),
            each.merchant_id,
            _bounded(each.user_id),
            _bounded(each.ip),
            _bounded(each.device_id),
            Money(each.amount.minor, each.amount.currency or "INR"),
            each.request_key[:_REQUEST_KEY_CHARACTERS_MAX],
        )
        for each in request.subjects
    ]


def score_response(scores: Iterable[Score]) -> fraud_pb2.ScoreResponse:
    return fraud_pb2.ScoreResponse(
        scores=[
            fraud_pb2.Score(score=each.score, decision=int(each.decision), reasons=each.reasons)  # type: ignore[arg-type]
            for each in scores
        ]
    )


@dataclass(frozen=True, slots=True)
class EventsAsked:
    """Which stored decisions somebody wants to see."""

    reference: str
    payment_id: UUID | None
    limit: int


def events_asked(request: fraud_pb2.ListFraudEventsRequest) -> EventsAsked:
    limit = min(request.limit or EVENTS_LISTED_MAX, EVENTS_LISTED_MAX)
    return EventsAsked(_bounded(request.reference), payment_id(request.reference), max(limit, 1))


def events_response(events: Iterable[FraudEvent]) -> fraud_pb2.ListFraudEventsResponse:
    return fraud_pb2.ListFraudEventsResponse(
        events=[
            fraud_pb2.FraudEvent(
                fraud_event_id=ids.encode("evt", each.event_id),
                time_unix_micros=micros(each.at),
                payment_id=ids.encode("pay", each.payment_id),
                user_id=each.user_id,
                score=each.score,
                decision=int(each.decision),  # type: ignore[arg-type]
                reasons=each.reasons,
            )
            for each in events
        ]
    )


def payment_id(text: str) -> UUID | None:
    try:
        return ids.decode("pay", text)
    except ids.InvalidId:
        return None


def flagged(reviews: Iterable[FraudEvent], now: datetime) -> list[events_pb2.FraudFlagged]:
    """One for each payment to be held."""
    return [
        events_pb2.FraudFlagged(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=micros(now),
            merchant_id=each.merchant_id,
            payment_id=ids.encode("pay", each.payment_id),
            score=each.score,
            reasons=each.reasons,
        )
        for each in reviews
    ]


def alerts(scores: Sequence[Score], now: datetime) -> list[AdminAlertRaised]:
    """One for all that is remarkable in this batch; none when nothing is."""
    if not scores:
        return []
    blocks = sum(each.decision is Decision.BLOCK for each in scores)
    return [
        AdminAlertRaised(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=micros(now),
            cause="fraud_anomaly",
            service=SERVICE,
            summary=f"{len(scores) - blocks} payment(s) to review, {blocks} blocked",
            fields={
                "paymentIds": ", ".join(ids.encode("pay", each.subject.payment_id) for each in scores[:_ALERT_IDS_MAX]),
                "reasons": ", ".join(sorted({reason for each in scores for reason in each.reasons})),
            },
        )
    ]


def created(message: payment_events.PaymentCreated) -> Happened:
    return _happened(Metric.CREATED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def succeeded(message: payment_events.PaymentSucceeded) -> Happened:
    return _happened(Metric.SUCCEEDED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def failed(message: payment_events.PaymentFailed) -> Happened:
    return _happened(Metric.FAILED, message.payment, message.time_unix_micros, message.ip, message.device_id)


def cancelled(message: payment_events.PaymentCancelled) -> Happened:
    return _happened(Metric.ABANDONED, message.payment, message.time_unix_micros)


def expired(message: payment_events.PaymentExpired) -> Happened:
    return _happened(Metric.ABANDONED, message.payment, message.time_unix_micros)


def _happened(metric: Metric, payment: Payment, time_unix_micros: int, ip: str = "", device_id: str = "") -> Happened:
    return Happened(
        metric,
        ids.decode("pay", payment.payment_id),
        payment.merchant_id,
        _bounded(payment.user_id),
        _bounded(ip),
        _bounded(device_id),
        Money(payment.amount.minor, payment.amount.currency or "INR"),
        _EPOCH + timedelta(microseconds=time_unix_micros),
    )


def story(events: Sequence[FraudEvent]) -> Story:
    """Addresses and devices stay out: stories are pasted into tickets."""
    entries = [
        StoryEntry(
            each.at,
            "fraud",
            f"{each.decision.name.lower()} at score {each.score}",
            {"paymentId": ids.encode("pay", each.payment_id), "reasons": ", ".join(each.reasons)},
        )
        for each in reversed(events)
    ]
    return Story(entries, sorted({ids.encode("pay", each.payment_id) for each in events}))


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _bounded(text: str) -> str:
    """A client can send what it likes as an address or a device; a column takes 256 characters and no NUL."""
    return text[:_VALUE_CHARACTERS_MAX].replace("\0", "")
