"""python -m webhook_ingest: the gateways' webhooks, verified, stored and announced."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceStub
from common import runtime
from common.batching import Batcher
from common.runtime import Job, Resources, Service, Workers
from gateways.registry import webhook_sources
from webhook_ingest import consumers, routes, use_cases
from webhook_ingest.domain import Stored, Webhook
from webhook_ingest.gateways.accounts import REFRESH_SECONDS, WebhookSources
from webhook_ingest.settings import Settings
from webhook_ingest.store.personal_data import personal_data
from webhook_ingest.store.stored_events import StoredEvents
from webhook_ingest.use_cases import Receiver, Refusals

REFUSALS_ANNOUNCED_SECONDS = 10


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, clock, accounts = resources.db, resources.clock, settings.gateway_accounts
    stored_events = StoredEvents(resources.redis, resources.sealer)
    store = partial(use_cases.store_new_webhooks, db, stored_events)
    batcher = Batcher[Webhook, Stored](store, name="store_webhooks")
    refusals = Refusals()
    # Generated stubs are not typed.
    payment = PaymentServiceStub(resources.channel("payment", settings.payment_address))  # type: ignore[no-untyped-call]
    sources = WebhookSources(webhook_sources(accounts, resources.guards), resources.guards, payment)
    receiver = Receiver(batcher, clock, sources, settings.webhook_window, refusals)
    yield Service(
        http=routes.routes(receiver, {account.gateway: account.id for account in accounts}),
        subscriptions=consumers.subscriptions(),
        workers=[Workers(batchers=(batcher,)), stored_events.workers],
        jobs=[
            Job("announce_refusals", REFUSALS_ANNOUNCED_SECONDS, partial(refusals.announce, db, clock)),
            Job("gateway_accounts", REFRESH_SECONDS, sources.refresh),
        ],
        timeline=use_cases.timeline,
        totals=use_cases.totals,
        personal_data=personal_data(timedelta(days=settings.webhook_bodies_keep_days)),
    )


def main() -> None:
    runtime.main("webhook-ingest", Settings, service)


if __name__ == "__main__":
    main()
