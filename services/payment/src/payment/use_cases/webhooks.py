"""Webhooks: a claim is checked with the gateway itself; what must wait is retried on the schedule."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from google.protobuf.message import Message

from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.queue_handler import EnvelopeUnreadable
from common.subscriptions import DeadEvent, Retry
from gateways import (
    DisputeWebhook,
    IgnoredWebhook,
    MalformedWebhook,
    PaymentAttempt,
    PaymentWebhook,
    RefundWebhook,
    SettlementWebhook,
)
from payment.domain.errors import OrderNotKnownYet, OrderStateUnknown, WebhookUnreadable
from payment.domain.orders import OrderKey
from payment.domain.payments import Payment
from payment.domain.states import PAID, Review
from payment.domain.unhandled_webhooks import WINDOW, alerted_type
from payment.store import commands, unhandled_webhooks
from payment.use_cases import dispute_checks, metrics, settlement_webhooks
from payment.use_cases.decisions import Applied, DecisionSettings, apply_orders
from payment.use_cases.order_lookups import observed_only
from payment.use_cases.refund_books import Observed
from payment.use_cases.refund_checks import apply_lists
from payment.use_cases.refund_flow import RefundFlow
from payment.use_cases.webhook_lookups import LookedUp, Webhook
from payment.wire import webhook_events

# Refused permanently at the first try; every other dead webhook had used up its retries.
_REFUSALS = frozenset({WebhookUnreadable.code, EnvelopeUnreadable.code})


async def process_webhooks(
    tx: Tx,
    webhooks: Sequence[Webhook],
    results: LookedUp,
    *,
    clock: Clock,
    refunds: RefundFlow,
    settings: DecisionSettings,
) -> list[DomainError | None]:
    """Apply what the gateway confirms; an unknown order and a state that it does not show are retried."""
    now = clock.now()
    orders = [results.order_of(webhook) for webhook in webhooks]
    payments = await commands.lock_orders(tx, {order for order in orders if isinstance(order, OrderKey)})
    applied = await apply_orders(tx, payments.values(), observed_only(results.orders), clock, settings)
    refunded: Mapping[OrderKey, Mapping[str, Observed] | DomainError] = {}
    if results.refunds:
        latest = {order: _latest(payment, applied) for order, payment in payments.items()}
        refunded = await apply_lists(tx, refunds, results.refunds, latest)
    refusals: list[DomainError | None] = []
    messages: list[Message] = list(applied.messages)
    settlements: set[tuple[str, str]] = set()
    disputes: list[Payment] = []
    for webhook, order in zip(webhooks, orders, strict=True):
        if isinstance(order, DomainError):
            refusals.append(order)
            continue
        match webhook.content:
            case IgnoredWebhook(reason):
                refusals.append(None)
                messages.append(webhook_events.processed(webhook.gateway, webhook.id, "PARKED", reason, None, now))
            case SettlementWebhook(gateway_settlement_id):
                settlements.add((webhook.gateway_account_id, gateway_settlement_id))
                refusals.append(None)
                messages.append(
                    webhook_events.processed(webhook.gateway, webhook.id, "APPLIED", "import_requested", None, now)
                )
            case DisputeWebhook():
                disputed = payments.get(order) if order else None
                refusals.append(None if disputed else OrderNotKnownYet("no payment has this order id (yet)"))
                if disputed is not None:
                    disputes.append(disputed)
                    messages.append(
                        webhook_events.processed(
                            webhook.gateway, webhook.id, "APPLIED", "check_requested", disputed.id, now
                        )
                    )
            case RefundWebhook():
                assert order is not None
                result = refunded[order]
                if isinstance(result, DomainError):
                    refusals.append(result)
                    continue
                refusals.append(None)
                outcome, reason = _outcome_of_refund(webhook.content, result)
                messages.append(
                    webhook_events.processed(webhook.gateway, webhook.id, outcome, reason, payments[order].id, now)
                )
            case MalformedWebhook(reason):
                refusals.append(WebhookUnreadable(reason))
            case PaymentWebhook() as content:
                payment = payments.get(order) if order else None
                refusal = _refusal(payment, applied)
                refusals.append(refusal)
                if refusal is None and payment is not None:
                    messages.append(_processed(webhook, content, payment, applied, now))
    if settlements:
        await settlement_webhooks.request_imports(tx, settlements, now)
    if disputes:
        await dispute_checks.request_checks(tx, disputes, now)
    parked = [webhook for webhook in webhooks if isinstance(webhook.content, IgnoredWebhook)]
    if parked:
        messages += await _unhandled_alerts(tx, parked, now)
    await outbox.append(tx, messages)
    return refusals


def _outcome_of_refund(content: RefundWebhook, results: Mapping[str, Observed]) -> tuple[str, str]:
    """What became of the webhook's own refund, or of the others of its order where the list does not show it."""
    own = results.get(content.refund.gateway_refund_id)
    if own is Observed.NOT_TAKEN_OVER:
        # It is looked at again when a refund of ours fails, and a person was alerted.
        return "PARKED", "refund_not_taken_over"
    changed = Observed.CHANGED in (results.values() if own is None else (own,))
    return ("APPLIED", "refund") if changed else ("NO_EFFECT", "duplicate")


async def announce_retries(tx: Tx, retries: Sequence[Retry[Webhook]], *, clock: Clock) -> None:
    """The history of webhooks that wait; those that go to the dead letters are announced from there."""
    now = clock.now()
    messages: list[Message] = []
    for retry in retries:
        gateway, webhook_id, reason = retry.event.gateway, retry.event.id, retry.error.code
        if retry.dead:
            continue
        if retry.attempt == 1:
            messages.append(webhook_events.processing(gateway, webhook_id, reason, now))
        else:
            messages.append(webhook_events.retried(gateway, webhook_id, reason, retry.attempt, now))
    await outbox.append(tx, messages)


async def announce_dead(tx: Tx, dead: Sequence[DeadEvent[WebhookReceived]], *, clock: Clock) -> None:
    """The end of webhooks that became dead letters, whatever the way, for the service that tracks them."""
    now = clock.now()
    await outbox.append(
        tx,
        [
            (webhook_events.failed if event.error_code in _REFUSALS else webhook_events.dead_lettered)(
                event.message.gateway, event.message.event_id, event.error_code, now
            )
            for event in dead
        ],
    )


async def _unhandled_alerts(tx: Tx, parked: Iterable[Webhook], now: datetime) -> list[Message]:
    """One alert for each account, window and type that no code handles."""
    first: dict[tuple[str, str], str] = {}
    for webhook in parked:
        first.setdefault((webhook.gateway_account_id, webhook.type), webhook.id)
    known = await unhandled_webhooks.known_types(tx, {account for account, _ in first})
    by_type: dict[tuple[str, str], str] = {}
    for (account, type_name), webhook_id in first.items():
        shown = alerted_type(type_name, known[account])
        known[account].add(shown)
        by_type.setdefault((account, shown), webhook_id)
    claimed = await unhandled_webhooks.claim_alerts(tx, by_type, now, WINDOW)
    return [
        webhook_events.unhandled_alert(account, type_name, by_type[account, type_name], now)
        for account, type_name in sorted(claimed)
    ]


def _refusal(payment: Payment | None, applied: Applied) -> DomainError | None:
    """Why the webhook must wait."""
    if payment is None:
        return OrderNotKnownYet("no payment has this order id (yet)")
    if payment.id in applied.decisions:
        return None
    return applied.unknown.get(payment.id) or OrderStateUnknown("the gateway does not show the order's state now")


def _latest(payment: Payment, applied: Applied) -> Payment:
    """The payment as this batch has left it so far."""
    decision = applied.decisions.get(payment.id)
    return decision.payment if decision else payment


def _processed(webhook: Webhook, content: PaymentWebhook, before: Payment, applied: Applied, now: datetime) -> Message:
    after = applied.decisions[before.id].payment
    paid_by = content.attempt.gateway_payment_id
    if after.status in PAID and before.paid_at is None and after.gateway_payment_id == paid_by:
        metrics.webhook_succeeded(webhook.gateway, (now - webhook.received_at).total_seconds())
    outcome, reason = _outcome(content.attempt, before, applied)
    return webhook_events.processed(webhook.gateway, webhook.id, outcome, reason, before.id, now)


def _outcome(claim: PaymentAttempt, before: Payment, applied: Applied) -> tuple[str, str]:
    """APPLIED when it changed something, NO_EFFECT with the reason otherwise."""
    decision = applied.decisions[before.id]
    if decision.payment.review is Review.QUARANTINED and decision.payment.status not in PAID:
        return "NO_EFFECT", decision.payment.review_reason
    if decision.list_needed:
        return "NO_EFFECT", "to_be_confirmed"
    if decision.transitions or claim.gateway_payment_id in applied.changed_attempts:
        return "APPLIED", decision.transitions[-1].to_status.lower() if decision.transitions else "attempt"
    shown = {(attempt.gateway_payment_id, attempt.status) for attempt in decision.attempts}
    return "NO_EFFECT", "duplicate" if (claim.gateway_payment_id, claim.status) in shown else "not_confirmed"
