"""wallet: wire the service together and run it until told to stop."""

from commdesk.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from common import runtime
from wallet import consumers, routes, use_cases
from wallet.servicer import WalletServicer, consumptions
from wallet.settings import Settings


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "wallet") as rt:
        waiting = rt.batcher(consumptions(rt.db, rt.clock))
        rt.serve_grpc((add_WalletServiceServicer_to_server, WalletServicer(rt.db, rt.clock, waiting)))
        rt.serve_http(routes.routes(rt.db, rt.clock, settings.default_merchant_id))
        rt.consume(consumers.subscriptions(rt.clock))
        rt.story(use_cases.timeline)
        rt.totals(use_cases.totals)
        await rt.until_stopped()


def main() -> None:
    runtime.main("wallet", Settings, service)


if __name__ == "__main__":
    main()
