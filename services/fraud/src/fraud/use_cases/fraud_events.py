"""Show what was decided: lists, timelines, totals; clear where it came from when that is old."""

from collections.abc import Mapping
from datetime import timedelta

from common.database import Database, Tx
from common.delivery import Timeline
from common.errors import require_at_most
from fraud.domain.fraud_events import FRAUD_EVENTS_MAX, FraudEvent, FraudEventsFilter
from fraud.domain.rules import Decision
from fraud.store import commands, queries
from fraud.wire import requests, views

TIMELINE_EVENTS_MAX = 100
BATCH_ROWS = 500


async def list_fraud_events(db: Database, filter: FraudEventsFilter) -> list[FraudEvent]:
    """The newest decisions about a payment, user, address or device. Raises LimitExceeded."""
    require_at_most(FRAUD_EVENTS_MAX, limit=filter.limit)
    async with db.begin() as tx:
        return await queries.fraud_events(tx, filter)


async def timeline(tx: Tx, reference: str) -> Timeline:
    """What was decided about a payment, a user, an address or a device."""
    filter = FraudEventsFilter(reference, requests.payment_id(reference), TIMELINE_EVENTS_MAX)
    return views.timeline(await queries.fraud_events(tx, filter))


async def totals(tx: Tx) -> Mapping[str, int]:
    """How many payments were to be reviewed, how many of those wait for a person, and how many were refused."""
    counts = await queries.decision_counts(tx)
    return {
        "fraud.reviews": counts.get(Decision.REVIEW, 0),
        "fraud.reviews.open": await queries.open_review_count(tx),
        "fraud.blocks": counts.get(Decision.BLOCK, 0),
    }


async def clear_origins(db: Database, keep: timedelta) -> None:
    """Clear the blind indexes of address and device in decisions older than *keep*, in batches."""
    cleared = BATCH_ROWS
    while cleared == BATCH_ROWS:
        async with db.begin() as tx:
            cleared = await commands.clear_origins(tx, db.clock.now() - keep, BATCH_ROWS)
