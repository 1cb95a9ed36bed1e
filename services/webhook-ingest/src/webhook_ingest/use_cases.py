"""Receive webhooks, follow what becomes of them, and announce refusals without letting a flood of them in."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from loguru import logger

from common import ids, outbox, telemetry
from common.batching import Batcher
from common.clock import Clock
from common.database import Database, Tx, retried
from common.delivery import Timeline, TimelineEntry
from common.errors import DomainError, Unresolved
from common.seals import WEBHOOK_BODY
from gateways import GatewayAccountNotFound
from gateways.verification import WebhookSource
from webhook_ingest import domain
from webhook_ingest.domain import REFUSALS, Report, Status, Stored, Webhook
from webhook_ingest.gateways.accounts import WebhookSources
from webhook_ingest.store import commands, queries
from webhook_ingest.store.queries import Moment
from webhook_ingest.store.stored_events import StoredEvents
from webhook_ingest.wire import events
from webhook_ingest.wire.requests import Delivery

# So many refusals between two announcements: somebody forges, or a secret is wrong, and a person should look.
REFUSALS_ALARMING = 20

_received = telemetry.counter(
    "webhooks_received_total", "Webhooks with a good signature: announced, parked, duplicate", ["gateway", "outcome"]
)
_refused = telemetry.counter("webhooks_refused_total", "Webhooks that were refused", ["gateway", "reason"])


async def store_new_webhooks(
    db: Database, stored_events: StoredEvents, webhooks: Sequence[Webhook]
) -> list[Stored | DomainError]:
    """Store what the filter does not know, and let it know what is committed. What is in doubt raises, unremembered."""
    results: list[Stored | DomainError | None] = list(await stored_events.find(webhooks))
    for webhook, remembered in zip(webhooks, results, strict=True):
        if remembered is not None:
            _received.of(webhook.gateway, "duplicate").inc()
    new = [webhook for webhook, remembered in zip(webhooks, results, strict=True) if remembered is None]
    stored = iter(await store_webhooks(db, new) if new else [])
    answers = [next(stored) if remembered is None else remembered for remembered in results]
    for webhook, remembered, answer in zip(webhooks, results, answers, strict=True):
        if remembered is None and isinstance(answer, Stored):
            stored_events.remember(webhook, answer)
    return answers


@retried
async def store_webhooks(db: Database, webhooks: Sequence[Webhook]) -> list[Stored | DomainError]:
    """Store each webhook that is new and announce it; a duplicate has no second effect."""
    distinct, repeats = domain.fold(webhooks)
    async with db.begin() as tx:
        claimed = await commands.claim(tx, distinct)
        fresh = [webhook for webhook in distinct if claimed[webhook.webhook_id] == webhook.webhook_id]
        bodies = {webhook.webhook_id: tx.sealer.seal_bytes(WEBHOOK_BODY, webhook.body) for webhook in fresh}
        await commands.insert(tx, fresh, bodies)
        await outbox.append(
            tx, [*events.received(fresh, bodies), *events.unreadable_analytics(fresh), *events.unreadable_alerts(fresh)]
        )
    for webhook in fresh:
        _received.of(webhook.gateway, "announced" if webhook.is_announced else "parked").inc()
    results: list[Stored | DomainError] = []
    for webhook in webhooks:
        original = repeats.get(webhook.webhook_id, webhook)
        stored_as = claimed[original.webhook_id]
        duplicate = stored_as != webhook.webhook_id
        if duplicate:
            _received.of(webhook.gateway, "duplicate").inc()
        results.append(Stored(stored_as, duplicate))
    return results


async def follow_reports(tx: Tx, reports: Sequence[Report]) -> list[DomainError | None]:
    """Move each webhook to where its reports say, and keep the reports; refuse those about webhooks not stored here."""
    progress = await commands.lock(tx, {report.webhook_id for report in reports})
    accepted = [report for report in reports if report.webhook_id in progress]
    await commands.save(tx, domain.follow_all(progress, accepted), accepted)
    await outbox.append(tx, events.failure_analytics(accepted))
    return [None if report.webhook_id in progress else domain.WebhookUnknown("no such webhook") for report in reports]


class Refusals:
    """Counts refusals between two announcements: a flood of forgeries costs memory for its reasons, not its size."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, gateway: str, error: DomainError) -> None:
        reason = error.code.removeprefix("webhook_")
        _refused.of(gateway, reason).inc()
        self._counts[gateway, reason] += 1

    async def announce(self, db: Database, clock: Clock) -> None:
        """One event per gateway and reason for what was refused since the last time; an alert when it is much."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        now = clock.now()
        alarming = {key: count for key, count in counts.items() if count >= REFUSALS_ALARMING}
        async with db.begin() as tx:
            await outbox.append(tx, [*events.refusal_analytics(counts, now), *events.refusal_alerts(alarming, now)])


class Receiver:
    """Verifies deliveries and stores them in batches. *sources*: who may send webhooks; *window*: how
    long ago a webhook may have been signed.
    """

    def __init__(
        self,
        batcher: Batcher[Webhook, Stored],
        clock: Clock,
        sources: WebhookSources,
        window: timedelta,
        refusals: Refusals,
    ) -> None:
        self._batcher = batcher
        self._clock = clock
        self._sources = sources
        self._window = window
        self._refusals = refusals

    async def receive(self, delivery: Delivery) -> Stored:
        """Verify, then store and announce; returns after the commit.

        Raises one of REFUSALS; GatewayAccountsUnavailable; Unavailable when too much waits or the commit is in doubt.
        """
        try:
            source = await self._sources.find(delivery.account_id)
            webhook = self._admit(delivery, source)
        except REFUSALS as error:
            # The name in the path is the sender's: only names of ours may become labels of a metric.
            gateway = delivery.gateway if not isinstance(error, GatewayAccountNotFound) else "unknown"
            self._refusals.add(gateway, error)
            logger.bind(gateway=gateway, reason=error.code).debug("webhook refused")
            raise
        try:
            return await self._batcher.submit(webhook)
        except Unresolved:
            # Any 2xx would tell the gateway that it is done.
            raise domain.WebhookNotStored("it is not known whether the webhook was stored") from None

    def _admit(self, delivery: Delivery, source: WebhookSource | None) -> Webhook:
        """The webhook in *delivery*, proven to be the account's own and recent. Raises one of REFUSALS."""
        if source is None or source.account.gateway != delivery.gateway:
            raise GatewayAccountNotFound("no such account at this gateway")
        domain.check_source(delivery.address, source.account.webhook_networks)
        now = self._clock.now()
        signature = source.verify(delivery.headers, delivery.body, now, self._window)
        return Webhook(
            webhook_id=ids.new(),
            gateway=delivery.gateway,
            account_id=delivery.account_id,
            summary=source.summarise(delivery.body),
            version=signature.version,
            attempt=signature.attempt,
            body=delivery.body,
            headers=domain.kept_headers(delivery.headers),
            signature=signature.signature,
            received_at=now,
        )


# ── For operators ────────────────────────────────────────────────────────────────────────────────────────────────


async def timeline(tx: Tx, reference: str) -> Timeline:
    """What happened to the webhooks about *reference*, and the order and payment that they are about."""
    moments = await queries.moments(
        tx, reference=reference, webhook_id=_id("evt", reference), payment_id=_id("pay", reference)
    )
    orders = {moment.order_id for moment in moments if moment.order_id}
    payments = {ids.encode("pay", moment.payment_id) for moment in moments if moment.payment_id}
    return Timeline([_entry(moment) for moment in moments], sorted(orders | payments))


def _entry(moment: Moment) -> TimelineEntry:
    fields = {
        "webhookId": ids.encode("evt", moment.webhook_id),
        "orderId": moment.order_id,
        "gatewayPaymentId": moment.gateway_payment_id,
        "paymentId": ids.encode("pay", moment.payment_id) if moment.payment_id else "",
        "detail": moment.detail,
        "duplicates": str(moment.duplicates) if moment.duplicates else "",
    }
    summary = f"{moment.event_type or 'unreadable'} {moment.status.lower()}"
    return TimelineEntry(moment.at, "webhook", summary, {name: value for name, value in fields.items() if value})


def _id(prefix: str, text: str) -> UUID | None:
    try:
        return ids.decode(prefix, text)
    except ids.IdInvalid:
        return None


async def totals(tx: Tx) -> dict[str, int]:
    """How many webhooks came in, and where they stand."""
    counts = await queries.counts(tx)
    return {
        "webhooks.received": sum(counts.values()),
        "webhooks.processed": counts.get(Status.SUCCESS, 0),
        "webhooks.parked": counts.get(Status.PARKED, 0),
        "webhooks.failed": counts.get(Status.FAILED, 0) + counts.get(Status.DEAD, 0),
        "webhooks.pending": counts.get(Status.RECEIVED, 0) + counts.get(Status.PROCESSING, 0),
    }
