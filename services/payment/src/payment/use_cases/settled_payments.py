"""What becomes of a settlement, told to its payments: their settlement status, and SETTLED where they may move."""

from uuid import UUID

from google.protobuf.message import Message

from common import outbox
from common.clock import Clock
from common.database import Database, retried
from gateways.settlements import SettlementStatus
from payment.domain.decisions import ACTOR
from payment.domain.payments import Payment, Transition, move
from payment.domain.states import Status
from payment.store import commands, settlements
from payment.wire import settlement_events

PAYMENTS_AT_ONCE = 200


async def tell(db: Database, settlement_id: UUID, clock: Clock) -> int:
    """Tell all payments of a settlement, a few hundred at a time; how many rows that were."""
    total = 0
    while True:
        while count := await _tell_some(db, settlement_id, clock):
            total += count
        if await _is_done(db, settlement_id):
            return total


@retried
async def _is_done(db: Database, settlement_id: UUID) -> bool:
    """Whether nothing is left to tell; under the settlement's lock, so that no row comes in between."""
    async with db.begin() as tx:
        settlement = await settlements.lock_settlement(tx, settlement_id)
        if await settlements.rows_to_apply(tx, settlement, 1):
            return False
        await settlements.payments_told(tx, settlement)
    return True


@retried
async def _tell_some(db: Database, settlement_id: UUID, clock: Clock) -> int:
    now = clock.now()
    async with db.begin() as tx:
        # Payments first, by their ids, as everybody does; the settlement's row is only read.
        [settlement] = await settlements.by_ids(tx, [settlement_id])
        rows = await settlements.rows_to_apply(tx, settlement, PAYMENTS_AT_ONCE)
        if not rows:
            return 0
        payments = await commands.lock_payments(tx, {row.payment_id for row in rows if row.payment_id})
        moved: list[Payment] = []
        transitions: list[Transition] = []
        messages: list[Message] = []
        settled: dict[UUID, Payment] = {}
        for row in rows:
            payment = payments[row.payment_id] if row.payment_id else None
            # A second capture of the order is no settlement of the payment.
            if payment is None or payment.gateway_payment_id != row.row.gateway_payment_id or payment.id in settled:
                continue
            if settlement.status is SettlementStatus.SETTLED and payment.status is Status.SUCCESS:
                payment, transition = move(payment, Status.SETTLED, reason="settled", actor=ACTOR, now=now)
                moved.append(payment)
                transitions.append(transition)
            settled[payment.id] = payment
            if settlement.status is SettlementStatus.SETTLED:
                messages.append(settlement_events.payment_settled(payment, settlement, row.row, now))
        await commands.save_payments(tx, moved)
        await commands.add_history(tx, transitions)
        if settlement.status is not SettlementStatus.PENDING:
            await settlements.set_payment_status(tx, settled, settlement.status)
        await settlements.mark_applied(tx, rows, settlement.status)
        await outbox.append(tx, messages)
    return len(rows)
