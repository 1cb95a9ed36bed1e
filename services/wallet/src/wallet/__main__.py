"""`wallet` or `python -m wallet`: the service as a value, and the process that runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from commdesk.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from common import runtime
from common.runtime import Resources, Service, Workers
from wallet import consumers, routes, use_cases
from wallet.servicer import WalletServicer, consumptions
from wallet.settings import Settings


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, clock, guards = resources.db, resources.clock, resources.guards
    consume = consumptions(db, clock, guards)
    yield Service(
        http=routes.routes(db, clock, settings.default_merchant_id),
        grpc=[(add_WalletServiceServicer_to_server, WalletServicer(db, clock, consume))],
        subscriptions=consumers.subscriptions(clock, guards),
        workers=[Workers(batchers=(consume,))],
        timeline=use_cases.timeline,
        totals=use_cases.totals,
        recent_totals=use_cases.recent_totals,
    )


def main() -> None:
    runtime.main("wallet", Settings, service)


if __name__ == "__main__":
    main()
