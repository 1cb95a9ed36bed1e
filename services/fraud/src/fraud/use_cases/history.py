"""Count what became of paid payments: refunds and disputes, by user and day."""

from collections.abc import Sequence

from common.clock import Clock
from common.database import Database, Tx
from fraud.domain import history
from fraud.domain.history import KEEP_DAYS, PaymentOutcome
from fraud.store import history as store


async def count_outcomes(tx: Tx, outcomes: Sequence[PaymentOutcome], clock: Clock) -> None:
    """Each event counts once, because its envelope is claimed once."""
    await store.add_history(tx, history.tally(outcomes, clock.now()))


async def forget_old_days(db: Database, clock: Clock) -> int:
    """Delete a batch of days that no rule looks at any more; how many counters that were."""
    async with db.begin() as tx:
        return await store.forget(tx, history.day_of(clock.now()) - KEEP_DAYS)
