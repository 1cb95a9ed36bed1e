"""Give receipts back by the policy: those that are due, once each; what only a person can do is alerted."""

from typing import Final

import msgspec

from common import ids
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from payment.domain.decisions import ACTOR
from payment.domain.receipt_refunds import check_certain, new_refund
from payment.domain.receipts import Receipt
from payment.domain.refunds import Refund, RefundSource
from payment.store import commands, receipts
from payment.use_cases.refund_books import RefundBook
from payment.use_cases.refund_flow import RefundFlow
from payment.wire import refund_events

CHECK_SECONDS: Final = 30
BATCH_MAX: Final = 64
BATCHES_MAX: Final = 16

_REASONS: Final = {"DUPLICATE": "captured twice", "LATE_SUCCESS": "paid after the payment was closed"}


class ReceiptRefunds(msgspec.Struct, frozen=True):
    """Safe to run N times: a receipt is given back under its payment's lock, by one refund at a time."""

    db: Database
    clock: Clock
    flow: RefundFlow

    async def run(self) -> int:
        """Begin the refunds that are due, at most `BATCHES_MAX` batches; how many receipts that were."""
        total = 0
        for _ in range(BATCHES_MAX):
            count = await refund_due_receipts(self.db, self.clock, self.flow)
            total += count
            if count < BATCH_MAX:
                break
        return total


@retried
async def refund_due_receipts(db: Database, clock: Clock, flow: RefundFlow) -> int:
    """Begin the refunds of one batch; how many receipts were due."""
    now = clock.now()
    async with db.begin() as tx:
        payment_ids = await receipts.payments_with_refunds_due(tx, now, BATCH_MAX)
        if not payment_ids:
            return 0
        book = await flow.open(tx, await commands.lock_payments(tx, set(payment_ids)))
        due = [
            receipt
            for payment_id in sorted(set(payment_ids))
            for receipt in book.receipts(payment_id)
            if receipt.refund_due_at is not None and receipt.refund_due_at <= now
        ]
        await _begin(tx, book, flow, due)
    return len(payment_ids)


async def _begin(tx: Tx, book: RefundBook, flow: RefundFlow, due: list[Receipt]) -> None:
    begun: list[Refund] = []
    for receipt in due:
        payment = book.payment(receipt.payment_id)
        try:
            check_certain(book.order(payment.id), names_payments=flow.names_payments(payment))
            refund = new_refund(
                payment,
                receipt,
                reason=_REASONS[receipt.reason],
                source=RefundSource.POLICY,
                requested_by=ACTOR,
                policy=flow.policy_of(payment),
                refund_id=ids.new(),
                now=book.now,
            )
            book.add(refund)
        except DomainError as error:
            # It is nobody's turn but a person's.
            book.put_receipt(msgspec.structs.replace(receipt, refund_due_at=None))
            detail = f"{receipt.amount} taken as {receipt.gateway_payment_id} is not given back by itself: {error}"
            book.alert(payment, "receipt_refund_due", detail)
            continue
        begun.append(refund)
        book.messages.append(refund_events.audit_requested(payment, refund, 0, book.now))
    await flow.begin_receipt_refunds(tx, book, begun)
