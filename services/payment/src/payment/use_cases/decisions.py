"""Decide about locked payments by what their gateways show. Webhook, verify, sweep and cancel all come through here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids
from common.clock import Clock
from common.database import Tx
from gateways import AttemptStatus
from payment.domain import state_machine
from payment.domain.check_schedule import ClosedCheckSchedule
from payment.domain.decisions import Decision
from payment.domain.errors import OrderStateUnknown
from payment.domain.merchant_orders import OrderAlreadyPaid
from payment.domain.orders import ObservedOrder, OrderKey
from payment.domain.payments import Payment
from payment.domain.receipt_refunds import ReceiptRefundPolicy
from payment.domain.states import PAID, HoldPolicy, LateSuccessPolicy
from payment.store import closed_checks, commands, confirmations, merchant_orders, receipts
from payment.use_cases import metrics
from payment.use_cases.announcements import messages_for
from payment.wire import events

# PaymentSyncRequested.asked_by, when a webhook adds to what is recorded: the gateway's list has to be read.
BY_WEBHOOK = "WEBHOOK"


class DecisionSettings(msgspec.Struct, frozen=True):
    """What a late success leads to; *public_url* is where a failed payment may be tried again."""

    late_success: LateSuccessPolicy
    public_url: str
    closed_checks: ClosedCheckSchedule
    # A capture whose attempt a webhook named is confirmed with the gateway after this.
    confirm_after: timedelta
    # What happens to the grant of a flagged payment.
    hold: HoldPolicy
    # Which receipts are given back without a person.
    receipts: ReceiptRefundPolicy = ReceiptRefundPolicy()


class Applied(msgspec.Struct):
    """What was decided, by payment. Mutable while the batch is worked; *messages* are for one outbox.append."""

    decisions: dict[UUID, Decision] = {}
    unknown: dict[UUID, OrderStateUnknown] = {}
    # The gateway payment ids of attempts that are new or reached a higher status.
    changed_attempts: set[str] = set()
    messages: list[Message] = []


async def apply_orders(
    tx: Tx,
    payments: Iterable[Payment],
    orders: Mapping[OrderKey, ObservedOrder],
    clock: Clock,
    settings: DecisionSettings,
) -> Applied:
    """Decide about locked *payments* whose orders are in *orders*, and save what was decided."""
    now = clock.now()
    pairs = [(payment, order) for payment in payments if (order := orders.get(payment.order_key)) is not None]
    recorded = await commands.recorded_captures(
        tx, {payment.id for payment, order in pairs if state_machine.needs_captures(payment, order)}
    )
    received = await receipts.receipts_of(
        tx, {payment.id for payment, order in pairs if state_machine.needs_receipts(payment, order)}
    )
    payers = await _payers_of_orders(tx, [payment for payment, _ in pairs])
    applied = Applied()
    for payment, order in pairs:
        parent = payment.parent_order_id
        try:
            decision = state_machine.decide(
                payment,
                order,
                now,
                ids.new,
                recorded=recorded.get(payment.id),
                late_success=settings.late_success,
                hold=settings.hold,
                receipts={each.gateway_payment_id: each for each in received.get(payment.id, ())},
                order_is_paid=parent is not None and payers.get(parent) not in (None, payment.id),
            )
        except OrderStateUnknown as error:
            applied.unknown[payment.id] = error
            continue
        applied.decisions[payment.id] = decision
        if parent is not None and decision.payment.status in PAID:
            payers[parent] = payment.id
    decisions = list(applied.decisions.values())
    # Before the attempts: one that is claimed for a payment and listed for another goes where it is listed.
    await confirmations.correct(
        tx,
        [(decision.payment, correction) for decision in decisions for correction in decision.corrections],
        now,
        now + settings.confirm_after,
    )
    before = {payment.id: payment for payment, _ in pairs}
    applied.changed_attempts = await save_decisions(tx, decisions, before, now, settings)
    failures = await _announce_failures(tx, decisions, applied.changed_attempts, now)
    applied.messages = (
        messages_for(decisions, settings.public_url)
        + failures
        + [
            events.sync_requested(decision.payment.id, decision.payment.merchant_id, BY_WEBHOOK, now)
            for decision in decisions
            if decision.list_needed
        ]
    )
    metrics.moved(decisions, now)
    return applied


async def save_decisions(
    tx: Tx, decisions: Sequence[Decision], before: Mapping[UUID, Payment], now: datetime, settings: DecisionSettings
) -> set[str]:
    """Save what was decided about the payments *before*; the gateway payment ids of attempts that changed.

    Of several decisions about one payment, each made on the one before, the last says what the payment and its
    receipts are.
    """
    changed_attempts = await commands.record_attempts(tx, decisions, now)
    await commands.add_transactions(
        tx,
        [(decision.payment, transaction) for decision in decisions for transaction in decision.transactions],
        now,
        now + settings.confirm_after,
    )
    received = [
        msgspec.structs.replace(receipt, refund_due_at=settings.receipts.due_at(receipt, now))
        for decision in decisions
        for receipt in decision.receipts
    ]
    await receipts.add_receipts(tx, received, now)
    changed_receipts = {receipt.id: receipt for decision in decisions for receipt in decision.changed_receipts}
    await receipts.save_receipts(tx, list(changed_receipts.values()))
    payments = {decision.payment.id: decision.payment for decision in decisions}
    await commands.save_payments(tx, [payment for payment in payments.values() if payment is not before[payment.id]])
    await commands.add_history(tx, [transition for decision in decisions for transition in decision.transitions])
    await _pay_orders(tx, payments.values(), before, now)
    await closed_checks.watch(
        tx,
        {decision.payment.id for decision in decisions if decision.watched},
        now + timedelta(seconds=settings.closed_checks.waits_seconds[0]),
    )
    return changed_attempts


async def _payers_of_orders(tx: Tx, payments: Iterable[Payment]) -> dict[UUID, UUID | None]:
    """Which payment paid the orders that unpaid *payments* are about, locked; costs nothing where none names one."""
    wanted = {each.parent_order_id for each in payments if each.parent_order_id and each.status not in PAID}
    return {order.id: order.payment_id for order in (await merchant_orders.lock(tx, wanted)).values()}


async def _pay_orders(tx: Tx, payments: Iterable[Payment], before: Mapping[UUID, Payment], now: datetime) -> None:
    """Note which orders are paid now. Raises OrderAlreadyPaid for one that another payment paid."""
    payers = {
        payment.parent_order_id: payment.id
        for payment in payments
        if payment.parent_order_id and payment.status in PAID and before[payment.id].status not in PAID
    }
    if len(await merchant_orders.mark_paid(tx, payers, now)) != len(payers):
        raise OrderAlreadyPaid("another payment has paid the order")


async def _announce_failures(
    tx: Tx, decisions: Iterable[Decision], changed_attempts: Collection[str], now: datetime
) -> list[Message]:
    """Announce failed attempts to fraud, each once. Costs nothing where none failed."""
    failed = [
        (decision.payment, attempt)
        for decision in decisions
        for attempt in decision.attempts
        if attempt.status is AttemptStatus.FAILED and attempt.gateway_payment_id in changed_attempts
    ]
    payments = {payment.id: payment for payment, _ in failed}
    return [
        events.attempt_failed(payments[row.payment_id], row.gateway_payment_id, row.reason, now)
        for row in await commands.claim_failures(tx, failed, now)
    ]
