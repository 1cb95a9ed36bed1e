"""People review flagged payments: list them, decide about each once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from common import outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.tokens import Caller
from fraud.domain.reviews import QueueDecision, Review, ReviewNotFound, ReviewsFilter, Verdict, decided, followed
from fraud.store import commands, queries
from fraud.wire import events

# Who may decide: by the token, and confirmed by identity (Authorize), because an ALLOW may grant credits.
DECIDE: Final = "fraud_reviews.decide"


async def list_reviews(db: Database, filter: ReviewsFilter) -> list[Review]:
    """A page of a merchant's reviews, newest payment first."""
    async with db.begin() as tx:
        return await queries.page_of_reviews(tx, filter)


class Reviews:
    """Decide about flagged payments."""

    def __init__(self, db: Database, clock: Clock, authorizer: Authorizer) -> None:
        self._db = db
        self._clock = clock
        self._authorizer = authorizer

    async def decide(self, caller: Caller, payment_id: UUID, verdict: Verdict, reason: str) -> Review:
        """The review as it is decided now; the same verdict again is no error, and changes nothing.

        Raises ReviewNotFound, ReviewDecided when it was decided otherwise, RightsOutdated, and CalleeUnavailable when
        identity does not answer.
        """
        await self._authorizer.require(caller, DECIDE)
        return await _decide_review(self._db, self._clock, caller, payment_id, verdict, reason)


@retried
async def _decide_review(
    db: Database, clock: Clock, caller: Caller, payment_id: UUID, verdict: Verdict, reason: str
) -> Review:
    now = clock.now()
    async with db.begin() as tx:
        review = (await commands.lock_reviews(tx, [payment_id])).get(payment_id)
        if review is None or review.merchant_id != caller.merchant_id:
            raise ReviewNotFound("there is no such review")
        after = decided(review, verdict, caller.user_id, reason, now)
        if after is not review:
            await commands.save_review(tx, after)
            await outbox.append(tx, events.decided(after, now))
    return after


async def follow_queue_decisions(tx: Tx, decisions: Sequence[QueueDecision], clock: Clock) -> list[DomainError | None]:
    """Close the reviews of payments that payment's review queue decided about; what is about none is refused."""
    before = await commands.lock_reviews(tx, {decision.payment_id for decision in decisions})
    reviews = dict(before)
    for decision in sorted(decisions, key=lambda each: each.at):
        if decision.payment_id in reviews:
            reviews[decision.payment_id] = followed(reviews[decision.payment_id], decision)
    changed = [review for payment_id, review in reviews.items() if review is not before[payment_id]]
    for review in changed:
        await commands.save_review(tx, review)
    await outbox.append(tx, [events.followed(before[review.payment_id], review, clock.now()) for review in changed])
    missing = ReviewNotFound("there is no such review")
    return [None if decision.payment_id in reviews else missing for decision in decisions]
