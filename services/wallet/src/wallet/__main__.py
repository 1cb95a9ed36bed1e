"""`wallet` or `python -m wallet`: the service as a value, and the process that runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from commdesk.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from common import runtime
from common.runtime import Resources, Service, Workers
from wallet import consumers, routes
from wallet.servicer import WalletServicer, consumptions, holding
from wallet.settings import Settings
from wallet.use_cases import wallets


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, clock, guards = resources.db, resources.clock, resources.guards
    consume, hold = consumptions(db, clock, guards), holding(db, clock, guards)
    yield Service(
        http=routes.routes(db, clock, settings.default_merchant_id),
        grpc=[(add_WalletServiceServicer_to_server, WalletServicer(db, clock, guards, consume, hold))],
        subscriptions=consumers.subscriptions(clock, guards),
        workers=[Workers(batchers=(consume, hold))],
        timeline=wallets.timeline,
        totals=wallets.totals,
        recent_totals=wallets.recent_totals,
    )


def main() -> None:
    runtime.main("wallet", Settings, service)


if __name__ == "__main__":
    main()
