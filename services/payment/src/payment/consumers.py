"""Door: queues. Decode, call one use case."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import msgspec

from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1.events_pb2 import PaymentSucceeded, PaymentSyncRequested
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import ids
from common.clock import Clock
from common.consuming import Refused, Subscription
from common.database import Database, Tx
from gateways import Gateway, IgnoredWebhook
from payment.domain import Review
from payment.use_cases import Inquiry, Policy, syncing, webhooks
from payment.use_cases.deciding import Found
from payment.use_cases.invoicing import Succeeded, issue_invoices
from payment.use_cases.reviewing import Opinion, note_opinions
from payment.use_cases.webhooks import Webhook

# Those who buy wait for the same loop: what has piled up is worked in pieces that hold it for a few dozen milliseconds.
WEBHOOKS_MAX = 128
INVOICES_MAX = 128


class SyncRequest(msgspec.Struct, frozen=True):
    """The command to ask the gateway about a payment."""

    payment_id: UUID
    asked_by: str


def subscriptions(
    db: Database, clock: Clock, gateways: dict[str, Gateway], inquiry: Inquiry, policy: Policy, invoice_prefix: str
) -> tuple[Subscription, ...]:
    """What payment listens to, one row for each message type."""
    return (
        Subscription(
            "webhook.processing",
            WebhookReceived,
            partial(webhook, gateways),
            partial(webhooks.process_webhooks, clock=clock, policy=policy),
            ask=partial(webhooks.ask_about, inquiry),
            on_climb=partial(webhooks.announce_climbs, clock=clock),
            events_max=WEBHOOKS_MAX,
        ),
        Subscription(
            "payment.processing",
            PaymentSyncRequested,
            sync_request,
            partial(on_syncs_requested, clock=clock, policy=policy),
            ask=partial(ask_about, db, inquiry),
        ),
        Subscription("payment.processing", FraudFlagged, flag, partial(note_opinions, clock=clock)),
        Subscription("payment.processing", FraudDecided, decision, partial(note_opinions, clock=clock)),
        Subscription(
            "invoice.generate",
            PaymentSucceeded,
            success,
            partial(issue_invoices, clock=clock, prefix=invoice_prefix),
            unhurried=True,
            events_max=INVOICES_MAX,
        ),
    )


def webhook(gateways: dict[str, Gateway], message: WebhookReceived) -> Webhook:
    reader: Callable[[bytes], object] | None = getattr(gateways.get(message.gateway), "parse_webhook", None)
    read = reader(message.body) if reader else IgnoredWebhook("unsupported_gateway")
    received_at = datetime.fromtimestamp(message.time_unix_micros / 1_000_000, UTC)
    return Webhook(message.event_id, message.merchant_id, message.gateway, received_at, read)  # type: ignore[arg-type]


def sync_request(message: PaymentSyncRequested) -> SyncRequest:
    return SyncRequest(ids.decode("pay", message.payment_id), message.asked_by)


def flag(message: FraudFlagged) -> Opinion:
    reasons = ",".join(message.reasons)
    return Opinion(ids.decode("pay", message.payment_id), Review.FLAGGED, reasons, message.score, "service:fraud")


def decision(message: FraudDecided) -> Opinion:
    review = Review.BLOCKED if message.decision == "BLOCK" else Review.ALLOWED
    return Opinion(ids.decode("pay", message.payment_id), review, "decided", None, message.actor_id)


def success(message: PaymentSucceeded) -> Succeeded:
    payment = message.payment
    return Succeeded(ids.decode("pay", payment.payment_id), payment.merchant_id, message.transaction_id)


async def ask_about(db: Database, inquiry: Inquiry, requests: Sequence[SyncRequest]) -> dict[str, Found]:
    return await syncing.ask_about(db, inquiry, {request.payment_id for request in requests})


async def on_syncs_requested(
    tx: Tx, requests: Sequence[SyncRequest], found: dict[str, Found], *, clock: Clock, policy: Policy
) -> list[Refused]:
    errors = await syncing.sync_requested(tx, {request.payment_id for request in requests}, found, clock, policy)
    return [Refused(request, errors[request.payment_id]) for request in requests if request.payment_id in errors]
