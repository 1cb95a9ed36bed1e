"""webhook-ingest: wire the service together and run it until told to stop."""

from functools import partial

from common import runtime
from common.batching import Batcher
from common.database import Tx
from common.delivery import Story
from gateways.registry import ADAPTERS
from webhook_ingest import consumers, routes, store, use_cases, wire
from webhook_ingest.domain import Stored, Webhook
from webhook_ingest.settings import Settings

REFUSALS_ANNOUNCED_SECONDS = 10


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "webhook-ingest") as rt:
        refusals = use_cases.Refusals()
        receiver = use_cases.Receiver(
            accounts={account.gateway: account for account in settings.gateway_accounts},
            adapters=ADAPTERS,
            batcher=rt.batcher(
                Batcher[Webhook, Stored](partial(use_cases.store_webhooks, rt.db), name="store_webhooks")
            ),
            refusals=refusals,
            clock=rt.clock,
            merchant_id=settings.webhook_merchant_id,
            window=settings.webhook_window,
            proxy_hops=settings.trusted_proxy_hops,
        )
        rt.serve_http(routes.routes(receiver))
        rt.consume(consumers.subscriptions())
        rt.every(REFUSALS_ANNOUNCED_SECONDS, "announce_refusals", partial(refusals.announce, rt.db, rt.clock))
        rt.story(story)
        rt.totals(store.totals)
        await rt.until_stopped()


async def story(tx: Tx, reference: str) -> Story:
    return wire.story(await store.lines(tx, reference=reference, **wire.reference_ids(reference)))


def main() -> None:
    runtime.main("webhook-ingest", Settings, service)


if __name__ == "__main__":
    main()
