"""Receive webhooks, follow what becomes of them, and make a flood of bad ones known without letting it in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from loguru import logger

from common import ids, outbox, telemetry
from common.batching import Batcher
from common.clock import Clock
from common.consuming import Refused
from common.database import Database, Tx, retried
from common.errors import DomainError, Unresolved
from gateways import Adapter, GatewayAccount
from gateways.verification import verify_webhook
from webhook_ingest import domain, store, wire
from webhook_ingest.domain import REFUSALS, Report, Stored, Webhook

# In one tally of this many refusals somebody is forging or a secret is wrong: a person should look.
REFUSALS_ALARMING = 20
# At most so many webhook ids in an alert.
ALERT_IDS_MAX = 5

_received = telemetry.counter("webhooks_received_total", "Webhooks with a good signature", ["gateway", "outcome"])
_refused = telemetry.counter("webhooks_refused_total", "Webhooks refused at the door", ["gateway", "reason"])


@retried
async def store_webhooks(db: Database, webhooks: Sequence[Webhook]) -> list[Stored | DomainError]:
    """Store each webhook that is new and announce it; one that is known has no second effect."""
    distinct, repeats = domain.fold(webhooks)
    async with db.begin() as tx:
        claimed = await store.claim(tx, distinct)
        fresh = [webhook for webhook in distinct if claimed[webhook.webhook_id] == webhook.webhook_id]
        await store.insert(tx, fresh)
        await outbox.append(
            tx, [*wire.received_events(fresh), *wire.unreadable_figures(fresh), *wire.unreadable_alerts(fresh)]
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


async def follow_reports(tx: Tx, reports: Sequence[Report]) -> list[Refused]:
    """Move each webhook to where its reports say, and keep the reports; refuse those about webhooks not stored here."""
    progress = await store.lock(tx, {report.webhook_id for report in reports})
    known = [report for report in reports if report.webhook_id in progress]
    moved = domain.follow_all(progress, known)
    await store.save(tx, moved, known)
    await outbox.append(tx, [*wire.failure_figures(known), *wire.failure_alerts(known, ALERT_IDS_MAX)])
    return [
        Refused(report, domain.WebhookNotFound("no such webhook"))
        for report in reports
        if report.webhook_id not in progress
    ]


@dataclass(slots=True)
class Refusals:
    """Counts refusals between two announcements: a flood of forgeries costs memory for its reasons, not its size."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, gateway: str, error: DomainError) -> None:
        reason = error.code.removeprefix("webhook_")
        _refused.of(gateway, reason).inc()
        self.counts[gateway, reason] += 1

    async def announce(self, db: Database, clock: Clock) -> None:
        """One figure per gateway and reason for what was refused since the last time; an alert when it is much."""
        counts, self.counts = self.counts, Counter()
        if not counts:
            return
        now = clock.now()
        alarming = {key: count for key, count in counts.items() if count >= REFUSALS_ALARMING}
        async with db.begin() as tx:
            await outbox.append(tx, [*wire.refusal_figures(counts, now), *wire.refusal_alerts(alarming, now)])


@dataclass(frozen=True, slots=True)
class Receiver:
    """The door's one question: let this delivery in, and answer when it is safe to say so."""

    # By the gateway's name.
    accounts: Mapping[str, GatewayAccount]
    adapters: Mapping[str, Adapter]
    batcher: "Batcher[Webhook, Stored]"
    refusals: Refusals
    clock: Clock
    merchant_id: str
    window: timedelta
    proxy_hops: int

    async def receive(self, delivery: wire.Delivery) -> Stored:
        """Verify, then store and announce; returns after the commit.

        Raises one of REFUSALS, and Unavailable when too much waits or the commit is in doubt.
        """
        try:
            webhook = self.admit(delivery)
        except REFUSALS as error:
            self.refusals.add(delivery.gateway, error)
            logger.bind(gateway=delivery.gateway, reason=error.code).debug("webhook refused")
            raise
        try:
            return await self.batcher.submit(webhook)
        except Unresolved:
            # Any 2xx would tell the gateway that it is done.
            raise domain.WebhookNotStored("it is not known whether the webhook was stored") from None

    def admit(self, delivery: wire.Delivery) -> Webhook:
        """The webhook in *delivery*, proven to be the gateway's own and of late. Raises one of REFUSALS."""
        account = self.accounts[delivery.gateway]
        address = domain.client_address(delivery.peer, delivery.headers.get("x-forwarded-for", ""), self.proxy_hops)
        domain.check_source(address, account.webhook_networks)
        now = self.clock.now()
        adapter = self.adapters[account.gateway]
        signed = verify_webhook(adapter, account, delivery.headers, delivery.body, now, self.window)
        return Webhook(
            webhook_id=ids.new(),
            merchant_id=self.merchant_id,
            gateway=delivery.gateway,
            summary=adapter.summarise_webhook(delivery.body),
            version=signed.version,
            attempt=signed.attempt,
            body=delivery.body,
            headers=domain.kept_headers(delivery.headers),
            signature=signed.signature,
            received_at=now,
        )
