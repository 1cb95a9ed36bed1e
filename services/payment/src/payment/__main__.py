"""python -m payment: wire the service together and run it until told to stop."""

from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from commdesk.payment.v1.payment_pb2_grpc import add_PaymentServiceServicer_to_server
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import runtime
from payment import consumers, store
from payment.gateways.cashfree_client import Account, CashfreeGateway
from payment.gateways.fraud import FraudScores
from payment.gateways.packs import Packs
from payment.routes import Routes
from payment.servicer import PaymentServicer
from payment.settings import Settings
from payment.use_cases import CallLog, Cancellation, Creation, Inquiry, Policy, Sweep, Tariff, Verification, reading


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "payment") as rt:
        calls = CallLog(rt.db, rt.clock)
        tariff = Tariff(rt.db)
        await tariff.refresh()
        async with CashfreeGateway(account(settings), calls.heard) as gateway:
            policy = Policy(settings.late_success_policy, settings.public_url)
            inquiry = Inquiry(
                gateway,
                timeout_seconds=settings.gateway_ask_timeout_seconds,
                concurrency=settings.gateway_ask_concurrency,
            )
            timeout_seconds = settings.gateway_timeout_seconds
            cancellation = Cancellation(rt.db, rt.clock, gateway, inquiry, policy, timeout_seconds=timeout_seconds)
            # Generated stubs are not typed.
            scores = FraudServiceStub(rt.channel("fraud", settings.fraud_address))  # type: ignore[no-untyped-call]
            wallets = WalletServiceStub(rt.channel("wallet", settings.wallet_address))  # type: ignore[no-untyped-call]
            fraud = FraudScores(scores, fail_open=settings.fraud_fail_open)
            packs = Packs(wallets)
            creation = Creation(
                rt.db,
                rt.redis,
                rt.clock,
                gateway,
                packs,
                fraud,
                settings.terms(gateway.name),
                tariff.rules,
                cancellation.orders,
                public_url=settings.public_url,
                timeout_seconds=timeout_seconds,
            )
            verification = Verification(rt.db, rt.redis, rt.clock, inquiry, policy)
            sweep = Sweep(
                rt.db,
                rt.clock,
                inquiry,
                policy,
                first_seconds=settings.sweep_after_seconds,
                longest_seconds=settings.sweep_longest_seconds,
            )
            rt.batcher(fraud.batcher)
            rt.batcher(creation.batcher)
            rt.serve_http(
                Routes(
                    rt.db, creation, verification, cancellation, phone_fallback=settings.customer_phone_fallback
                ).all()
            )
            rt.serve_grpc((add_PaymentServiceServicer_to_server, PaymentServicer(rt.db)))
            rt.consume(
                consumers.subscriptions(
                    rt.db, rt.clock, {gateway.name: gateway}, inquiry, policy, settings.invoice_prefix
                )
            )
            rt.work(creation.orders, cancellation.orders)
            rt.every(settings.sweep_seconds, "sweep", sweep.sweep)
            rt.every(1, "gateway_calls", calls.flush)
            rt.every(3600, "forget_gateway_calls", calls.forget)
            rt.every(60, "tariff", tariff.refresh)
            rt.story(reading.story)
            rt.totals(store.totals)
            try:
                await rt.until_stopped()
            finally:
                await rt.close()
                await calls.flush()


def account(settings: Settings) -> Account:
    return Account(
        settings.cashfree_base_url,
        settings.cashfree_app_id,
        settings.cashfree_secret_key.get_secret_value(),
        settings.cashfree_api_version,
        settings.cashfree_notify_url,
    )


def main() -> None:
    runtime.main("payment", Settings, service)


if __name__ == "__main__":
    main()
