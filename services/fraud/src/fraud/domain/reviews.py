"""A person decides about a flagged payment: once, with a reason."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.errors import Conflict, InvalidArgument, NotFound


class Verdict(StrEnum):
    """What a person says: the payment is fine, or it is not."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"


class QueueDecision(Struct, frozen=True):
    """What a person decided about a flagged payment in payment's review queue; *reason* names the decision."""

    payment_id: UUID
    verdict: Verdict
    actor_id: str
    reason: str
    at: datetime


class ReviewNotFound(NotFound):
    """No payment of this merchant with this id is or was to be reviewed."""

    fix = "Check the payment id; the list of reviews shows what is open. A flag comes a moment after its payment."


class QueueDecisionUnknown(InvalidArgument):
    """Payment announced a decision of its review queue that is none."""

    fix = "Correct the announcing service; then discard the dead letter and decide at fraud's reviews."


class ReviewDecided(Conflict):
    """Somebody has decided otherwise before."""

    fix = "Read the review. A held payment can still be fulfilled or refunded in payment's review queue."


class Review(Struct, frozen=True):
    """A flagged payment. *decided_at*, *actor_id* and *reason* belong to the verdict."""

    payment_id: UUID
    merchant_id: str
    user_id: str
    score: int
    reasons: tuple[str, ...]
    opened_at: datetime
    verdict: Verdict | None = None
    decided_at: datetime | None = None
    actor_id: str = ""
    reason: str = ""


class ReviewsFilter(Struct, frozen=True):
    """A page of a merchant's reviews, newest payment first; *before* is the last payment of the page before."""

    merchant_id: str
    is_open: bool | None
    before: UUID | None
    limit: int


def decided(review: Review, verdict: Verdict, actor_id: str, reason: str, now: datetime) -> Review:
    """The review with its verdict, or as it is when that was said before. Raises ReviewDecided."""
    if review.verdict is verdict:
        return review
    if review.verdict is not None:
        raise ReviewDecided(f"it was decided before: {review.verdict}")
    return replace(review, verdict=verdict, decided_at=now, actor_id=actor_id, reason=reason)


def followed(review: Review, decision: QueueDecision) -> Review:
    """The review with what payment's review queue decided, or as it is when it says so or was decided later.

    Its reviewers see the money and may overrule the verdict; the later decision stands.
    """
    if review.verdict is decision.verdict or (review.decided_at is not None and review.decided_at >= decision.at):
        return review
    return replace(
        review,
        verdict=decision.verdict,
        decided_at=decision.at,
        actor_id=decision.actor_id,
        reason=decision.reason,
    )
