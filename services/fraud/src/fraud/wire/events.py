"""What fraud announces."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from common import ids
from common.events import alert, audit, head
from fraud.domain.fraud_events import FraudEvent
from fraud.domain.reviews import Review, Verdict
from fraud.domain.rules import Decision
from fraud.domain.scores import Score

SERVICE = "fraud"
_ALERT_IDS_MAX = 5


def fraud_flagged(reviews: Iterable[FraudEvent], now: datetime) -> list[FraudFlagged]:
    """One for each payment to be held."""
    return [
        FraudFlagged(
            **head(now),
            merchant_id=review.merchant_id,
            payment_id=ids.encode("pay", review.payment_id),
            score=review.score,
            reasons=review.reasons,
        )
        for review in reviews
    ]


def decided(review: Review, now: datetime) -> list[Message]:
    """The verdict, and its line in the audit log."""
    payment_id = ids.encode("pay", review.payment_id)
    return [
        FraudDecided(
            **head(now),
            merchant_id=review.merchant_id,
            payment_id=payment_id,
            decision=review.verdict or "",
            actor_id=review.actor_id,
        ),
        _audit("fraud.review.decide", None, review, now),
    ]


def followed(before: Review, review: Review, now: datetime) -> Message:
    """The line in the audit log of a verdict that payment's review queue brought; payment has carried it out."""
    return _audit("fraud.review.follow", before.verdict, review, now)


def _audit(action: str, before: Verdict | None, review: Review, now: datetime) -> Message:
    return audit(
        action,
        ("payment", ids.encode("pay", review.payment_id)),
        service=SERVICE,
        at=now,
        merchant_id=review.merchant_id,
        actor_id=review.actor_id,
        before={"verdict": before, "score": review.score, "reasons": review.reasons},
        after={"verdict": review.verdict, "reason": review.reason},
    )


def fraud_anomalies(scores: Sequence[Score], now: datetime) -> list[AdminAlertRaised]:
    """One alert for all decisions of a batch; none when there are none."""
    if not scores:
        return []
    blocks = sum(score.decision is Decision.BLOCK for score in scores)
    payment_ids = [ids.encode("pay", score.subject.payment_id) for score in scores[:_ALERT_IDS_MAX]]
    return [
        alert(
            "fraud_anomaly",
            f"{len(scores) - blocks} payment(s) to review, {blocks} blocked",
            service=SERVICE,
            at=now,
            fields={
                "paymentIds": ", ".join(payment_ids),
                "reasons": ", ".join(sorted({reason for score in scores for reason in score.reasons})),
            },
        )
    ]
