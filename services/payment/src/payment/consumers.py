"""Queue consumers: each decodes and calls one use case."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import msgspec

from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1.events_pb2 import PaymentSucceeded, PaymentSyncRequested
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import ids
from common.clock import Clock
from common.database import Database, Tx
from common.errors import DomainError
from common.events import from_micros
from common.seals import WEBHOOK_BODY, Sealer
from common.subscriptions import Subscription
from gateways import Gateways, MalformedWebhook
from payment.domain.errors import VerdictUnknown
from payment.domain.orders import OrderKey
from payment.domain.states import FraudReview
from payment.use_cases import invoices, order_syncs, reviews, webhook_lookups, webhooks
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.invoices import InvoiceRequest
from payment.use_cases.order_lookups import LookupResult
from payment.use_cases.refund_flow import RefundFlow
from payment.use_cases.reviews import FraudStatement
from payment.use_cases.webhook_lookups import LookedUp, Webhook, WebhookLookups

# Requests of customers share the event loop: a backlog is worked in batches that hold it for a few dozen milliseconds.
WEBHOOKS_MAX = 128
INVOICES_MAX = 128


class ConsumerSettings(msgspec.Struct, frozen=True):
    decisions: DecisionSettings
    invoice_prefix: str


def subscriptions(
    db: Database,
    clock: Clock,
    gateways: Gateways,
    lookups: WebhookLookups,
    refunds: RefundFlow,
    settings: ConsumerSettings,
) -> list[Subscription]:
    """What payment handles, one row for each message type."""
    return [
        Subscription(
            "webhook.processing",
            WebhookReceived,
            decode=partial(parse_webhook, gateways, db.sealer),
            handle=partial(on_webhooks_received, clock=clock, refunds=refunds, settings=settings.decisions),
            fetch=partial(webhook_lookups.look_up, lookups),
            on_retry=partial(webhooks.announce_retries, clock=clock),
            on_dead=partial(webhooks.announce_dead, clock=clock),
            events_max=WEBHOOKS_MAX,
        ),
        Subscription(
            "payment.processing",
            PaymentSyncRequested,
            decode=parse_sync_request,
            handle=partial(on_syncs_requested, clock=clock, settings=settings.decisions),
            fetch=partial(order_syncs.look_up_payments, db, lookups.orders),
        ),
        Subscription(
            "payment.processing",
            FraudFlagged,
            decode=parse_flag,
            handle=partial(on_payments_reviewed, clock=clock, settings=settings.decisions),
        ),
        Subscription(
            "payment.processing",
            FraudDecided,
            decode=parse_decision,
            handle=partial(on_payments_reviewed, clock=clock, settings=settings.decisions),
        ),
        Subscription(
            "invoice.generate",
            PaymentSucceeded,
            decode=parse_success,
            handle=partial(on_payments_succeeded, clock=clock, prefix=settings.invoice_prefix),
            low_priority=True,
            events_max=INVOICES_MAX,
        ),
    ]


async def on_webhooks_received(
    tx: Tx,
    received: Sequence[Webhook],
    results: LookedUp,
    *,
    clock: Clock,
    refunds: RefundFlow,
    settings: DecisionSettings,
) -> list[DomainError | None]:
    """Apply what the gateway confirms of each webhook's claim."""
    return await webhooks.process_webhooks(tx, received, results, clock=clock, refunds=refunds, settings=settings)


async def on_syncs_requested(
    tx: Tx,
    payment_ids: Sequence[UUID],
    results: Mapping[OrderKey, LookupResult],
    *,
    clock: Clock,
    settings: DecisionSettings,
) -> list[DomainError | None]:
    """Apply what the gateway shows of each payment's order."""
    return await order_syncs.sync_requested_payments(tx, payment_ids, results, clock, settings)


async def on_payments_reviewed(
    tx: Tx, statements: Sequence[FraudStatement], *, clock: Clock, settings: DecisionSettings
) -> list[DomainError | None]:
    """Carry out each flag of the fraud rules and each verdict of a person."""
    return await reviews.record_reviews(tx, statements, clock=clock, settings=settings)


async def on_payments_succeeded(
    tx: Tx, requests: Sequence[InvoiceRequest], *, clock: Clock, prefix: str
) -> list[DomainError | None]:
    """Issue the invoice of each payment; one that was invoiced before is no error."""
    return await invoices.issue_invoices(tx, requests, clock=clock, prefix=prefix)


def parse_webhook(gateways: Gateways, sealer: Sealer, message: WebhookReceived) -> Webhook:
    """Raises SealBroken."""
    # A webhook that was stored before accounts had ids belongs to the platform's own account.
    account_id = message.gateway_account_id or f"gwa_{message.gateway}"
    gateway = gateways.get(account_id)
    body = sealer.open_bytes(WEBHOOK_BODY, message.body)
    content = gateway.parse_webhook(body) if gateway else MalformedWebhook("account_not_configured")
    received_at = from_micros(message.time_unix_micros)
    return Webhook(message.event_id, message.gateway, account_id, message.type, received_at, content)


def parse_sync_request(message: PaymentSyncRequested) -> UUID:
    return ids.decode("pay", message.payment_id)


def parse_flag(message: FraudFlagged) -> FraudStatement:
    return FraudStatement(
        payment_id=ids.decode("pay", message.payment_id),
        review=FraudReview.FLAGGED,
        reason=",".join(message.reasons),
        score=message.score,
        actor_id="service:fraud",
    )


_VERDICTS = {"ALLOW": FraudReview.ALLOWED, "BLOCK": FraudReview.BLOCKED}


def parse_decision(message: FraudDecided) -> FraudStatement:
    """Raises IdInvalid, VerdictUnknown."""
    if message.decision not in _VERDICTS:
        raise VerdictUnknown(f"fraud decided {message.decision[:20]!r}")
    return FraudStatement(
        payment_id=ids.decode("pay", message.payment_id),
        review=_VERDICTS[message.decision],
        reason="decided",
        score=None,
        actor_id=message.actor_id,
    )


def parse_success(message: PaymentSucceeded) -> InvoiceRequest:
    payment = message.payment
    return InvoiceRequest(ids.decode("pay", payment.payment_id), payment.merchant_id, message.transaction_id)
