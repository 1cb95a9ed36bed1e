"""python -m webhook_ingest: the gateways' webhooks, verified, stored and announced."""

from functools import partial

from common import runtime
from common.batching import Batcher
from common.runtime import Runtime
from gateways import registry
from webhook_ingest import consumers, routes, use_cases
from webhook_ingest.domain import SourcePolicy, Stored, Webhook
from webhook_ingest.settings import Settings
from webhook_ingest.use_cases import Receiver, Refusals

REFUSALS_ANNOUNCED_SECONDS = 10


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "webhook-ingest") as rt:
        wire(rt, settings)
        await rt.until_stopped()


def wire(rt: Runtime, settings: Settings) -> None:
    accounts = settings.gateway_accounts
    refusals = Refusals()
    batcher = Batcher[Webhook, Stored](partial(use_cases.store_webhooks, rt.db), name="store_webhooks")
    policy = SourcePolicy(settings.webhook_window, settings.trusted_proxy_hops)
    receiver = Receiver(batcher, rt.clock, registry.webhook_sources(accounts), policy, refusals)
    rt.serve_http(routes.routes(receiver, {account.gateway: account.id for account in accounts}))
    rt.consume(consumers.subscriptions())
    rt.batcher(batcher)
    rt.every(REFUSALS_ANNOUNCED_SECONDS, "announce_refusals", partial(refusals.announce, rt.db, rt.clock))
    rt.story(use_cases.story)
    rt.totals(use_cases.totals)


def main() -> None:
    runtime.main("webhook-ingest", Settings, service)


if __name__ == "__main__":
    main()
