"""What fraud rules or a person say about a payment."""

from datetime import datetime

import msgspec

from payment.domain.payments import Payment
from payment.domain.states import Review


def reviewed(payment: Payment, review: Review, reason: str, score: int | None, now: datetime) -> Payment:
    """The payment with its review; a person's decision stands against later flags. Grants are not held yet."""
    if review is Review.FLAGGED and payment.review is not Review.NONE:
        return payment
    return msgspec.structs.replace(
        payment,
        review=review,
        review_reason=reason[:200],
        fraud_score=payment.fraud_score if score is None else score,
        updated_at=now,
    )
