"""Each payment's captures are compared with the gateway's list a day later: a few at a time, safe to do twice.

It confirms the attempts that webhooks named, and shows a second capture whose webhook was lost.
"""

from datetime import timedelta

import msgspec

from common.clock import Clock
from common.database import Database
from payment.store import confirmations, queries
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.order_lookups import OrderLookup, lookup_of
from payment.use_cases.order_syncs import sync_payments

CONFIRM_SECONDS = 15
AGAIN = timedelta(hours=6)
# A capture that could not be confirmed at the gateway for so long is left to the reconciliation of settlements.
GIVE_UP = timedelta(days=30)


class Confirmations(msgspec.Struct, frozen=True):
    """Bounded by *per_minute* look-ups in this process: lists of attempts are the gateway's scarcest quota."""

    db: Database
    clock: Clock
    lookups: OrderLookup
    settings: DecisionSettings
    per_minute: int

    async def run(self) -> int:
        """Read the lists of what is due; how many payments that were."""
        now = self.clock.now()
        limit = max(1, self.per_minute * CONFIRM_SECONDS // 60)
        async with self.db.begin() as tx:
            leased_until = now + AGAIN
            payment_ids = await confirmations.lease_due(tx, now, leased_until, now - GIVE_UP, limit)
            payments = await queries.payments_by_id(tx, payment_ids) if payment_ids else []
        if payments:
            results = await self.lookups.look_up([lookup_of(payment, read_attempts=True) for payment in payments])
            applied = await sync_payments(self.db, payment_ids, results, self.clock, self.settings)
            async with self.db.begin() as tx:
                await confirmations.end_looks(tx, applied.decisions.keys(), leased_until)
        return len(payments)
