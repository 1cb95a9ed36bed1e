"""Count what becomes of payments, and flag those that have to be looked at."""

from collections.abc import Sequence
from datetime import datetime

from common import outbox
from common.clock import Clock
from common.database import Database, Tx
from fraud.domain import velocity
from fraud.domain.fraud_events import FraudEvent
from fraud.domain.rules import Decision, Rule
from fraud.domain.velocity import Metric, PaymentActivity, subject_of
from fraud.in_flight import InFlightRequests
from fraud.store import commands, queries
from fraud.use_cases.scores import score_attempts
from fraud.wire import events


async def count_activities(
    tx: Tx, activities: Sequence[PaymentActivity], rules: Sequence[Rule], in_flight: InFlightRequests, clock: Clock
) -> None:
    """Feed the counters and the history, and flag the payments that exist now and were to be reviewed.

    Each event counts, and flags, once because its envelope is claimed once.
    """
    now = clock.now()
    created = [activity for activity in activities if activity.metric is Metric.CREATED]
    to_review = await queries.reviews(tx, {activity.payment_id for activity in created})
    await commands.add_counts(tx, velocity.tally(activities, now))
    await commands.record_sources(tx, created)
    to_review += await _tried_often(tx, activities, rules, now)
    opened = await commands.open_reviews(tx, to_review, now)
    await outbox.append(tx, events.fraud_flagged(opened, now))
    in_flight.remove_counted(activity.payment_id for activity in created)


async def _tried_often(
    tx: Tx, activities: Sequence[PaymentActivity], rules: Sequence[Rule], now: datetime
) -> list[FraudEvent]:
    """The payments whose failed attempts make them suspicious now; each is stored and alerted once."""
    tried = {each.payment_id: each for each in activities if each.metric is Metric.ATTEMPT_FAILED}
    if not tried:
        return []
    results = await score_attempts(tx, rules, [subject_of(each) for each in tried.values()], now)
    suspicious = [score for score in results if score.decision is Decision.REVIEW]
    if not suspicious:
        return []
    inserted = await commands.insert_decisions(tx, suspicious, now)
    await outbox.append(tx, events.fraud_anomalies(inserted, now))
    return await queries.reviews(tx, {score.subject.payment_id for score in inserted})


async def keep_partitions(db: Database) -> None:
    """Make the counters' partitions of the days to come, drop those that no window reaches."""
    async with db.begin() as tx:
        await commands.keep_partitions(tx)
