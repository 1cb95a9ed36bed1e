"""python -m payment: wire the service together and run it until told to stop."""

from functools import partial

from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from commdesk.payment.v1.payment_pb2_grpc import add_PaymentServiceServicer_to_server
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import runtime
from common.clock import SystemClock
from common.runtime import Runtime
from gateways import Gateway
from gateways.registry import open_gateways
from payment import consumers, store
from payment.gateways.fraud import FraudScores
from payment.gateways.packs import Packs
from payment.routes import Routes
from payment.servicer import PaymentServicer
from payment.settings import Settings
from payment.use_cases import CallLog, Cancellation, Creation, Inquiry, Policy, Sweep, Tariff, Verification, reading


async def service(settings: Settings) -> None:
    calls = CallLog(SystemClock())
    # The gateway outlives the runtime, whose workers call it until the last of them has finished.
    async with (
        open_gateways(settings.gateway_accounts, calls.heard) as gateways,
        runtime.start(settings, "payment") as rt,
    ):
        [gateway] = gateways.values()
        await wire(rt, settings, gateway)
        rt.every(1, "gateway_calls", partial(calls.flush, rt.db))
        rt.every(3600, "forget_gateway_calls", partial(calls.forget, rt.db))
        await rt.until_stopped()


async def wire(rt: Runtime, settings: Settings, gateway: Gateway) -> None:
    """Give the runtime its doors, consumers, workers and schedules."""
    db, clock = rt.db, rt.clock
    policy = Policy(settings.late_success_policy, settings.public_url)
    timeout_seconds = settings.gateway_timeout_seconds
    inquiry = Inquiry(
        gateway,
        timeout_seconds=settings.gateway_ask_timeout_seconds,
        concurrency=settings.gateway_ask_concurrency,
    )
    tariff = Tariff(db)
    await tariff.refresh()
    # Generated stubs are not typed.
    scores = FraudServiceStub(rt.channel("fraud", settings.fraud_address))  # type: ignore[no-untyped-call]
    wallets = WalletServiceStub(rt.channel("wallet", settings.wallet_address))  # type: ignore[no-untyped-call]
    fraud = FraudScores(scores, fail_open=settings.fraud_fail_open)
    cancellation = Cancellation(db, clock, gateway, inquiry, policy, timeout_seconds=timeout_seconds)
    creation = Creation(
        db,
        rt.redis,
        clock,
        gateway,
        Packs(wallets),
        fraud,
        settings.terms(gateway.account.gateway),
        tariff.rules,
        cancellation.orders,
        public_url=settings.public_url,
        timeout_seconds=timeout_seconds,
    )
    verification = Verification(db, rt.redis, clock, inquiry, policy)
    sweep = Sweep(
        db,
        clock,
        inquiry,
        policy,
        first_seconds=settings.sweep_after_seconds,
        longest_seconds=settings.sweep_longest_seconds,
    )
    routes = Routes(db, creation, verification, cancellation, phone_fallback=settings.customer_phone_fallback)
    rt.serve_http(routes.all())
    rt.serve_grpc((add_PaymentServiceServicer_to_server, PaymentServicer(db)))
    gateways = {gateway.account.gateway: gateway}
    rt.consume(consumers.subscriptions(db, clock, gateways, inquiry, policy, settings.invoice_prefix))
    rt.batcher(fraud.batcher)
    rt.batcher(creation.batcher)
    rt.batcher(creation.answers.reads)
    rt.batcher(creation.answers.writes)
    rt.work(creation.orders, cancellation.orders)
    rt.every(settings.sweep_seconds, "sweep", sweep.run)
    rt.every(60, "tariff", tariff.refresh)
    rt.story(reading.story)
    rt.totals(store.totals)


def main() -> None:
    runtime.main("payment", Settings, service)


if __name__ == "__main__":
    main()
