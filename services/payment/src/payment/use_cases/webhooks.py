"""Webhooks: a claim is checked with the gateway itself; what must wait climbs the ladder, nothing is dropped."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from google.protobuf.message import Message

from common import outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.handling import Climb, Refused
from gateways import IgnoredWebhook, MalformedWebhook, PaymentWebhook
from payment import store
from payment.domain import FactsUnknown, OrderUnknown, Payment, Status, WebhookUnreadable
from payment.use_cases import measures
from payment.use_cases.deciding import Applied, Found, Inquiry, Policy, apply_facts, known, questions
from payment.wire import webhook_events


class Webhook(msgspec.Struct, frozen=True):
    """A stored webhook, read by its gateway's adapter."""

    id: str
    merchant_id: str
    gateway: str
    received_at: datetime
    read: PaymentWebhook | IgnoredWebhook | MalformedWebhook


async def ask_about(inquiry: Inquiry, webhooks: Sequence[Webhook]) -> dict[str, Found]:
    """The gateway's own view of every order that the webhooks speak of; each order is asked about once."""
    claims = [(hook.read.order_id, hook.read.attempt) for hook in webhooks if isinstance(hook.read, PaymentWebhook)]
    return await inquiry.ask(questions(claims))


async def process_webhooks(
    tx: Tx, webhooks: Sequence[Webhook], found: dict[str, Found], *, clock: Clock, policy: Policy
) -> list[Refused]:
    """Apply what is settled; refuse for now what is not: an order unknown to us, facts unknown to the gateway."""
    now = clock.now()
    heard = {(hook.merchant_id, hook.read.order_id) for hook in webhooks if isinstance(hook.read, PaymentWebhook)}
    payments = await store.lock_orders(tx, heard)
    applied = await apply_facts(tx, payments.values(), known(found), clock, policy)
    refused: list[Refused] = []
    messages: list[Message] = list(applied.messages)
    for hook in webhooks:
        if isinstance(hook.read, IgnoredWebhook):
            messages.append(webhook_events.processed(hook.gateway, hook.id, "PARKED", hook.read.reason, None, now))
            continue
        if isinstance(hook.read, MalformedWebhook):
            refused.append(Refused(hook, WebhookUnreadable(hook.read.reason), for_good=True))
            continue
        payment = payments.get((hook.merchant_id, hook.read.order_id))
        error = _must_wait(payment, applied)
        if error is not None or payment is None:
            refused.append(Refused(hook, error or OrderUnknown()))
            continue
        outcome, reason = _outcome(hook.read, payment, applied)
        messages.append(webhook_events.processed(hook.gateway, hook.id, outcome, reason, payment.id, now))
        if _brought_success(hook.read, payment, applied):
            measures.webhook_succeeded(hook.gateway, (now - hook.received_at).total_seconds())
    await outbox.append(tx, messages)
    return refused


async def announce_climbs(tx: Tx, climbs: Sequence[Climb], *, clock: Clock) -> None:
    """The history of webhooks that wait, and an alert for those that wait no longer."""
    now = clock.now()
    messages: list[Message] = []
    for climb in climbs:
        hook: Webhook = climb.event
        reason = climb.error.code
        if isinstance(climb.error, WebhookUnreadable):
            messages += webhook_events.failed(hook.gateway, hook.id, reason, now)
        elif climb.dead:
            messages += webhook_events.dead_lettered(hook.gateway, hook.id, reason, now)
        elif climb.attempt == 1:
            messages.append(webhook_events.processing(hook.gateway, hook.id, reason, now))
        else:
            messages.append(webhook_events.retried(hook.gateway, hook.id, reason, climb.attempt, now))
    await outbox.append(tx, messages)


def _must_wait(payment: Payment | None, applied: Applied) -> DomainError | None:
    if payment is None:
        return OrderUnknown("no payment has this order id (yet)")
    if payment.id in applied.decisions:
        return None
    return applied.unknown.get(payment.id) or FactsUnknown("the gateway does not tell the order's state now")


def _outcome(heard: PaymentWebhook, before: Payment, applied: Applied) -> tuple[str, str]:
    """APPLIED when it changed something, NO_EFFECT with the reason otherwise."""
    decision = applied.decisions[before.id]
    if decision.payment.review == "QUARANTINED" and decision.payment.status not in (Status.SUCCESS,):
        return "NO_EFFECT", decision.payment.review_reason
    if decision.transitions or heard.attempt.gateway_payment_id in applied.climbed:
        return "APPLIED", decision.transitions[-1].to_status.lower() if decision.transitions else "attempt"
    return "NO_EFFECT", "duplicate"


def _brought_success(heard: PaymentWebhook, before: Payment, applied: Applied) -> bool:
    after = applied.decisions[before.id].payment
    return (
        after.status is Status.SUCCESS
        and before.paid_at is None
        and (after.gateway_payment_id == heard.attempt.gateway_payment_id)
    )
