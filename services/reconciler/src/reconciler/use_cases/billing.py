"""Store and count billing events; sum them up for one merchant."""

from collections.abc import Sequence
from datetime import date

from common.clock import Clock
from common.database import Database, Tx
from reconciler.domain import billing
from reconciler.domain.billing import BillingEvent, BillingSummary
from reconciler.store import commands, queries


async def record_billing_events(tx: Tx, events: Sequence[BillingEvent]) -> None:
    """Each event counts once, in the day it happened on, whatever order they come in."""
    await commands.add_billing_events(tx, events)


class BillingReports:
    """A merchant's days and their sums; the platform's also hold the webhooks that were refused."""

    def __init__(self, db: Database, clock: Clock, platform_merchant_id: str) -> None:
        self._db = db
        self._clock = clock
        self._platform_merchant_id = platform_merchant_id

    async def summarise(self, merchant_id: str, first: date | None, last: date | None) -> BillingSummary:
        """The last 30 days when nothing is said. Raises PeriodInvalid."""
        period = billing.parse_period(first, last, self._clock.now().date())
        async with self._db.begin() as tx:
            days = await queries.billing_days(tx, merchant_id, period.first, period.last)
            failures = None
            if merchant_id == self._platform_merchant_id:
                failures = await queries.webhook_failures(tx, period.first, period.last)
        return billing.summarise(period, days, failures)
