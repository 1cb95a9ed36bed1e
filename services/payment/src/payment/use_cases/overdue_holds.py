"""Holds that cannot be had for long: the wallet does not answer, or has not heard of the payment. People are told."""

from datetime import timedelta
from typing import Final

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database
from payment.domain.disputes import PREFIX as DISPUTE
from payment.domain.refunds import PREFIX as REFUND
from payment.store import overdue_holds
from payment.wire import refund_events

CHECK_SECONDS: Final = 300
# Holds are tried every few minutes at the most: what took so long needs somebody.
OVERDUE: Final = timedelta(hours=1)
AGAIN: Final = timedelta(days=1)
BATCH_MAX: Final = 100


class OverdueHolds(msgspec.Struct, frozen=True):
    """Safe to run N times: each is told once a day, in the transaction that says so."""

    db: Database
    clock: Clock

    async def run(self) -> int:
        """Alert a batch of refunds and disputes that wait for their holds; how many."""
        now = self.clock.now()
        async with self.db.begin() as tx:
            refunds = await overdue_holds.take_refunds(tx, now - OVERDUE, now - AGAIN, now, BATCH_MAX)
            disputes = await overdue_holds.take_disputes(tx, now - OVERDUE, now - AGAIN, now, BATCH_MAX)
            messages = [refund_events.hold_overdue(REFUND, each, now) for each in refunds]
            messages += [refund_events.hold_overdue(DISPUTE, each, now) for each in disputes]
            await outbox.append(tx, messages)
        return len(messages)
