"""Decide about locked payments by what their gateways show. Webhook, verify, sweep and cancel all come through here."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids
from common.clock import Clock
from common.database import Tx
from payment.domain import state_machine
from payment.domain.check_schedule import ClosedCheckSchedule
from payment.domain.decisions import Decision
from payment.domain.errors import OrderStateUnknown
from payment.domain.orders import ObservedOrder, OrderKey
from payment.domain.payments import Payment
from payment.domain.states import LateSuccessPolicy
from payment.store import closed_checks, commands, confirmations
from payment.use_cases import metrics
from payment.use_cases.announcements import messages_for
from payment.wire import events

# A webhook adds to what is recorded: the command to read the gateway's list is asked by this.
BY_WEBHOOK = "WEBHOOK"


class DecisionSettings(msgspec.Struct, frozen=True):
    """What a late success leads to; *public_url* is where a failed payment may be tried again."""

    late_success: LateSuccessPolicy
    public_url: str
    closed_checks: ClosedCheckSchedule
    # A capture whose attempt a webhook named is confirmed with the gateway after this.
    confirm_after: timedelta


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
    applied = Applied()
    changed: list[Payment] = []
    for payment, order in pairs:
        try:
            decision = state_machine.decide(
                payment,
                order,
                now,
                ids.new,
                recorded=recorded.get(payment.id),
                late_success=settings.late_success,
            )
        except OrderStateUnknown as error:
            applied.unknown[payment.id] = error
            continue
        applied.decisions[payment.id] = decision
        if decision.payment is not payment:
            changed.append(decision.payment)
    decisions = list(applied.decisions.values())
    confirmation_due_at = now + settings.confirm_after
    # Before the attempts: one that is claimed for a payment and listed for another goes where it is listed.
    await confirmations.correct(
        tx,
        [(decision.payment, correction) for decision in decisions for correction in decision.corrections],
        now,
        confirmation_due_at,
    )
    applied.changed_attempts = await commands.record_attempts(tx, decisions, now)
    await commands.add_transactions(
        tx,
        [(decision.payment, transaction) for decision in decisions for transaction in decision.transactions],
        now,
        confirmation_due_at,
    )
    await commands.save_payments(tx, changed)
    await commands.add_history(tx, [transition for decision in decisions for transition in decision.transitions])
    await closed_checks.watch(
        tx,
        {decision.payment.id for decision in decisions if decision.watched},
        now + timedelta(seconds=settings.closed_checks.waits_seconds[0]),
    )
    applied.messages = messages_for(decisions, settings.public_url) + [
        events.sync_requested(decision.payment.id, decision.payment.merchant_id, BY_WEBHOOK, now)
        for decision in decisions
        if decision.list_needed
    ]
    metrics.moved(decisions, now)
    return applied
