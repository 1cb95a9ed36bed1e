"""People review flagged payments: list them, decide about each once."""

from uuid import UUID

from common import outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, retried
from common.tokens import Caller
from fraud.domain.reviews import Review, ReviewNotFound, ReviewsFilter, Verdict, decided
from fraud.store import commands, queries
from fraud.wire import events

# Who may decide: by the token, and confirmed by identity (Authorize), because an ALLOW may grant credits.
DECIDERS = frozenset({"SUPPORT", "FINANCE", "ADMIN"})


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
        await self._authorizer.require(caller, DECIDERS)
        return await _decide_review(self._db, self._clock, caller, payment_id, verdict, reason)


@retried
async def _decide_review(
    db: Database, clock: Clock, caller: Caller, payment_id: UUID, verdict: Verdict, reason: str
) -> Review:
    now = clock.now()
    async with db.begin() as tx:
        review = await commands.lock_review(tx, caller.merchant_id, payment_id)
        if review is None:
            raise ReviewNotFound("there is no such review")
        after = decided(review, verdict, caller.user_id, reason, now)
        if after is not review:
            await commands.save_review(tx, after)
            await outbox.append(tx, events.decided(after, now))
    return after
