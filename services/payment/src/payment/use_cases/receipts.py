"""Announce the receipts that a migration found: second captures of the time before there were receipts."""

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database, retried
from payment.domain.captures import announced
from payment.store import queries, receipts
from payment.use_cases.announcements import messages

ANNOUNCE_SECONDS = 60
BATCH_MAX = 128


class ReceiptAnnouncements(msgspec.Struct, frozen=True):
    """Safe to run N times: a receipt is announced in the transaction that says so."""

    db: Database
    clock: Clock
    public_url: str

    async def run(self) -> int:
        """How many receipts were announced."""
        total = 0
        while count := await announce_receipts(self.db, self.clock, self.public_url):
            total += count
        return total


@retried
async def announce_receipts(db: Database, clock: Clock, public_url: str) -> int:
    """Announce one batch; how many receipts that were."""
    now = clock.now()
    async with db.begin() as tx:
        unannounced = await receipts.take_unannounced(tx, now, BATCH_MAX)
        if not unannounced:
            return 0
        payments = {
            payment.id: payment
            for payment in await queries.payments_by_id(tx, {receipt.payment_id for receipt in unannounced})
        }
        announcements = [announced(payments[receipt.payment_id], receipt, now) for receipt in unannounced]
        await outbox.append(tx, [message for each in announcements for message in messages(each, public_url)])
    return len(unannounced)
