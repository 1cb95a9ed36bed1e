"""python -m payment: payments, their gateway orders, verification and invoices."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from redis.asyncio import Redis

from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from commdesk.payment.v1.disputes_pb2_grpc import add_DisputeServiceServicer_to_server
from commdesk.payment.v1.payment_pb2_grpc import (
    add_PaymentServiceServicer_to_server,
    add_ReviewServiceServicer_to_server,
)
from commdesk.payment.v1.refunds_pb2_grpc import add_RefundServiceServicer_to_server
from commdesk.payment.v1.routing_pb2_grpc import (
    add_GatewayAccountServiceServicer_to_server,
    add_RoutingServiceServicer_to_server,
)
from commdesk.payment.v1.settlements_pb2_grpc import add_SettlementServiceServicer_to_server
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import runtime
from common.runtime import Job, Resources, Service
from gateways import GatewayCall, Gateways
from gateways.directory import GatewayDirectory
from gateways.registry import open_gateways
from payment import consumers, routes
from payment.consumers import ConsumerSettings
from payment.gateways.fraud import FraudScores
from payment.gateways.packs import Packs
from payment.gateways.wallet import WalletHolds
from payment.routes import Endpoints
from payment.routing_servicer import GatewayAccountServicer, RoutingServicer
from payment.servicer import DisputeServicer, PaymentServicer, RefundServicer, ReviewServicer, SettlementServicer
from payment.settings import Settings
from payment.store.personal_data import personal_data
from payment.use_cases import (
    dispute_checks,
    fee_rules,
    gateway_accounts,
    gateway_calls,
    gateway_health,
    overdue_holds,
    receipts,
    refund_approvals,
    routing,
)
from payment.use_cases.account_moves import AccountMoves
from payment.use_cases.cancellations import Cancellations, ClosingSettings
from payment.use_cases.checkout_proofs import CheckoutProofs
from payment.use_cases.closed_checks import ClosedChecks
from payment.use_cases.confirmations import CONFIRM_SECONDS, Confirmations
from payment.use_cases.create_payment import CreatePayment, PaymentDrafts, ResponseCache
from payment.use_cases.dispute_books import DisputeBooks
from payment.use_cases.dispute_checks import DisputeChecks
from payment.use_cases.disputes import Disputes
from payment.use_cases.fee_rules import FeeRuleCache
from payment.use_cases.gateway_accounts import MerchantAccounts
from payment.use_cases.gateway_calls import GatewayCallLog
from payment.use_cases.gateway_health import GatewayHealth
from payment.use_cases.gateway_orders import GatewayOrders, OrderSettings
from payment.use_cases.merchant_orders import MerchantOrders
from payment.use_cases.order_lookups import OrderLookup
from payment.use_cases.overdue_holds import OverdueHolds
from payment.use_cases.payment_batches import PaymentBatches
from payment.use_cases.payment_inserts import PaymentInserts
from payment.use_cases.payment_retries import PaymentRetries
from payment.use_cases.receipt_refunds import CHECK_SECONDS as CHECK_RECEIPTS_SECONDS
from payment.use_cases.receipt_refunds import ReceiptRefunds
from payment.use_cases.receipts import ReceiptAnnouncements
from payment.use_cases.refund_approvals import RefundApprovals
from payment.use_cases.refund_checks import RefundChecks, RefundLookup
from payment.use_cases.refund_flow import RefundFlow
from payment.use_cases.refund_requests import RefundRequests
from payment.use_cases.review_queue import ReviewQueue
from payment.use_cases.routing import Router, RoutingBook
from payment.use_cases.settlement_imports import SettlementImports
from payment.use_cases.sweep import Sweep
from payment.use_cases.timelines import timeline
from payment.use_cases.totals import recent_totals, totals
from payment.use_cases.user_histories import UserHistories
from payment.use_cases.verification import Verification
from payment.use_cases.webhook_lookups import WebhookLookups
from payment.wire.requests import CustomerRules


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, redis, clock = resources.db, resources.redis, resources.clock
    health = GatewayHealth(db, redis, clock, settings.gateway_health)
    calls = GatewayCallLog(clock, health)
    async with (
        open_gateways(settings.gateway_accounts, calls.record, redis) as platform,
        merchant_gateways(platform, calls.record, redis) as gateways,
    ):
        lookups = OrderLookup(
            gateways,
            timeout_seconds=settings.gateway_lookup_timeout_seconds,
            concurrency=settings.gateway_lookup_concurrency,
        )
        fees = FeeRuleCache(db)
        await fees.refresh()
        # Generated stubs are not typed.
        fraud_stub = FraudServiceStub(resources.channel("fraud", settings.fraud_address))  # type: ignore[no-untyped-call]
        wallet_stub = WalletServiceStub(resources.channel("wallet", settings.wallet_address))  # type: ignore[no-untyped-call]
        fraud = FraudScores(fraud_stub, resources.sealer, fail_open=settings.fraud_fail_open)
        closing = ClosingSettings(settings.decisions, settings.gateway_timeout_seconds)
        cancellations = Cancellations(db, clock, gateways, lookups, closing)
        order_settings = OrderSettings(settings.public_url, settings.gateway_timeout_seconds)
        router = Router(db, health, list(platform.values()), settings.default_gateway, settings.platform_accounts_serve)
        await router.refresh()
        moves = AccountMoves(db, clock, router)
        orders = GatewayOrders(db, clock, gateways, cancellations, moves, order_settings)
        inserts = PaymentInserts(db, clock, orders)
        responses = ResponseCache(redis, resources.sealer)
        merchant_orders = MerchantOrders(db, clock)
        drafts = PaymentDrafts(Packs(wallet_stub), fees, settings.limits, router.choose, merchant_orders, clock)
        create = CreatePayment(drafts, fraud, inserts, orders, responses)
        batches = PaymentBatches(db, clock, create)
        retries = PaymentRetries(db, clock, create, orders, settings.limits)
        verification = Verification(db, redis, clock, lookups, settings.verification)
        sweep = Sweep(db, clock, lookups, settings.decisions, settings.check_schedule)
        closed_checks = ClosedChecks(
            db, clock, lookups, settings.decisions, settings.closed_checks_per_minute, settings.sweep_seconds
        )
        confirmations = Confirmations(db, clock, lookups, settings.decisions, settings.confirmations_per_minute)
        imports = SettlementImports(db, clock, platform, settings.settlement_imports, settings.settlement_job_seconds)
        authorizer = resources.authorizer(settings.identity_address)
        accounts = MerchantAccounts(db, clock, authorizer, gateways, router, settings.merchant_accounts)
        await accounts.refresh()
        book = RoutingBook(db, clock, router, authorizer)
        holds = WalletHolds(wallet_stub)
        dispute_books = DisputeBooks(db, clock, holds, settings.dispute_fee_minor)
        dispute_reads = DisputeChecks(db, clock, gateways, dispute_books, settings.gateway_lookup_timeout_seconds)
        disputes = Disputes(db, clock, authorizer)
        flow = RefundFlow(
            db, clock, gateways, holds, redis, settings.refunds, timeout_seconds=settings.gateway_timeout_seconds
        )
        refund_lookups = RefundLookup(
            gateways,
            timeout_seconds=settings.gateway_lookup_timeout_seconds,
            concurrency=settings.gateway_lookup_concurrency,
        )
        reviews = ReviewQueue(db, clock, authorizer, flow)
        receipt_refunds = ReceiptRefunds(db, clock, flow)
        refund_checks = RefundChecks(db, clock, refund_lookups, flow)
        refunds = RefundRequests(db, clock, authorizer, flow, holds, settings.refunds, settings.refund_limits)
        approvals = RefundApprovals(db, clock, authorizer, refunds)
        announcements = ReceiptAnnouncements(db, clock, settings.public_url)
        histories = UserHistories(db, redis)
        customer_rules = CustomerRules(
            settings.return_urls,
            test_domains=settings.environment != "production",
            phone_country_codes=phone_country_codes(platform),
        )
        yield Service(
            http=routes.routes(
                Endpoints(
                    db=db,
                    create=create,
                    verification=verification,
                    proofs=CheckoutProofs(gateways),
                    cancellations=cancellations,
                    reviews=reviews,
                    disputes=disputes,
                    refunds=refunds,
                    refund_approvals=approvals,
                    orders=merchant_orders,
                    batches=batches,
                    retries=retries,
                    histories=histories,
                    routing=book,
                    gateway_accounts=accounts,
                    authorizer=authorizer,
                    customer_rules=customer_rules,
                    test_mode=settings.test_mode,
                )
            ),
            grpc=[
                (add_PaymentServiceServicer_to_server, PaymentServicer(db, accounts)),
                (add_ReviewServiceServicer_to_server, ReviewServicer(reviews)),
                (add_DisputeServiceServicer_to_server, DisputeServicer(disputes)),
                (add_SettlementServiceServicer_to_server, SettlementServicer(db, imports)),
                (add_RefundServiceServicer_to_server, RefundServicer(refunds)),
                (add_RoutingServiceServicer_to_server, RoutingServicer(book)),
                (add_GatewayAccountServiceServicer_to_server, GatewayAccountServicer(accounts)),
            ],
            subscriptions=consumers.subscriptions(
                db,
                clock,
                gateways,
                WebhookLookups(lookups, refund_lookups),
                flow,
                ConsumerSettings(settings.decisions, settings.invoice_prefix),
            ),
            workers=[
                fraud.workers,
                inserts.workers,
                orders.workers,
                cancellations.workers,
                responses.workers,
                batches.workers,
                histories.workers,
                dispute_books.workers,
                flow.workers,
            ],
            jobs=[
                Job("sweep", settings.sweep_seconds, sweep.run),
                Job("closed_checks", settings.sweep_seconds, closed_checks.run),
                Job("confirmations", CONFIRM_SECONDS, confirmations.run),
                Job("dispute_checks", dispute_checks.CHECK_SECONDS, dispute_reads.run),
                Job("settlement_imports", settings.settlement_job_seconds, imports.run),
                Job("announce_receipts", receipts.ANNOUNCE_SECONDS, announcements.run),
                Job("receipt_refunds", CHECK_RECEIPTS_SECONDS, receipt_refunds.run),
                Job("overdue_holds", overdue_holds.CHECK_SECONDS, OverdueHolds(db, clock).run),
                Job("refund_checks", settings.sweep_seconds, refund_checks.run),
                Job("expire_approvals", refund_approvals.EXPIRE_SECONDS, approvals.run),
                Job("fee_rules", fee_rules.REFRESH_SECONDS, fees.refresh),
                Job("gateway_accounts", gateway_accounts.REFRESH_SECONDS, accounts.refresh),
                Job("routing_rules", routing.REFRESH_SECONDS, router.refresh),
                Job("gateway_health", gateway_health.SHARE_SECONDS, router.share_health),
                Job("recent_attempts", gateway_health.ATTEMPTS_SECONDS, router.read_attempts),
                Job("gateway_calls", gateway_calls.WRITE_SECONDS, partial(calls.write, db)),
                Job("delete_gateway_calls", gateway_calls.DELETE_SECONDS, partial(calls.delete_old, db)),
            ],
            timeline=timeline,
            totals=totals,
            recent_totals=recent_totals,
            personal_data=personal_data(timedelta(days=settings.origin_keep_days)),
        )


def phone_country_codes(gateways: Gateways) -> tuple[str, ...]:
    """Of the numbers that gateways take which take some only; a customer with another number goes to the others."""
    return next((codes for each in gateways.values() if (codes := each.capabilities.phone_country_codes)), ())


@asynccontextmanager
async def merchant_gateways(
    platform: Gateways, on_call: Callable[[GatewayCall], None], redis: Redis
) -> AsyncIterator[GatewayDirectory]:
    """The gateways of *platform*, and those of merchants' own accounts once they are known."""
    directory = GatewayDirectory(platform, on_call, redis)
    try:
        yield directory
    finally:
        await directory.close()


def main() -> None:
    runtime.main("payment", Settings, service)


if __name__ == "__main__":
    main()
