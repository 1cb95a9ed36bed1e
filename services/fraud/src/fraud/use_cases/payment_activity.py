"""Count what becomes of payments."""

from collections.abc import Sequence

from common import outbox
from common.clock import Clock
from common.database import Database, Tx
from fraud.domain import velocity
from fraud.domain.velocity import Metric, PaymentActivity
from fraud.in_flight import InFlightRequests
from fraud.store import commands, queries
from fraud.wire import events


async def count_activities(
    tx: Tx, activities: Sequence[PaymentActivity], in_flight: InFlightRequests, clock: Clock
) -> None:
    """Feed the counters and the history, and flag the payments that exist now and were to be reviewed.

    Each event counts, and flags, once because its envelope is claimed once.
    """
    now = clock.now()
    created = [activity for activity in activities if activity.metric is Metric.CREATED]
    reviews = await queries.reviews(tx, {activity.payment_id for activity in created})
    await commands.add_counts(tx, velocity.tally(activities, now))
    await commands.record_sources(tx, created)
    await outbox.append(tx, events.fraud_flagged(reviews, now))
    in_flight.remove_counted(activity.payment_id for activity in created)


async def keep_partitions(db: Database) -> None:
    """Make the counters' partitions of the days to come, drop those that no window reaches."""
    async with db.begin() as tx:
        await commands.keep_partitions(tx)
